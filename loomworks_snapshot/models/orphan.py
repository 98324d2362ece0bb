"""Which Jobs restores have, so that none of them is taken for an orphan."""

from odoo import api, models

from ..restoring.spec import NAMESPACE, job_name
from .restore import RUNNING


class Orphan(models.Model):
    """Orphans, of which the Jobs of restores are none."""

    _inherit = "loomworks.orphan"

    @api.model
    def _named_jobs(self, backups):
        """Add those of restores that go on, or that are still to be cleared away."""
        yield from super()._named_jobs(backups)
        for one in self.env["loomworks.restore"].search(["|", ("state", "in", RUNNING), ("reconcile_at", "!=", False)]):
            yield NAMESPACE, job_name(one.id)

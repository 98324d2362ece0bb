"""Which databases restores have made for a tenant, so that none of them is taken for an orphan."""

from odoo import models
from odoo.addons.loomworks_tenant.reconciler.spec import first_database

from .restore import RUNNING


class Tenant(models.Model):
    """A tenant with databases beside the one that it works in."""

    _inherit = "loomworks.tenant"

    def _named_databases(self):
        """Add those of restores that go on, that wait to be cleared away, or that can be gone back from."""
        found = super()._named_databases()
        restores = self.env["loomworks.restore"].sudo().search([("tenant_id", "=", self.id)])
        living = restores.filtered(lambda one: one.state in RUNNING or one.reconcile_at)
        kept = restores.filtered(lambda one: one.kept_until and not one.dropped) | living
        names = [*kept.mapped("old_database"), *kept.mapped("new_database")]
        made = [f"{first_database(self.uuid)}_r{one.id}" for one in living]
        return found | {name for name in (*names, *made) if name}

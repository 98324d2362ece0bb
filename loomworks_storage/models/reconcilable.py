"""Backups of files are reconciled after everything else: nobody waits for them."""

from odoo import api, models


class Reconcilable(models.AbstractModel):
    """Whatever the reconciler serves, backups of files included."""

    _inherit = "loomworks.reconcilable"

    @api.model
    def _reconciled_models(self):
        return [
            *super()._reconciled_models(),
            "loomworks.import",
            "loomworks.files.backup",
            "loomworks.reset",
            "loomworks.orphan",
        ]

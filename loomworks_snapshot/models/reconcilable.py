"""Snapshots and restores are reconciled, before everything else: somebody waits for them."""

from odoo import api, models


class Reconcilable(models.AbstractModel):
    """Whatever the reconciler serves, snapshots and restores included."""

    _inherit = "loomworks.reconcilable"

    @api.model
    def _reconciled_models(self):
        return ["loomworks.snapshot", "loomworks.restore", *super()._reconciled_models()]

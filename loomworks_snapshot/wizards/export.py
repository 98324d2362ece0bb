"""Say what is in a file for the customer before it is made."""

from odoo import models


class TenantExport(models.TransientModel):
    """Have a file made of a tenant, as of a moment or a snapshot."""

    _name = "loomworks.tenant.export"
    _inherit = ["loomworks.moment.choice"]
    _description = "Download a tenant"

    def action_confirm(self):
        """Begin, and show how far it is."""
        self.ensure_one()
        number = self.snapshot_id.action_export() if self.snapshot_id else self.tenant_id.action_export(self.moment)
        return self._show("loomworks.restore", number)

"""Ask for the tenant's name before its volume is replaced."""

from odoo import fields, models


class TenantConfirm(models.TransientModel):
    """Type the tenant's name to give it a fresh volume."""

    _inherit = "loomworks.tenant.confirm"

    action = fields.Selection(selection_add=[("reset", "Fresh volume")], ondelete={"reset": "cascade"})
    keep_files = fields.Boolean("Bring its files back", default=True)

    def _act(self):
        if self.action == "reset":
            return self.tenant_id.action_reset(self.confirm_name, self.keep_files)
        return super()._act()

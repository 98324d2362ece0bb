"""Ask for the copy's name before it is taken away."""

from odoo import fields, models


class TenantConfirm(models.TransientModel):
    """Type the tenant's name to remove it, where it is a copy."""

    _inherit = "loomworks.tenant.confirm"

    action = fields.Selection(selection_add=[("remove_copy", "Remove")], ondelete={"remove_copy": "cascade"})

    def _act(self):
        if self.action == "remove_copy":
            return self.tenant_id.action_remove_copy(self.confirm_name)
        return super()._act()

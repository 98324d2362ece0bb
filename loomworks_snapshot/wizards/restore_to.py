"""Ask to which moment, and say what that means, before a tenant is restored."""

from odoo import api, fields, models
from odoo.exceptions import UserError


class RestoreTo(models.TransientModel):
    """Choose the moment to which a tenant is brought back."""

    _name = "loomworks.restore.to"
    _inherit = ["loomworks.moment.choice"]
    _description = "Restore a tenant"

    confirm_name = fields.Char("Type the name")
    matches = fields.Boolean(compute="_compute_matches")

    @api.depends("confirm_name", "tenant_id")
    def _compute_matches(self):
        for wizard in self:
            wizard.matches = (wizard.confirm_name or "").strip() == wizard.tenant_id.name

    def action_confirm(self):
        """Begin the restore, and show it."""
        self.ensure_one()
        if not self.matches:
            raise UserError(self.env._("The name is not “%s”: nothing has been done.", self.tenant_id.name))
        number = self.snapshot_id.action_restore() if self.snapshot_id else self.tenant_id.restore_to(self.moment)
        return self._show("loomworks.restore", number)

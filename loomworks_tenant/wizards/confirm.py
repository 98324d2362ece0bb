"""Ask for the tenant's name before something is taken away."""

from odoo import api, fields, models
from odoo.exceptions import UserError


class TenantConfirm(models.TransientModel):
    """Type the tenant's name to archive it, or to delete its data."""

    _name = "loomworks.tenant.confirm"
    _description = "Confirm by the tenant's name"

    tenant_id = fields.Many2one("loomworks.tenant", required=True, readonly=True, ondelete="cascade")
    action = fields.Selection([("archive", "Archive"), ("erase", "Delete all data")], required=True, readonly=True)
    tenant_name = fields.Char(related="tenant_id.name")
    kept_days = fields.Integer(related="tenant_id.plan_id.retention_days")
    confirm_name = fields.Char("Type the name")
    reason = fields.Char(help="It is kept on the tenant and in the audit log.")
    matches = fields.Boolean(compute="_compute_matches")

    @api.constrains("tenant_id")
    def _check_own(self):
        """Refuse a tenant that the user may not see: the dialog names it."""
        self.sudo(False).tenant_id.check_access("read")  # constraints run as superuser

    @api.depends("confirm_name", "tenant_id")
    def _compute_matches(self):
        for wizard in self:
            wizard.matches = (wizard.confirm_name or "").strip() == wizard.tenant_id.name

    def action_confirm(self):
        """Do it, if the name is right."""
        self.ensure_one()
        if not self.matches:
            raise UserError(self.env._("The name is not “%s”: nothing has been done.", self.tenant_id.name))
        self._act()
        return {"type": "ir.actions.act_window_close"}

    def _act(self):
        """Do what was asked for; addons add theirs."""
        if self.action == "archive":
            return self.tenant_id.action_archive(self.reason)
        return self.tenant_id.action_erase(self.confirm_name, self.reason)

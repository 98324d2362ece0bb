"""Ask to which moment, and say what that means, before a tenant is restored."""

from odoo import api, fields, models
from odoo.exceptions import UserError


class RestoreTo(models.TransientModel):
    """Choose the moment to which a tenant is brought back."""

    _name = "loomworks.restore.to"
    _description = "Restore a tenant"

    tenant_id = fields.Many2one("loomworks.tenant", required=True, readonly=True, ondelete="cascade")
    snapshot_id = fields.Many2one("loomworks.snapshot", readonly=True, ondelete="cascade")
    moment = fields.Datetime(required=True, default=fields.Datetime.now)
    tenant_name = fields.Char(related="tenant_id.name")
    confirm_name = fields.Char("Type the name")
    matches = fields.Boolean(compute="_compute_matches")

    @api.model
    def default_get(self, names):
        """Start from a snapshot's moment, where it is opened from one."""
        values = super().default_get(names)
        snapshot = self.env["loomworks.snapshot"].browse(self.env.context.get("default_snapshot_id"))
        if snapshot:
            values |= {"tenant_id": snapshot.tenant_id.id, "moment": snapshot.created_at}
        return values

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
        return {
            "type": "ir.actions.act_window",
            "res_model": "loomworks.restore",
            "res_id": number,
            "views": [(False, "form")],
        }

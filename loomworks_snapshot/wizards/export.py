"""Say what is in a file for the customer before it is made."""

from odoo import api, fields, models


class TenantExport(models.TransientModel):
    """Have a file made of a tenant, as of a moment or a snapshot."""

    _name = "loomworks.tenant.export"
    _description = "Download a tenant"

    tenant_id = fields.Many2one("loomworks.tenant", required=True, readonly=True, ondelete="cascade")
    snapshot_id = fields.Many2one("loomworks.snapshot", readonly=True, ondelete="cascade")
    tenant_name = fields.Char(related="tenant_id.name")
    moment = fields.Datetime(required=True, default=fields.Datetime.now)

    @api.model
    def default_get(self, names):
        """Start from a snapshot's moment, where it is opened from one."""
        values = super().default_get(names)
        snapshot = self.env["loomworks.snapshot"].browse(self.env.context.get("default_snapshot_id"))
        if snapshot:
            values |= {"tenant_id": snapshot.tenant_id.id, "moment": snapshot.created_at}
        return values

    def action_confirm(self):
        """Begin, and show how far it is."""
        self.ensure_one()
        number = self.snapshot_id.action_export() if self.snapshot_id else self.tenant_id.action_export(self.moment)
        return {
            "type": "ir.actions.act_window",
            "res_model": "loomworks.restore",
            "res_id": number,
            "views": [(False, "form")],
        }

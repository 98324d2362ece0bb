"""What wizards on a tenant's past have in common: the tenant, and a moment or a snapshot."""

from odoo import api, fields, models


class MomentChoice(models.AbstractModel):
    """A wizard that is opened from a tenant, for any moment, or from a snapshot, for its own."""

    _name = "loomworks.moment.choice"
    _description = "Choice of a moment"

    tenant_id = fields.Many2one("loomworks.tenant", required=True, readonly=True, ondelete="cascade")
    snapshot_id = fields.Many2one("loomworks.snapshot", readonly=True, ondelete="cascade")
    tenant_name = fields.Char(related="tenant_id.name")
    moment = fields.Datetime(required=True, default=fields.Datetime.now)

    @api.constrains("tenant_id", "snapshot_id")
    def _check_own(self):
        """Refuse what the user may not see: the dialog names it."""
        self.sudo(False).tenant_id.check_access("read")  # constraints run as superuser
        self.sudo(False).snapshot_id.check_access("read")

    @api.model
    def default_get(self, names):
        """Start from a snapshot's moment, where it is opened from one."""
        values = super().default_get(names)
        snapshot = self.env["loomworks.snapshot"].browse(self.env.context.get("default_snapshot_id"))
        if snapshot:
            values |= {"tenant_id": snapshot.tenant_id.id, "moment": snapshot.created_at}
        return values

    def _show(self, model, number):
        """Return what opens the form of what has been begun."""
        return {"type": "ir.actions.act_window", "res_model": model, "res_id": number, "views": [(False, "form")]}

"""Ask what a copy of a tenant is to be called, and say what that means, before it is made."""

from odoo import api, fields, models
from odoo.exceptions import UserError


class TenantCopyWizard(models.TransientModel):
    """Make a copy of a tenant, as of a moment or a snapshot."""

    _name = "loomworks.tenant.copy"
    _description = "Copy a tenant"

    tenant_id = fields.Many2one("loomworks.tenant", required=True, readonly=True, ondelete="cascade")
    snapshot_id = fields.Many2one("loomworks.snapshot", readonly=True, ondelete="cascade")
    tenant_name = fields.Char(related="tenant_id.name")
    moment = fields.Datetime(required=True, default=fields.Datetime.now)
    name = fields.Char(required=True)
    subdomain = fields.Char(required=True)
    neutralise = fields.Boolean(
        "For tests: nothing leaves it",
        default=True,
        help="No mail, scheduled action, payment or webhook; the original's API keys are not in it.",
    )

    @api.model
    def default_get(self, names):
        """Propose names, and the moment of a snapshot where it is opened from one."""
        values = super().default_get(names)
        snapshot = self.env["loomworks.snapshot"].browse(self.env.context.get("default_snapshot_id"))
        if snapshot:
            values |= {"tenant_id": snapshot.tenant_id.id, "moment": snapshot.created_at}
        tenant = self.env["loomworks.tenant"].browse(values.get("tenant_id"))
        if tenant:
            values |= {"name": self.env._("%s (test)", tenant.name), "subdomain": f"{tenant.subdomain[:58]}-test"}
        return values

    def action_confirm(self):
        """Begin the copy, and show it."""
        self.ensure_one()
        what = {"name": self.name, "subdomain": self.subdomain, "neutralise": self.neutralise}
        if self.snapshot_id:
            number = self.snapshot_id.action_clone(**what)
        else:
            number = self.tenant_id.action_clone(**what, moment=self.moment)
        return {
            "type": "ir.actions.act_window",
            "res_model": "loomworks.tenant",
            "res_id": number,
            "views": [(False, "form")],
        }


class RemoveCopy(models.TransientModel):
    """Type the copy's name to take it away."""

    _name = "loomworks.copy.remove"
    _description = "Remove a copy"

    tenant_id = fields.Many2one("loomworks.tenant", required=True, readonly=True, ondelete="cascade")
    tenant_name = fields.Char(related="tenant_id.name")
    confirm_name = fields.Char("Type the name")

    def action_confirm(self):
        """Do it, if the name is right."""
        self.ensure_one()
        if (self.confirm_name or "").strip() != self.tenant_id.name:
            raise UserError(self.env._("The name is not “%s”: nothing has been done.", self.tenant_id.name))
        self.tenant_id.action_remove_copy(self.confirm_name)
        return {"type": "ir.actions.act_window_close"}

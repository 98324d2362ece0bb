"""Ask why, and where that is open for the new day, before a day is moved that a tenant's people have been told."""

from odoo import api, fields, models


class TenantEnd(models.TransientModel):
    """Move the day on which a tenant is archived, or all its data deleted."""

    _name = "loomworks.tenant.end"
    _description = "Move the end of a tenant's data"

    tenant_id = fields.Many2one("loomworks.tenant", required=True, readonly=True, ondelete="cascade")
    archived = fields.Boolean(compute="_compute_promised")
    promised = fields.Datetime("Until now", compute="_compute_promised")
    moment = fields.Datetime("New day", required=True)
    reason = fields.Char(required=True)

    @api.depends("tenant_id")
    def _compute_promised(self):
        for wizard in self:
            end = wizard.tenant_id._end()
            wizard.archived = wizard.tenant_id.state == "archived"
            wizard.promised = end.promised if end else False

    def action_confirm(self):
        """Move it."""
        self.ensure_one()
        self.tenant_id.action_change_end(self.moment, self.reason)
        return {"type": "ir.actions.act_window_close"}


class TenantWhy(models.TransientModel):
    """Say why the end of a tenant comes now, or is called off."""

    _name = "loomworks.tenant.why"
    _description = "The reason why a tenant's end changes"

    tenant_id = fields.Many2one("loomworks.tenant", required=True, readonly=True, ondelete="cascade")
    action = fields.Selection(
        [
            ("action_cancel_subscription", "Cancel the subscription"),
            ("action_resume", "Resume"),
            ("restore_archived", "Bring it back"),
        ],
        required=True,
        readonly=True,
    )
    reason = fields.Char(required=True)

    def action_confirm(self):
        """Do it."""
        self.ensure_one()
        getattr(self.tenant_id, self.action)(self.reason)
        return {"type": "ir.actions.act_window_close"}

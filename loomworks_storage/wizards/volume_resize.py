"""Ask for the new size of a tenant's volume."""

from odoo import api, fields, models
from odoo.addons.loomworks_tenant.errors import InvalidQuantity
from odoo.addons.loomworks_tenant.kube import quantity


class VolumeResize(models.TransientModel):
    """How large a tenant's volume is to be."""

    _name = "loomworks.volume.resize"
    _description = "Resize a volume"

    tenant_id = fields.Many2one("loomworks.tenant", required=True, readonly=True, ondelete="cascade")
    volume_size = fields.Char("Now", related="tenant_id.volume_size")
    volume_used = fields.Char(related="tenant_id.volume_used")
    volume_capacity = fields.Char(related="tenant_id.volume_capacity")
    volume_used_percent = fields.Float(related="tenant_id.volume_used_percent")
    volume_read_at = fields.Datetime(related="tenant_id.volume_read_at")
    volume_forecast = fields.Char(related="tenant_id.volume_forecast")
    size = fields.Char("New size", required=True, compute="_compute_size", store=True, readonly=False)
    reading = fields.Char(compute="_compute_reading")

    @api.depends("tenant_id")
    def _compute_size(self):
        """Propose half as much again."""
        for wizard in self:
            now = quantity.size(wizard.volume_size) if wizard.volume_size else 0
            wizard.size = quantity.canonical(-(-now * 3 // 2**31) * 2**30) if now else False

    @api.depends("size")
    def _compute_reading(self):
        """Say how what was typed is read."""
        for wizard in self:
            try:
                typed = quantity.size(wizard.size or "")
            except InvalidQuantity as error:
                wizard.reading = f"{error.message}. {error.hint}"
                continue
            wizard.reading = self.env._("That is %s.", quantity.canonical(typed))

    def action_resize(self):
        """Have it grow."""
        self.ensure_one()
        self.tenant_id.resize_volume(self.size)
        return {"type": "ir.actions.act_window_close"}

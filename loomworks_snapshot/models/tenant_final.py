"""The last snapshot of a tenant that is archived: kept for as long as its data is."""

from odoo import api, fields, models

NAME = "Final, when it was archived"


class Tenant(models.Model):
    """A tenant that leaves a snapshot behind. Where the repository is away, archiving does not wait for it."""

    _inherit = "loomworks.tenant"

    final_snapshot_id = fields.Many2one("loomworks.snapshot", readonly=True, copy=False, ondelete="set null")
    final_snapshot_state = fields.Selection(related="final_snapshot_id.state", string="Final snapshot's state")
    final_snapshot_problem = fields.Char(compute="_compute_final_snapshot_problem")

    @api.depends(
        "state",
        "erased_at",
        "final_snapshot_id.state",
        "final_snapshot_id.attempts",
        "final_snapshot_id.verify_message",
    )
    def _compute_final_snapshot_problem(self):
        for tenant in self:
            snapshot = tenant.final_snapshot_id.sudo()
            unproven = snapshot.state == "failed" or (snapshot.state == "creating" and snapshot.attempts)
            told = tenant.state == "archived" and not tenant.erased_at and unproven
            tenant.final_snapshot_problem = (snapshot.verify_message or "").split("\n")[0] if told else False

    def _save_archived(self):
        """Take the final snapshot, too, once; it is proven as soon as the repository can be asked."""
        result = super()._save_archived()
        taken = self.final_snapshot_id.requested_at
        if not taken or taken < self.archived_at:
            values = {"expires_at": self.erase_at}
            self.final_snapshot_id = self.env["loomworks.snapshot"]._request(self, "manual", NAME, **values)
        return result

    def _promise(self, moment):
        """Keep the final snapshot for as long as the data."""
        result = super()._promise(moment)
        if self.state == "archived":
            self.final_snapshot_id.filtered(lambda one: one.state != "expired").expires_at = moment
        return result

    @api.model
    def _guarded_fields(self):
        return super()._guarded_fields() | {"final_snapshot_id"}

"""A tenant that is reset: the action, and what the reconciler is told of it."""

from odoo import api, fields, models
from odoo.exceptions import UserError

from ..reconciler.fresh_volume import FreshVolume

RESET_IN = {"active", "suspended"}
CONFIGURATION = (
    "name uuid database_name subdomain state max_users max_storage_gb max_ai_operations_daily subscription_expires "
    "volume_size files_manifest"
).split()


class Tenant(models.Model):
    """A tenant whose volume can be replaced by a fresh one."""

    _inherit = "loomworks.tenant"

    reset_id = fields.Many2one("loomworks.reset", readonly=True, copy=False, help="The one that goes on.")
    reset_state = fields.Selection(related="reset_id.state", string="Reset's state")
    reset_waits_for = fields.Char(related="reset_id.waits_for")
    reset_ids = fields.One2many("loomworks.reset", "tenant_id", "Resets", readonly=True)
    reset_count = fields.Integer(compute="_compute_reset_count")

    @api.depends("reset_ids")
    def _compute_reset_count(self):
        for tenant in self:
            tenant.reset_count = len(tenant.reset_ids)

    def action_reset(self, confirm_name=None, keep_files=True):
        """Give the tenant a fresh volume, and return the reset's id. Its database stays as it is.

        Its Odoo stops, everything is saved, the old volume goes, and the files come back from S3 before Odoo starts.

        :param confirm_name: the tenant's name, typed in
        :param keep_files: or else the fresh volume stays empty, and the files that attachments name are missing
        """
        self.ensure_one()
        self._check_operator()
        self._check_state(RESET_IN, "reset")
        if (confirm_name or "").strip() != self.name:
            raise UserError(self.env._("Type the tenant's name, “%s”, to give it a fresh volume.", self.name))
        self._check_reset()
        values = {"tenant_id": self.id, "requested_by_id": self.env.uid, "keep_files": bool(keep_files)}
        reset = self.env["loomworks.reset"].sudo().create(values)
        self.sudo().reset_id = reset
        self._audit_and_reconcile("reset", "with its files" if keep_files else "without its files")
        reset._request_reconcile()
        self.sudo()._tell_reset()
        return reset.id

    def _check_reset(self):
        """Refuse while something else is being done to the volume; addons add what is in the way.

        :raises UserError: saying what
        """
        if self.sudo().reset_id:
            raise UserError(self.env._("A reset of “%s” is going on already.", self.name))

    def action_resets(self):
        """Show this tenant's resets."""
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id("loomworks_storage.action_reset")
        return {**action, "domain": [("tenant_id", "=", self.id)]}

    def action_archive(self, reason=None):
        """As before; a reset that has taken nothing away yet is given up."""
        self._check_operator()
        for reset in self.sudo().reset_id.filtered(lambda one: one.state == "saving"):
            reset._end("cancelled")
        return super().action_archive(reason)

    def _configuration(self):
        """Return what the row says, as plain values without anything secret."""
        values = self.read(CONFIGURATION, load=None)[0]
        plan = self.plan_id.read(["code", "volume_size", "storage_class", "access_mode", "mount_path"])[0]
        return json_safe({**values, "plan": plan, "parameters": self._parameters()})

    # --- what the reconciler is told -------------------------------------------------------------------

    def _spec_values(self):
        reset = self.reset_id
        return {
            **super()._spec_values(),
            "paused": reset.state == "saving",
            "old_claim": (reset.state == "replacing" and reset.old_claim) or "",
        }

    def _steps(self):
        steps = super()._steps()
        if self.reset_id.state == "replacing":
            steps.insert([step.code for step in steps].index("volume_claim"), FreshVolume())
        return steps

    def _settle(self):
        """The tenant stands on its fresh volume: the reset is done."""
        result = super()._settle()
        reset = self.reset_id
        if reset.state == "replacing" and self.state in ("active", "suspended"):
            reset._end("done")
            self.env["loomworks.audit"]._record("reset_done", self)
            self._tell_reset_done(reset)
        elif reset and self.erased_at:
            reset._end("cancelled")
        return result

    def _tell_reset(self):
        self._mail_admins(
            self.env._("“%s” gets a fresh volume", self.name),
            self.env._("Its Odoo stops now. Everything is saved first; then it starts again on a fresh volume."),
            self.env._("Its database stays as it is."),
        )

    def _tell_reset_done(self, reset):
        files = self.env._("Its files have been brought back.")
        if reset.files_backup_id and not reset.old_claim:
            began = fields.Datetime.to_string(reset.files_backup_id.began_at)
            files = self.env._("Its volume was lost; its files have been brought back as of %s UTC.", began)
        elif not reset.files_backup_id:
            files = self.env._("Its files were not brought back: attachments that need them are empty.")
        self._mail_admins(self.env._("“%s” has a fresh volume", self.name), files)

    @api.model
    def _guarded_fields(self):
        return super()._guarded_fields() | {"reset_id"}


def json_safe(values):
    """Return values that JSON can hold; dates as Odoo writes them."""
    return {name: fields.Date.to_string(value) if hasattr(value, "year") else value for name, value in values.items()}

"""A reset saves the database, too: by a snapshot that is proven before the old volume goes."""

from odoo import fields, models
from odoo.exceptions import UserError

NAME = "Before the fresh volume"


class Reset(models.Model):
    """A reset that waits for its snapshot."""

    _inherit = "loomworks.reset"

    snapshot_id = fields.Many2one("loomworks.snapshot", readonly=True, ondelete="set null")

    def _begin_saving(self):
        """Take a snapshot of the database that nobody writes to any more."""
        result = super()._begin_saving()
        self.snapshot_id = self.env["loomworks.snapshot"]._request(self.tenant_id, "manual", NAME)
        return result

    def _unsaved(self):
        unsaved = super()._unsaved()
        broken = bool(self.snapshot_id._broken())
        if self.snapshot_id.state in ("ready", "restoring") and not broken:
            return unsaved
        problem = self.snapshot_id.verify_message if self.snapshot_id.attempts or broken else ""
        text = self.env._("the snapshot: %s", problem.split("\n")[0]) if problem else self.env._("the snapshot")
        return [*unsaved, text]


class Tenant(models.Model):
    """A tenant that is restored or reset, one after the other."""

    _inherit = "loomworks.tenant"

    def _check_reset(self):
        """Refuse while a restore is being put in place, which needs the volume."""
        result = super()._check_reset()
        if self.sudo().running_restore_id:
            raise UserError(self.env._("A restore of “%s” is going on. Wait for its end, or cancel it.", self.name))
        return result


class Restore(models.Model):
    """A restore that waits until the volume is there again."""

    _inherit = "loomworks.restore"

    def _check_may_begin(self, tenant, purpose):
        """Refuse to put anything in place while the volume is being replaced."""
        if tenant.sudo().reset_id and purpose == "in_place":
            raise UserError(self.env._("“%s” is getting a fresh volume. Wait for its end.", tenant.name))
        return super()._check_may_begin(tenant, purpose)

"""What is left of a tenant that is gone: dates, a number, and an audit log without names."""

from odoo import api, fields, models
from odoo.exceptions import UserError


class Tenant(models.Model):
    """A tenant of which the control plane forgets who it was."""

    _inherit = "loomworks.tenant"

    names_forgotten_at = fields.Datetime(
        "Name forgotten", readonly=True, copy=False, help="Since when nothing here says whose tenant this was."
    )

    def _may_forget_names(self):
        """Tell whether nothing is left that only these rows tell of; addons look for theirs."""
        self.ensure_one()
        return bool(self.erased_at)

    def _forget_names(self):
        """Take out of the control plane whose tenants these were, and what was written about them.

        Their rows keep number, UUID and dates; the audit log keeps who did what to them, and when. Addons take out
        theirs.

        :raises UserError: for one that has not been erased
        """
        for tenant in self.sudo().with_context(tracking_disable=True, mail_notrack=True):
            if not tenant.erased_at:
                raise UserError(self.env._("“%s” has not been erased.", tenant.name))
            short = tenant.uuid[:8]
            tenant.write(
                {
                    "name": f"Erased tenant {short}",
                    "subdomain": f"erased-{short}",
                    "state_reason": False,
                    "error_message": False,
                    "admin_ids": [fields.Command.clear()],
                    "names_forgotten_at": fields.Datetime.now(),
                }
            )
            tenant.activity_ids.unlink()
            written = [("model", "=", tenant._name), ("res_id", "=", tenant.id)]
            tenant.env["mail.message"].search(written).unlink()  # `message_ids` is without what only one user was told
            tenant.message_follower_ids.unlink()
            tenant.step_ids.unlink()
            self.env["loomworks.audit"]._forget_names(tenant)

    @api.model
    def _guarded_fields(self):
        return super()._guarded_fields() | {"names_forgotten_at"}

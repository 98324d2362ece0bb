"""What may be done to a tenant: each a button and a JSON-2 call, each with an audit row."""

import logging
from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.service.model import PG_CONCURRENCY_EXCEPTIONS_TO_RETRY

from ..errors import LoomworksError
from ..kube import names
from ..reconciler.steps.access import read_secret
from ..tenant_http import TenantHttp

_logger = logging.getLogger(__name__)

# Action -> the states in which it is possible, and the state that it leads to. The diagram in the docs is made
# from this table.
TRANSITIONS = {
    "provision": ({"draft"}, "provisioning"),
    "suspend": ({"provisioning", "active"}, "suspended"),
    "resume": ({"suspended"}, "provisioning"),
    "archive": ({"draft", "provisioning", "active", "suspended"}, "archived"),
    "restore_archived": ({"archived"}, "provisioning"),
}
EXPIRED = "The subscription has expired."
ALARM = "loomworks_tenant.activity_not_ended"


class TenantActions(models.Model):
    """The actions of a tenant: they change rows only; the reconciler does the rest after the commit."""

    _inherit = "loomworks.tenant"

    def action_provision(self):
        """Create the tenant: namespace, database, volume, Odoo, address."""
        self._check_operator()
        for tenant in self:
            tenant.sudo().server_id = tenant.server_id or self.env["loomworks.database.server"]._least_loaded(
                tenant.cluster_id
            )
        return self._move("provision")

    def action_suspend(self, reason=None):
        """Stop the tenant's Odoo and keep everything."""
        self._check_operator()
        return self._move("suspend", reason)

    def action_resume(self, reason=None):
        """Start a suspended tenant again."""
        self._check_operator()
        self._check_subscription()
        return self._move("resume", reason)

    def action_restart(self):
        """Stop and start the tenant's Odoo; volume and database stay."""
        self._check_admin()
        self._check_state({"active"}, "restart")
        self.sudo().restarted_at = fields.Datetime.now()
        self._audit_and_reconcile("restart")
        return True

    def action_archive(self, reason=None):
        """Take the tenant's Odoo away; volume and database are kept for the plan's retention, then deleted."""
        self._check_operator()
        now = fields.Datetime.now()
        for tenant in self.sudo():
            tenant.write({"archived_at": now, "erase_at": tenant._kept_until(now) if tenant.server_id else now})
        self._move("archive", reason)
        for tenant in self.sudo().filtered(lambda one: not one.server_id):
            tenant.erased_at = now  # never provisioned: there is nothing to take away
        return True

    def _kept_until(self, archived):
        """Return when volume and database are deleted of a tenant that is archived then; addons keep promises."""
        self.ensure_one()
        return archived + timedelta(days=self.plan_id.retention_days)

    def restore_archived(self, reason=None):
        """Bring archived tenants back whose data is still kept: the same database, the same volume."""
        self._check_operator()
        self._check_subscription()
        self._move("restore_archived", reason)
        self.sudo().write({"archived_at": False, "erase_at": False})
        return True

    def action_erase(self, confirm_name=None, reason=None):
        """Delete an archived tenant's volume and database now. Nothing brings them back.

        :param confirm_name: the tenant's name, typed in
        :param reason: kept on the tenant and in the audit log
        """
        self.ensure_one()
        self._check_operator()
        self._check_state({"archived"}, "erase")
        if (confirm_name or "").strip() != self.name:
            raise UserError(self.env._("Type the tenant's name, “%s”, to delete its data.", self.name))
        self.sudo().write({"erase_requested": True, "state_reason": reason or self.state_reason})
        self._audit_and_reconcile("erase", reason or "")
        return True

    def action_retry(self):
        """Look at every step of the tenant again, now."""
        self._check_operator()
        for tenant in self.sudo():
            if not tenant._goal() or tenant.erased_at:
                raise UserError(self.env._("There is nothing to retry for “%s”.", tenant.name))
            tenant.write({"error_message": False, "error_code": False})
        self._audit_and_reconcile("retry", anew=True)
        return True

    def action_open(self):
        """Open the tenant's own site."""
        self.ensure_one()
        return {"type": "ir.actions.act_url", "url": self.public_url, "target": "new"}

    def action_first_login_link(self):
        """Return a one-time link by which the tenant's administrator chooses a password; it is kept nowhere."""
        self.ensure_one()
        self._check_admin()
        self._check_state({"active"}, "first_login")
        tenant = self.sudo()
        try:
            answer = tenant._call_tenant("loomworks.client", "first_login_link")
        except LoomworksError as error:
            raise UserError(str(error)) from error
        self.env["loomworks.audit"]._record("first_login_link", self)
        link = tenant.public_url + answer["path"]
        message = self.env._(
            "Hand this link to the administrator of “%(name)s”. It works once, until %(until)s UTC: %%s",
            name=tenant.name,
            until=answer["expires_at"],
        )
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "title": self.env._("First login"),
                "message": message,
                "links": [{"label": link, "url": link}],
                "sticky": True,
                "type": "info",
            },
        }

    def _call_tenant(self, model, method, **arguments):
        """Call the tenant's own Odoo as the control plane's service user.

        :raises TenantUnreachable, ClusterUnreachable: when it does not answer
        """
        spec = self._to_spec()
        world = self._world(spec)
        key = read_secret(world, spec, names.SERVICE_KEY_SECRET, "api-key")
        service = world.kube.get("Service", names.ODOO, names.namespace(spec.uuid))
        if not key or not service:
            raise UserError(self.env._("“%s” is not running.", self.name))
        base_url = f"http://{service['spec']['clusterIP']}:{names.HTTP_PORT}"
        return TenantHttp().call(base_url, key, model, method, **arguments)

    # --- shared -------------------------------------------------------------------------------------

    def _move(self, action, reason=None):
        allowed, state = TRANSITIONS[action]
        self._check_state(allowed, action)
        self.sudo().write({"state": state, "state_reason": reason or False})
        self._audit_and_reconcile(action, reason or "")
        return True

    def _check_state(self, allowed, action):
        for tenant in self:
            if tenant.state not in allowed or (tenant.erased_at or tenant.erase_requested):
                raise UserError(
                    self.env._(
                        "“%(name)s” is %(state)s: %(action)s is not possible now.",
                        name=tenant.name,
                        state=dict(self._fields["state"]._description_selection(self.env))[tenant.state].lower(),
                        action=action.replace("_", " "),
                    )
                )

    def _audit_and_reconcile(self, action, result="", anew=False):
        self.env["loomworks.audit"]._record(action, self, result)
        for tenant in self.sudo().filtered("server_id"):
            tenant._lay_out_steps(anew=anew)
            tenant._request_reconcile()

    def _check_subscription(self):
        for tenant in self:
            if tenant._has_expired():
                raise UserError(
                    self.env._(
                        "The subscription of “%(name)s” expired on %(date)s. Extend it first.",
                        name=tenant.name,
                        date=tenant.subscription_expires,
                    )
                )

    def _has_expired(self):
        self.ensure_one()
        return bool(self.subscription_expires) and self.subscription_expires < fields.Date.context_today(self)

    def _check_operator(self):
        if not (self.env.su or self.env.user.has_group("loomworks_tenant.group_operator")):
            raise AccessError(self.env._("Only platform operators may do this."))

    def _check_admin(self):
        self.check_access("read")
        if self.env.su or self.env.user.has_group("loomworks_tenant.group_operator"):
            return
        if any(self.env.user not in tenant.sudo().admin_ids for tenant in self):
            raise AccessError(self.env._("Only the tenant's administrators may do this."))

    # --- crons --------------------------------------------------------------------------------------

    @api.model
    def _cron_expire(self):
        """Suspend tenants whose subscription has ended, and delete archived ones whose retention has."""
        self._end_subscriptions()
        self._end_retentions()

    @api.model
    def _end_subscriptions(self):
        ended = [("state", "in", ["provisioning", "active"]), ("subscription_expires", "<", fields.Date.today())]
        self.search(ended)._end_each(lambda tenant: tenant.action_suspend(EXPIRED))

    def _end_each(self, end):
        """Call ``end`` with each of these tenants; operators are told of one that fails, and the others' end comes.

        One that somebody else is changing just now has its turn at the next run.
        """
        for tenant in self:
            try:
                with self.env.cr.savepoint():
                    end(tenant)
            except PG_CONCURRENCY_EXCEPTIONS_TO_RETRY as error:
                _logger.info(
                    "the end of the subscription of the tenant %s waits for the next run: %s", tenant.uuid, error
                )
            except Exception as error:  # the boundary of one tenant: what is wrong with it is nobody else's trouble
                if tenant._is_too_early_to_tell(error):
                    continue
                _logger.exception("the end of the subscription of the tenant %s fails", tenant.uuid)
                why = str(error) or type(error).__name__
                tenant._raise_alarm(ALARM, self.env._("What follows from the end of its subscription fails: %s", why))
            else:
                tenant._end_alarm(ALARM, self.env._("Its subscription has come to its end."))

    def _is_too_early_to_tell(self, error):
        """Tell whether operators need not know of a failed end yet; addons know what may pass."""
        return False

    @api.model
    def _end_retentions(self):
        due = [("state", "=", "archived"), ("erased_at", "=", False), ("erase_requested", "=", False)]
        self.search([*due, ("erase_at", "<=", fields.Datetime.now())])._end_retention()

    def _end_retention(self):
        for tenant in self:
            tenant.erase_requested = True
            tenant._audit_and_reconcile("erase", "retention ended")

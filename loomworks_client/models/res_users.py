"""How many users there may be, and the one user who is the control plane's."""

from contextlib import contextmanager
from typing import NamedTuple

from odoo import SUPERUSER_ID, api, models
from odoo.exceptions import AccessDenied, AccessError, ValidationError
from odoo.http import request

SERVICE_LOGIN = "loomworks-service"
LIMIT_PARAMETER = "loomworks.max_users"
# What of the service user only the platform changes.
SERVICE_FIELDS = {"login", "password", "new_password", "active", "group_ids", "partner_id"}
# What may make a user an internal, active one.
COUNTED_FIELDS = {"active", "group_ids"}

COUNT_USERS = """
    SELECT count(*) FROM res_users WHERE active AND NOT share AND id <> %(superuser)s AND login <> %(service)s
"""
READ_LIMIT = "SELECT value FROM ir_config_parameter WHERE key = %(key)s"
# Writing the row makes two transactions that add users collide: the second waits, fails to serialize, and is tried
# again by Odoo on what the first one left. A mere lock would let it go on with the count it had seen before.
READ_LIMIT_EXCLUSIVELY = "UPDATE ir_config_parameter SET value = value WHERE key = %(key)s RETURNING value"


class UserCount(NamedTuple):
    """Internal users who count, and how many there may be (0: as many as they like)."""

    users: int
    limit: int


class ResUsers(models.Model):
    """Users within the limit of the tenant's plan."""

    _inherit = "res.users"

    @api.model_create_multi
    def create(self, vals_list):
        """Create users within the limit."""
        with self._within_user_limit():
            return super().create(vals_list)

    def write(self, vals):
        """Change users within the limit; what makes the service user is the platform's alone."""
        if SERVICE_FIELDS & vals.keys():
            self._check_service_user_untouched()
        if not COUNTED_FIELDS & vals.keys():
            return super().write(vals)
        with self._within_user_limit():
            return super().write(vals)

    @api.ondelete(at_uninstall=False)
    def _unlink_except_service_user(self):
        self._check_service_user_untouched()

    def _check_credentials(self, credential, env):
        """Refuse the service user: it has an API key, and nobody logs in as it."""
        if self.login == SERVICE_LOGIN:
            raise AccessDenied
        return super()._check_credentials(credential, env)

    def _check_service_user_untouched(self):
        if SERVICE_LOGIN in self.sudo().mapped("login") and not self._acts_for_platform():
            raise AccessError(self.env._("The user “%s” belongs to your hosting and cannot be changed.", SERVICE_LOGIN))

    @api.model
    def _acts_for_platform(self):
        """Tell whether this is the control plane or the server itself, not somebody logged in who became superuser."""
        if self.env.user.login == SERVICE_LOGIN:
            return True
        return self.env.uid == SUPERUSER_ID and not (request and request.session.uid)

    @api.model
    @contextmanager
    def _within_user_limit(self):
        """Refuse what the block does if it adds internal users beyond the limit."""
        before = self._internal_user_count()
        yield
        if before.limit:
            after = self._internal_user_count(exclusively=before)
            if after.limit and after.users > max(before.users, after.limit):
                raise ValidationError(self._user_limit_message(after, after.users - before.users))

    @api.model
    def _internal_user_count(self, exclusively=None):
        """Count by SQL, past every cache: the control plane changes the limit from outside.

        With ``exclusively``, an earlier count that is exceeded is confirmed against other transactions.
        """
        self.flush_model(["active", "share", "login"])
        self.env["ir.config_parameter"].flush_model(["key", "value"])
        cr = self.env.cr
        cr.execute(COUNT_USERS, {"superuser": SUPERUSER_ID, "service": SERVICE_LOGIN})
        users = cr.fetchone()[0]
        added = exclusively is not None and users > exclusively.users
        cr.execute(READ_LIMIT_EXCLUSIVELY if added else READ_LIMIT, {"key": LIMIT_PARAMETER})
        value = (cr.fetchone() or ["0"])[0]
        return UserCount(users, int(value) if value.isdigit() else 0)

    @api.model
    def _user_limit_message(self, count, added):
        return self.env._(
            "Your plan allows %(limit)s users, and there would be %(users)s (%(added)s more than now). Archive a user "
            "who no longer works here, or ask whoever hosts this Odoo for you for a plan with more users. Portal users "
            "do not count.",
            limit=count.limit,
            users=count.users,
            added=added,
        )

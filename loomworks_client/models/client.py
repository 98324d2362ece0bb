"""What the control plane may ask a tenant's Odoo, by JSON-2 with the service user's key."""

import hashlib
from datetime import UTC, datetime, timedelta

from odoo import api, fields, models, release
from odoo.exceptions import AccessError, UserError
from odoo.tools.misc import hash_sign, verify_hash_signed

from .res_users import SERVICE_LOGIN

FIRST_LOGIN_SCOPE = "loomworks_first_login"
FIRST_LOGIN_PATH = "/loomworks/first-login"
FIRST_LOGIN_VALIDITY = timedelta(hours=24)


class LoomworksClient(models.AbstractModel):
    """The tenant's end of the control plane's calls."""

    _name = "loomworks.client"
    _description = "Calls of the Loomworks control plane"

    @api.model
    def first_login_link(self):
        """Return a one-time link by which the administrator chooses a password.

        It dies with the first login or change of password, whatever its way, and after 24 hours.

        :return: ``{"path": ..., "expires_at": "YYYY-MM-DD HH:MM:SS"}`` (UTC)
        """
        self._check_control_plane()
        user = self._administrator()
        expires = datetime.now(UTC) + FIRST_LOGIN_VALIDITY
        token = hash_sign(self.sudo().env, FIRST_LOGIN_SCOPE, [user.id, self._login_state(user)], expiration=expires)
        return {"path": f"{FIRST_LOGIN_PATH}/{token}", "expires_at": fields.Datetime.to_string(expires)}

    @api.model
    def health(self):
        """Return how this database is: users, their limit, size in bytes, version and installed modules."""
        self._check_control_plane()
        count = self.env["res.users"]._internal_user_count()
        modules = self.env["ir.module.module"].sudo()
        installed = modules.search_fetch([("state", "=", "installed")], ["name", "latest_version"])
        self.env.cr.execute("SELECT pg_database_size(current_database())")
        return {
            "users": count.users,
            "max_users": count.limit,
            "database_size": self.env.cr.fetchone()[0],
            "version": release.version,
            "modules": {module.name: module.latest_version for module in installed},
        }

    @api.model
    def _first_login_user(self, token):
        """Return the user (as superuser) whom ``token`` lets choose a password: none if it is used up or expired."""
        nobody = self.env["res.users"].sudo()
        try:
            signed = verify_hash_signed(self.sudo().env, FIRST_LOGIN_SCOPE, token)
        except ValueError:  # not even the form of a token
            return nobody
        if not signed:
            return nobody
        user_id, state = signed
        user = nobody.browse(user_id).exists()
        return user if user.active and state == self._login_state(user) else nobody

    @api.model
    def _administrator(self):
        user = self.env.ref("base.user_admin").sudo()
        if not user.active:
            raise UserError(self.env._("The administrator “%s” is archived: nobody can log in by a link.", user.login))
        return user

    @api.model
    def _login_state(self, user):
        """Return a digest of what every login and every change of password changes."""
        self.env.cr.execute(
            """
            SELECT u.password, max(l.id)
              FROM res_users u LEFT JOIN res_users_log l ON l.create_uid = u.id
             WHERE u.id = %s GROUP BY u.id
            """,
            [user.id],
        )
        return hashlib.sha256(repr(self.env.cr.fetchone()).encode()).hexdigest()

    @api.model
    def _check_control_plane(self):
        if self.env.user.login != SERVICE_LOGIN:
            raise AccessError(self.env._("Only the Loomworks control plane may ask for this."))

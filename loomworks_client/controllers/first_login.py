"""The page where a tenant's administrator chooses a password, reached by a one-time link."""

import logging
import re

from odoo.exceptions import UserError
from odoo.http import Controller, request, route

from ..models.client import FIRST_LOGIN_PATH

MINIMUM_LENGTH = 12  # characters
HOME = "/odoo"
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the address is the secret
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
}

TOKEN = re.compile(rf"({FIRST_LOGIN_PATH}/)[\w-]+")


class _Discreet(logging.Filter):
    """Has the log of requests not hold what a link consists of."""

    def filter(self, record):
        if FIRST_LOGIN_PATH in str(record.args):
            record.args = tuple(TOKEN.sub(r"\1...", one) if isinstance(one, str) else one for one in record.args)
        return True


logging.getLogger("werkzeug").addFilter(_Discreet())


class FirstLogin(Controller):
    """One address: GET shows the form and changes nothing, POST sets the password."""

    @route(f"{FIRST_LOGIN_PATH}/<string:token>", type="http", auth="public", methods=["GET", "POST"], sitemap=False)
    def first_login(self, token, password="", confirm_password="", **_ignored):
        """Show the form, or take the password and go on as the administrator."""
        user = request.env["loomworks.client"]._first_login_user(token)
        if not user:
            return self._render("loomworks_client.first_login_gone", {}, status=410)
        if request.httprequest.method == "GET":
            return self._form(user)
        error = self._objection(password, confirm_password)
        if error:
            return self._form(user, error)
        return self._set_password(user, password)

    def _set_password(self, user, password):
        try:
            with request.env.cr.savepoint():
                user._change_password(password)
        except UserError as error:  # the database's own rules for passwords
            return self._form(user, str(error))
        request.env.cr.commit()  # the login that follows reads in a cursor of its own
        credential = {"login": user.login, "password": password, "type": "password"}
        request.session.authenticate(request.env, credential)
        return request.redirect(HOME)

    def _objection(self, password, confirmation):
        if password != password.strip():
            return request.env._("The password must not begin or end with a space.")
        if len(password) < MINIMUM_LENGTH:
            return request.env._("The password needs at least %s characters.", MINIMUM_LENGTH)
        if password != confirmation:
            return request.env._("The two passwords are not the same.")
        return None

    def _form(self, user, error=None):
        values = {"user_login": user.login, "error": error, "minimum_length": MINIMUM_LENGTH}
        return self._render("loomworks_client.first_login", values)

    def _render(self, template, values, status=200):
        values = {**values, "disable_database_manager": True}
        return request.render(template, values, headers=list(HEADERS.items()), status=status)

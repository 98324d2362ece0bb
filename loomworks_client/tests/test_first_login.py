"""The first login: one link, once, for a day."""

import logging
import re
from datetime import timedelta
from unittest.mock import patch

from freezegun import freeze_time
from odoo import fields
from odoo.exceptions import UserError
from odoo.tests import HttpCase

PASSWORD = "correct horse battery"


class TestFirstLogin(HttpCase):
    def setUp(self):
        super().setUp()
        self.admin = self.env.ref("base.user_admin")
        self.env.cr.execute("UPDATE res_users SET password = NULL WHERE id = %s", [self.admin.id])
        self.admin.invalidate_recordset(["password"])
        self.path = self.link()

    def link(self):
        service = self.env.ref("loomworks_client.user_service")
        return self.env["loomworks.client"].with_user(service).first_login_link()["path"]

    def choose(self, password=PASSWORD, confirmation=None, path=None):
        token = re.search(r'name="csrf_token" value="([^"]+)"', self.url_open(path or self.path).text).group(1)
        confirmation = password if confirmation is None else confirmation
        data = {"csrf_token": token, "password": password, "confirm_password": confirmation}
        return self.url_open(path or self.path, data=data, allow_redirects=False)

    def assert_gone(self, path):
        answer = self.url_open(path)
        self.assertEqual(answer.status_code, 410)
        self.assertIn("Ask whoever hosts this Odoo for you for a new link", answer.text)

    def can_log_in(self, password=PASSWORD):
        credential = {"login": self.admin.login, "password": password, "type": "password"}
        return self.env["res.users"].authenticate(credential, {"interactive": True})["uid"] == self.admin.id

    def test_password_is_set_and_the_administrator_is_logged_in(self):
        answer = self.choose()
        self.assertEqual((answer.status_code, answer.headers["Location"]), (303, "/odoo"))
        info = self.url_open("/web/session/get_session_info", json={}).json()["result"]
        self.assertEqual(info["uid"], self.admin.id)
        self.assertTrue(self.can_log_in())

    def test_looking_at_the_page_uses_nothing_up(self):
        for _ in range(2):
            self.assertEqual(self.url_open(self.path).status_code, 200)

    def test_second_use_is_refused_and_says_what_to_do(self):
        self.choose()
        self.assert_gone(self.path)

    def test_second_post_changes_nothing(self):
        page = self.url_open(self.path).text
        token = re.search(r'name="csrf_token" value="([^"]+)"', page).group(1)
        self.choose()
        data = {"csrf_token": token, "password": "another password", "confirm_password": "another password"}
        self.url_open(self.path, data=data)
        self.assertTrue(self.can_log_in())

    def test_ordinary_login_uses_the_link_up(self):
        self.env["res.users.log"].with_user(self.admin).sudo().create({})
        self.assert_gone(self.path)

    def test_changed_password_uses_the_link_up(self):
        self.admin.password = "set by hand"
        self.assert_gone(self.path)

    def test_link_expires_after_a_day(self):
        self.assertEqual(self.url_open(self.path).status_code, 200)
        client = self.env["loomworks.client"]
        token = self.path.rpartition("/")[2]
        with freeze_time(fields.Datetime.now() + timedelta(hours=23)):
            self.assertEqual(client._first_login_user(token), self.admin)
        with freeze_time(fields.Datetime.now() + timedelta(hours=25)):
            self.assertFalse(client._first_login_user(token))

    def test_link_of_another_database_does_not_work(self):
        self.env["ir.config_parameter"].set_param("database.secret", "another database's")
        self.assert_gone(self.path)

    def test_link_is_in_no_log(self):
        message, *args = '"%s" %s %s', f"POST {self.path} HTTP/1.1", "303", "-"
        record = logging.LogRecord("werkzeug", logging.INFO, "", 0, message, tuple(args), None)
        self.assertTrue(logging.getLogger("werkzeug").filter(record))
        self.assertEqual(record.getMessage(), '"POST /loomworks/first-login/... HTTP/1.1" 303 -')

    def test_mangled_links_do_not_work(self):
        for mangled in (self.path[:-2], self.path[:-1] + "!", "/loomworks/first-login/x", self.path + "AAAA"):
            self.assert_gone(mangled)

    def test_archived_administrator_cannot_use_a_link(self):
        self.env["res.users"].create(
            {"name": "other", "login": "other", "group_ids": [(4, self.env.ref("base.group_system").id)]}
        )
        self.admin.active = False
        self.assert_gone(self.path)

    def test_newer_link_works_after_a_login(self):
        self.choose()
        self.choose(password="and now another one", path=self.link())
        self.assertTrue(self.can_log_in("and now another one"))

    def test_short_password_is_refused(self):
        self.assertIn("at least 12 characters", self.choose("too short").text)
        self.assertEqual(self.url_open(self.path).status_code, 200)

    def test_different_passwords_are_refused(self):
        self.assertIn("not the same", self.choose(confirmation=PASSWORD + "!").text)

    def test_password_with_a_space_at_its_end_is_refused(self):
        self.assertIn("begin or end with a space", self.choose(PASSWORD + " ").text)

    def test_password_policy_of_the_database_holds(self):
        users = type(self.env["res.users"])
        refusal = UserError("at least one emoji")
        with patch.object(users, "_change_password", side_effect=refusal):
            self.assertIn("at least one emoji", self.choose().text)

    def test_post_without_csrf_token_changes_nothing(self):
        data = {"password": PASSWORD, "confirm_password": PASSWORD}
        self.assertEqual(self.url_open(self.path, data=data).status_code, 400)
        self.assertEqual(self.url_open(self.path).status_code, 200)

    def test_page_is_neither_stored_nor_framed_nor_told_to_others(self):
        headers = self.url_open(self.path).headers
        self.assertEqual(headers["Cache-Control"], "no-store")
        self.assertEqual(headers["Referrer-Policy"], "no-referrer")
        self.assertEqual(headers["X-Frame-Options"], "DENY")

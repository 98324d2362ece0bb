"""The control plane's user: there, working, and out of everybody's reach."""

from odoo import SUPERUSER_ID, Command, fields
from odoo.exceptions import AccessDenied, AccessError
from odoo.tests import HttpCase, JsonRpcException

from .common import ClientCase

CREDENTIAL = {"login": "loomworks-service", "password": "whatever it is", "type": "password"}


class TestServiceUser(ClientCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.seen = cls.env["res.users"].with_user(cls.admin)

    def test_service_user_is_internal_without_password(self):
        self.env.cr.execute("SELECT password FROM res_users WHERE id = %s", [self.service.id])
        self.assertEqual(self.env.cr.fetchone(), (None,))
        self.assertTrue(self.service._is_internal())
        self.assertFalse(self.service._is_system())
        self.assertTrue(self.service.has_group("loomworks_client.group_service"))

    def test_administrator_does_not_see_it(self):
        self.assertNotIn(self.service, self.seen.with_context(active_test=False).search([]))

    def test_it_sees_itself(self):
        found = self.env["res.users"].with_user(self.service).search([("login", "=", "loomworks-service")])
        self.assertEqual(found, self.service)

    def test_administrator_cannot_read_it_by_its_id(self):
        with self.assertRaises(AccessError):
            self.seen.browse(self.service.id).read(["login"])

    def test_administrator_cannot_change_it(self):
        with self.assertRaises(AccessError):
            self.seen.browse(self.service.id).write({"name": "Mine"})

    def test_administrator_cannot_give_it_a_password_in_superuser_mode(self):
        with self.assertRaisesRegex(AccessError, "belongs to your hosting"):
            self.service.with_user(self.admin).sudo().password = "a password of mine"

    def test_administrator_cannot_give_it_groups_in_superuser_mode(self):
        with self.assertRaises(AccessError):
            system = Command.link(self.env.ref("base.group_system").id)
            self.service.with_user(self.admin).sudo().group_ids = [system]

    def test_administrator_cannot_remove_it(self):
        for service in (self.seen.browse(self.service.id), self.seen.browse(self.service.id).sudo()):
            with self.assertRaises(AccessError):
                service.unlink()

    def test_administrator_cannot_remove_its_key(self):
        self.env["res.users.apikeys"].with_user(self.service).sudo()._generate("rpc", "control plane", False)
        key = self.env["res.users.apikeys"].search([("user_id", "=", self.service.id)])
        with self.assertRaises(AccessError):
            key.with_user(self.admin)._remove()
        self.assertTrue(key.exists())

    def test_other_keys_are_removed_as_ever(self):
        expiry = fields.Datetime.add(fields.Datetime.now(), days=1)
        self.env["res.users.apikeys"].with_user(self.admin)._generate("rpc", "mine", expiry)
        key = self.env["res.users.apikeys"].search([("user_id", "=", self.admin.id)])
        key.with_user(self.admin)._remove()
        self.assertFalse(key.exists())

    def test_nobody_logs_in_as_it_even_with_a_password_set_from_outside(self):
        self.service.password = "whatever it is"
        with self.assertRaises(AccessDenied):
            self.service.with_user(self.service).sudo()._check_credentials(CREDENTIAL, {"interactive": True})


class TestBecomingSuperuser(HttpCase):
    """An administrator may become Odoo's superuser in the browser; the platform's things stay out of reach."""

    def set_param(self, key, value):
        arguments = {"model": "ir.config_parameter", "method": "set_param", "args": [key, value], "kwargs": {}}
        return self.make_jsonrpc_request("/web/dataset/call_kw", arguments)

    def test_administrator_who_became_superuser_cannot_raise_the_limit(self):
        self.authenticate("admin", "admin")
        self.url_open("/web/become")
        session = self.make_jsonrpc_request("/web/session/get_session_info")
        self.assertEqual(session["uid"], SUPERUSER_ID)
        with self.assertRaisesRegex(JsonRpcException, "AccessError"):
            self.set_param("loomworks.max_users", "1000")
        self.set_param("my.own", "1000")

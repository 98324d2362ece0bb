"""The parameters of the platform, and a tenant's administrator who would like other ones."""

from odoo.exceptions import AccessError

from .common import ClientCase

KEY = "loomworks.max_users"


class TestPlatformParameters(ClientCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.set_limit(50)
        cls.parameters = cls.env["ir.config_parameter"].with_user(cls.admin)
        cls.parameter = cls.parameters.search([("key", "=", KEY)])

    def test_administrator_cannot_raise_the_limit(self):
        with self.assertRaisesRegex(AccessError, "loomworks.max_users is set by your hosting"):
            self.parameters.set_param(KEY, "5000")

    def test_administrator_cannot_in_superuser_mode_either(self):
        with self.assertRaises(AccessError):
            self.parameters.sudo().set_param(KEY, "5000")

    def test_administrator_cannot_remove_it(self):
        with self.assertRaises(AccessError):
            self.parameter.unlink()

    def test_administrator_cannot_rename_it(self):
        with self.assertRaises(AccessError):
            self.parameter.key = "something.else"

    def test_administrator_cannot_make_one_up(self):
        with self.assertRaises(AccessError):
            self.parameters.create({"key": "loomworks.anything", "value": "1"})

    def test_administrator_cannot_turn_another_into_one(self):
        other = self.parameters.create({"key": "my.own", "value": "1"})
        with self.assertRaises(AccessError):
            other.key = "loomworks.anything"

    def test_other_parameters_are_the_administrators(self):
        self.parameters.set_param("my.own", "1")
        self.parameters.set_param("my.own", False)
        self.assertFalse(self.parameters.get_param("my.own"))

    def test_server_itself_may_change_them(self):
        self.env["ir.config_parameter"].set_param(KEY, "60")
        self.assertEqual(self.env["res.users"]._internal_user_count().limit, 60)

    def test_service_user_may_change_them(self):
        self.env["ir.config_parameter"].with_user(self.service).sudo().set_param(KEY, "70")
        self.assertEqual(self.env["res.users"]._internal_user_count().limit, 70)

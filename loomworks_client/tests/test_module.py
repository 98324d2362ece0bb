"""The client addon stays installed."""

from odoo.exceptions import UserError

from .common import ClientCase


class TestModule(ClientCase):
    def uninstall(self, name):
        module = self.env["ir.module.module"].search([("name", "=", name)])
        module.with_user(self.admin).button_uninstall()

    def test_administrator_cannot_uninstall_the_client(self):
        with self.assertRaisesRegex(UserError, "Your hosting needs"):
            self.uninstall("loomworks_client")

    def test_server_itself_may_uninstall_the_client(self):
        module = self.env["ir.module.module"].search([("name", "=", "loomworks_client")])
        module.button_uninstall()
        self.assertEqual(module.state, "to remove")

    def test_other_modules_are_the_administrators(self):
        self.uninstall("web_tour")
        module = self.env["ir.module.module"].search([("name", "=", "web_tour")])
        self.assertEqual(module.state, "to remove")

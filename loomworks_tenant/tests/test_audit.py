import psycopg2
from odoo.exceptions import AccessError
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import TenantCase


@tagged("post_install", "-at_install")
class TestAudit(TenantCase):
    def entries(self, tenant):
        return self.env["loomworks.audit"].search([("record_id", "=", tenant.id)], order="id").mapped("action")

    def test_every_action_leaves_an_entry_with_who_and_on_what(self):
        tenant = self.make_active()
        tenant.action_restart()
        tenant.action_suspend("not paid")
        tenant.action_resume()
        tenant.action_retry()
        tenant.plan_id = self.env.ref("loomworks_tenant.plan_pro")
        tenant.action_archive()
        tenant.action_erase("Acme")
        self.assertEqual(
            self.entries(tenant),
            ["create", "provision", "restart", "suspend", "resume", "retry", "change", "archive", "erase"],
        )
        entry = self.env["loomworks.audit"].search([("action", "=", "suspend")], limit=1)
        self.assertEqual((entry.login, entry.record_name, entry.result), (self.operator.login, "Acme", "not paid"))

    def test_refused_action_leaves_none(self):
        tenant = self.make_tenant()
        with self.assertRaises(AccessError), self.cr.savepoint():
            tenant.with_user(self.auditor).action_archive()
        self.assertEqual(self.entries(tenant), ["create"])

    def test_entry_outlives_its_tenant(self):
        tenant = self.make_tenant()
        tenant_id = tenant.id
        tenant.unlink()
        entries = self.env["loomworks.audit"].search([("record_id", "=", tenant_id)], order="id")
        self.assertEqual(entries.mapped("action"), ["create", "unlink"])

    def test_nobody_changes_or_removes_an_entry(self):
        self.make_tenant()
        entry = self.env["loomworks.audit"].search([], limit=1)
        for user in (self.operator, self.auditor, self.env.ref("base.user_root")):
            mine = entry.with_user(user)
            with self.subTest(user.login), self.assertRaises(AccessError):
                mine.write({"login": "nobody"})
            with self.subTest(user.login), self.assertRaises(AccessError):
                mine.unlink()

    @mute_logger("odoo.sql_db")
    def test_raw_sql_cannot_either(self):
        self.make_tenant()
        for statement in (
            "UPDATE loomworks_audit SET login = 'nobody'",
            "DELETE FROM loomworks_audit",
            "TRUNCATE loomworks_audit",
        ):
            with self.subTest(statement), self.assertRaisesRegex(psycopg2.Error, "final"), self.cr.savepoint():
                self.env.cr.execute(statement)

    def test_nobody_makes_one_up(self):
        with self.assertRaises(AccessError):
            self.env["loomworks.audit"].with_user(self.operator).create({"user_id": 1, "login": "x", "action": "y"})

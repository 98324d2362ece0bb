from odoo.exceptions import AccessError
from odoo.tests import tagged

from .common import TenantCase


@tagged("post_install", "-at_install")
class TestAccess(TenantCase):
    def setUp(self):
        super().setUp()
        self.tenant = self.make_active(admin_ids=[(6, 0, self.customer.ids)])
        self.other = self.make_active("other")

    def test_tenant_admin_sees_only_their_tenants_and_steps(self):
        mine = self.env["loomworks.tenant"].with_user(self.customer).search([])
        steps = self.env["loomworks.tenant.step"].with_user(self.customer).search([])
        self.assertEqual((mine, steps.tenant_id), (self.tenant, self.tenant))
        self.assertFalse(self.env["loomworks.tenant"].with_user(self.stranger).search([]))

    def test_tenant_admin_may_read_what_the_form_shows(self):
        mine = self.tenant.with_user(self.customer)
        mine.invalidate_recordset()
        values = mine.read(["name", "state", "public_url", "progress", "current_step", "step_ids", "plan_id"])[0]
        self.assertEqual(values["public_url"], "https://acme.example.test:8443")
        mine.get_view(view_type="form")

    def test_stranger_cannot_read_a_tenant_by_its_id(self):
        with self.assertRaises(AccessError):
            self.tenant.with_user(self.stranger).read(["name"])

    def test_tenant_admin_may_restart_and_nothing_more(self):
        mine = self.tenant.with_user(self.customer)
        mine.action_restart()
        for action in ("action_provision", "action_suspend", "action_resume", "action_archive", "action_retry"):
            with self.subTest(action), self.assertRaises(AccessError):
                getattr(mine, action)()
        with self.assertRaises(AccessError):
            mine.action_erase("Acme")
        with self.assertRaises(AccessError):
            mine.write({"max_users": 1000})

    def test_stranger_may_not_even_restart_or_ask_for_the_first_login(self):
        theirs = self.tenant.with_user(self.stranger)
        for action in ("action_restart", "action_first_login_link"):
            with self.subTest(action), self.assertRaises(AccessError):
                getattr(theirs, action)()

    def test_auditor_reads_all_and_changes_nothing(self):
        seen = self.env["loomworks.tenant"].with_user(self.auditor).search([])
        self.assertIn(self.tenant, seen)
        self.assertIn(self.other, seen)
        for action in ("action_restart", "action_archive"):
            with self.subTest(action), self.assertRaises(AccessError):
                getattr(self.tenant.with_user(self.auditor), action)()

    def test_tenant_admin_cannot_see_servers_clusters_or_the_audit_log(self):
        for model in ("loomworks.database.server", "loomworks.cluster", "loomworks.audit", "loomworks.template"):
            with self.subTest(model), self.assertRaises(AccessError):
                self.env[model].with_user(self.customer).search([])

    def test_ordinary_user_sees_nothing(self):
        ordinary = self.make_user_without_group()
        with self.assertRaises(AccessError):
            self.env["loomworks.tenant"].with_user(ordinary).search([])

    def make_user_without_group(self):
        from odoo.tests import new_test_user

        return new_test_user(self.env, "ordinary@example.test", groups="base.group_user")

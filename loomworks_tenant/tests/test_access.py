import json

from odoo import fields
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

    def test_operator_has_a_failed_template_looked_at_again(self):
        template = self.env["loomworks.template"]._ensure(self.plan, self.server)
        template.write({"state": "failed", "attempts": 3, "reconcile_at": False})
        with self.assertRaises(AccessError):
            template.with_user(self.auditor).action_rebuild()
        self.assertEqual(template.state, "failed")
        template.with_user(self.operator).action_rebuild()
        self.assertEqual((template.state, template.attempts), ("building", 0))
        self.assertTrue(template.reconcile_at)

    def test_ordinary_user_sees_nothing(self):
        ordinary = self.make_user_without_group()
        with self.assertRaises(AccessError):
            self.env["loomworks.tenant"].with_user(ordinary).search([])

    def make_user_without_group(self):
        from odoo.tests import new_test_user

        return new_test_user(self.env, "ordinary@example.test", groups="base.group_user")

    def test_nobody_looks_into_the_dialogs_of_others(self):
        asked = {"tenant_id": self.other.id, "action": "archive", "confirm_name": "Other"}
        dialog = self.env["loomworks.tenant.confirm"].with_user(self.operator).create(asked)
        colleague = self.make_user("colleague", "group_operator")
        self.assertFalse(dialog.with_user(colleague).search([]))
        with self.assertRaises(AccessError):
            dialog.with_user(colleague).write({"tenant_id": self.tenant.id})

    def test_only_a_system_administrator_says_where_secrets_and_servers_are(self):
        cluster, server = self.cluster.with_user(self.operator), self.server.with_user(self.operator)
        for row, name in ((cluster, "kubeconfig"), (server, "host"), (server, "password_reference")):
            with self.subTest(name), self.assertRaisesRegex(AccessError, "only a system administrator"):
                row.write({name: "file:/tmp/of/ones/own"})
            with self.subTest(name), self.assertRaisesRegex(AccessError, "only a system administrator"):
                row.create([{"name": "another", name: "file:/tmp/of/ones/own"}])
        cluster.write({"domain": "other.test"})
        server.write({"capacity": 12})
        self.env.user.group_ids += self.env.ref("base.group_system")
        self.cluster.write({"kubeconfig": "file:/somewhere"})


@tagged("post_install", "-at_install")
class TestDefaults(TenantCase):
    """A caller's context, and personal defaults, set nothing that only actions set."""

    FORGED = {"state": "active", "erase_requested": True, "database_name": "t_of_somebody", "uuid": "mine"}

    def prefer(self, model, user, **values):
        """Have a user's personal defaults be ``values``, as any user may by JSON-2."""
        defaults = self.env["ir.default"].with_user(user)
        for name, value in values.items():
            field = self.env["ir.model.fields"].sudo()._get(model, name)
            defaults.create({"field_id": field.id, "user_id": user.id, "json_value": json.dumps(value)})

    def assert_own(self, tenant):
        self.assertEqual((tenant.state, tenant.erase_requested), ("draft", False))
        self.assertNotIn(self.FORGED["uuid"], (tenant.uuid, tenant.database_name))
        self.assertNotEqual(tenant.database_name, self.FORGED["database_name"])

    def test_context_of_the_caller_sets_none_of_the_guarded_fields(self):
        context = {f"default_{name}": value for name, value in self.FORGED.items()}
        tenants = self.env["loomworks.tenant"].with_user(self.operator).with_context(**context)
        values = {"name": "A", "subdomain": "forged", "plan_id": self.plan.id, "cluster_id": self.cluster.id}
        self.assert_own(tenants.create(values))
        self.assert_own(tenants.sudo().create({**values, "subdomain": "forged-too"}))

    def test_personal_defaults_set_none_either(self):
        self.prefer("loomworks.tenant", self.operator, **self.FORGED)
        self.assert_own(self.make_tenant())

    def test_default_of_what_anybody_may_choose_counts_where_they_choose(self):
        tenants = self.env["loomworks.tenant"].with_user(self.operator).with_context(default_plan_id=self.plan.id)
        tenant = tenants.create({"name": "A", "subdomain": "by-default", "cluster_id": self.cluster.id})
        self.assertEqual(tenant.plan_id, self.plan)

    def test_time_of_an_entry_is_that_of_the_action(self):
        tenant = self.make_active()
        self.prefer("loomworks.audit", self.operator, result="nothing to see here")
        since = fields.Datetime.now()
        tenant.with_context(default_date="2001-01-01 00:00:00", default_login="somebody").action_restart()
        entry = self.env["loomworks.audit"].search([("action", "=", "restart")], limit=1)
        self.assertGreaterEqual(entry.date, since)
        self.assertEqual(entry.login, self.operator.login)


@tagged("post_install", "-at_install")
class TestSettings(TenantCase):
    """Who changes what the platform rests on is written down."""

    def entries(self, record):
        domain = [("model_name", "=", record._name), ("record_id", "=", record.id)]
        return [(one.login, one.action, one.result) for one in self.env["loomworks.audit"].search(domain, order="id")]

    def test_changes_of_clusters_servers_and_plans_are_written_down_without_values(self):
        for record, values in (
            (self.cluster, {"image": "x"}),
            (self.server, {"capacity": 3}),
            (self.plan, {"name": "y"}),
        ):
            before = len(self.entries(record))
            record.with_user(self.operator).write(values)
            record.sudo().write(values)  # the deployment's own, at each start
            self.assertEqual(self.entries(record)[before:], [(self.operator.login, "change", *values)])

    def test_whoever_becomes_an_administrator_of_a_tenant_is_named(self):
        tenant = self.make_active(admin_ids=[(6, 0, self.customer.ids)])
        tenant.write({"admin_ids": [(3, self.customer.id), (4, self.stranger.id)]})
        tenant.write({"admin_ids": [(4, self.stranger.id)]})
        told = [one for one in self.entries(tenant) if one[1] == "change_admins"]
        said = f"+{self.stranger.login}, -{self.customer.login}"
        self.assertEqual(told, [(self.operator.login, "change_admins", said)])

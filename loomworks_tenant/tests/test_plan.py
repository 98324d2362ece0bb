from odoo.exceptions import ValidationError
from odoo.tests import tagged

from .common import TenantCase


@tagged("post_install", "-at_install")
class TestPlan(TenantCase):
    def test_catalogue_has_a_plan_of_each_tier(self):
        plans = self.env["loomworks.plan"].search([])
        self.assertEqual(plans.mapped("tier"), ["basic", "pro", "enterprise"])

    def test_every_template_has_what_every_tenant_needs(self):
        self.plan.module_names = "crm, contacts,crm"
        self.assertEqual(self.plan._modules(), ("base", "web", "loomworks_client", "loomworks_ai", "contacts", "crm"))

    def test_wrong_quantities_are_refused_with_an_example(self):
        for field, value in (("volume_size", "10 GB"), ("cpu_limit", "two"), ("memory_limit", "1g")):
            with self.subTest(field), self.assertRaisesRegex(ValidationError, "is no quantity"):
                self.plan[field] = value

    def test_wrong_module_name_is_refused(self):
        with self.assertRaisesRegex(ValidationError, "No technical name"):
            self.plan.module_names = "contacts, drop table"

    def test_wrong_code_is_refused(self):
        with self.assertRaisesRegex(ValidationError, "at most 20"):
            self.plan.code = "Basic plan"

    def test_another_image_makes_another_template(self):
        template = self.env["loomworks.template"]._ensure(self.plan, self.server)
        before = template._to_spec().database
        self.cluster.image = "registry.example/loomworks-odoo:2"
        self.assertNotEqual(template._to_spec().database, before)
        self.assertLessEqual(len(template._to_spec().building), 63)

    def test_finished_template_is_used_until_it_is_out_of_date(self):
        template = self.env["loomworks.template"]._ensure(self.plan, self.server)
        spec = template._to_spec()
        self.assertIsNone(template._current_database())
        template._record_done(spec)
        self.assertEqual(template._current_database(), spec.database)
        self.plan.module_names = "crm"
        self.assertIsNone(template._current_database())
        self.env["loomworks.template"]._ensure(self.plan, self.server)
        self.assertTrue(template.reconcile_at)

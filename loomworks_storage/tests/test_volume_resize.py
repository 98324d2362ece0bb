"""The size of a volume: the plan's at first, its own from then on."""

from odoo.addons.loomworks_tenant.tests.common import TenantCase
from odoo.exceptions import AccessError, UserError, ValidationError


class TestVolumeResize(TenantCase):
    def setUp(self):
        super().setUp()
        self.tenant = self.make_active(admin_ids=[(6, 0, self.customer.ids)])

    def entries(self):
        domain = [("action", "=", "resize_volume"), ("record_id", "=", self.tenant.id)]
        return self.env["loomworks.audit"].search(domain, order="id").mapped("result")

    def open_steps(self):
        return self.tenant.step_ids.filtered(lambda step: step.state != "done").mapped("code")

    def test_ten_g_of_a_plan_are_ten_gi(self):
        plan = self.plan.copy({"name": "More", "code": "more", "volume_size": "10G"})
        self.assertEqual(plan.volume_size, "10Gi")
        plan.volume_size = "1.5T"
        self.assertEqual(plan.volume_size, "1536Gi")
        for wrong in ("0", "512m", "ten"):
            with self.subTest(wrong), self.assertRaises(ValidationError):
                plan.volume_size = wrong

    def test_volume_follows_its_plan_upwards_and_never_down(self):
        self.plan.volume_size = "8Gi"
        self.assertEqual(self.tenant.volume_size, "8Gi")
        self.plan.volume_size = "2Gi"
        self.assertEqual(self.tenant.volume_size, "8Gi")
        larger = self.plan.copy({"name": "More", "code": "more", "volume_size": "20Gi"})
        self.tenant.plan_id = larger
        self.assertEqual(self.tenant.volume_size, "20Gi")
        self.tenant.plan_id = self.plan
        self.assertEqual(self.tenant.volume_size, "20Gi")
        self.assertEqual(self.tenant.sudo()._to_spec().volume.size, "20Gi")

    def test_draft_has_the_size_of_its_plan_both_ways(self):
        draft = self.make_tenant("globex")
        self.plan.volume_size = "2Gi"
        self.assertEqual(draft.volume_size, "2Gi")

    def test_resize_has_the_claim_asked_and_the_growth_awaited_and_leaves_an_entry(self):
        self.assertEqual(self.open_steps(), [])
        self.assertIs(self.tenant.resize_volume("20G"), True)
        self.assertEqual(self.tenant.volume_size, "20Gi")
        self.assertEqual(self.open_steps(), ["volume_claim", "volume", "volume_growth"])
        self.assertEqual(self.entries(), ["5Gi -> 20Gi"])
        self.assertTrue(self.tenant.reconcile_at)
        self.assertTrue(self.tenant.volume_resized_at)

    def test_growth_is_awaited_last_so_that_nothing_waits_for_it(self):
        self.assertEqual(self.tenant._steps()[-1].code, "volume_growth")

    def test_same_size_changes_nothing(self):
        self.tenant.resize_volume("5120Mi")
        self.assertEqual((self.tenant.volume_size, self.entries(), self.open_steps()), ("5Gi", [], []))

    def test_smaller_size_is_refused_with_the_reason(self):
        with self.assertRaisesRegex(UserError, "has 5Gi: a volume only grows, it cannot become 4Gi"):
            self.tenant.resize_volume("4Gi")
        self.assertEqual((self.tenant.volume_size, self.entries()), ("5Gi", []))

    def test_what_is_no_size_is_refused_with_an_example(self):
        for size in ("", None, "lots", "10 GB", "0", "-1Gi", "1m"):
            with self.subTest(size), self.assertRaisesRegex(UserError, "10Gi"):
                self.tenant.resize_volume(size)

    def test_one_of_several_that_cannot_leaves_all_as_they_were(self):
        other = self.make_active("globex")
        other.resize_volume("30Gi")
        with self.assertRaises(UserError):
            (self.tenant | other).resize_volume("20Gi")
        self.assertEqual(self.tenant.volume_size, "5Gi")

    def test_archived_tenant_keeps_its_size(self):
        self.tenant.action_archive()
        with self.assertRaisesRegex(UserError, "archived"):
            self.tenant.resize_volume("20Gi")

    def test_only_operators_resize(self):
        for user in (self.customer, self.auditor, self.stranger):
            with self.subTest(user.login), self.assertRaises(AccessError):
                self.tenant.with_user(user).resize_volume("20Gi")

    def test_nobody_sets_the_size_past_the_action(self):
        with self.assertRaisesRegex(UserError, "volume_size cannot be set directly"):
            self.tenant.with_user(self.operator).write({"volume_size": "1Ti"})

    def test_copy_of_a_row_starts_with_the_size_of_its_plan(self):
        self.tenant.resize_volume("20Gi")
        self.assertEqual(self.tenant.copy({"subdomain": "acme2"}).volume_size, "5Gi")

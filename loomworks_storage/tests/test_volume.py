"""A tenant's volume: what plan and cluster say reaches the engine, and its steps stand where they belong."""

from odoo.addons.loomworks_tenant.tests.common import TenantCase


class TestVolume(TenantCase):
    def spec_of(self, tenant):
        return tenant.sudo()._to_spec()

    def test_volume_is_named_after_the_tenant_and_sized_by_the_plan(self):
        tenant = self.make_active()
        self.plan.volume_size = "7Gi"
        volume = self.spec_of(tenant).volume
        self.assertEqual(volume.claim, f"odoo-instance-{tenant.uuid}")
        self.assertEqual(tenant.volume_claim_name, volume.claim)
        self.assertEqual((volume.size, tenant.volume_size), ("7Gi", "7Gi"))
        self.assertEqual(volume.access_mode, self.plan.access_mode)
        self.assertEqual(volume.mount_path, self.plan.mount_path)

    def test_storage_class_is_the_plans_else_the_clusters_else_the_default(self):
        tenant = self.make_active()
        self.assertEqual(self.spec_of(tenant).volume.storage_class, "")
        self.cluster.storage_class = "gp3"
        self.assertEqual(self.spec_of(tenant).volume.storage_class, "gp3")
        self.plan.storage_class = "fast"
        self.assertEqual(self.spec_of(tenant).volume.storage_class, "fast")

    def test_volume_is_claimed_before_the_clone_and_awaited_before_the_pod(self):
        tenant = self.make_tenant()
        codes = [step.code for step in tenant._steps()]
        self.assertEqual(codes.count("volume_claim"), 1)
        self.assertLess(codes.index("policies"), codes.index("volume_claim"))
        self.assertLess(codes.index("volume_claim"), codes.index("database"))
        self.assertLess(codes.index("identity"), codes.index("volume"))
        self.assertLess(codes.index("volume"), codes.index("workload"))

    def test_larger_plan_has_the_claim_looked_at_again(self):
        tenant = self.make_active()
        before = {step.code: step.state for step in tenant.step_ids}
        self.assertEqual(set(before.values()), {"done"})
        self.plan.volume_size = "50Gi"
        tenant._reconcile_if_changed()
        after = {step.code: step.state for step in tenant.step_ids}
        self.assertNotEqual(after["volume_claim"], "done")
        self.assertEqual(after["database"], "done")
        self.assertTrue(tenant.reconcile_at)

import dataclasses
from unittest.mock import patch

from odoo.tests import tagged

from ..reconciler.spec import ClusterSpec
from .common import TenantCase


@tagged("post_install", "-at_install")
class TestCluster(TenantCase):
    """Which changes of a cluster reach its tenants."""

    def setUp(self):
        super().setUp()
        self.tenant = self.make_active().sudo()

    def test_change_that_concerns_tenants_has_them_reconciled(self):
        for field, value in (("domain", "other.test"), ("image", "registry.example/odoo:2"), ("cpu_request", "10m")):
            with self.subTest(field):
                self.finish_steps(self.tenant)
                self.cluster[field] = value
                self.assertTrue(self.tenant.working)

    def test_change_that_does_not_concern_tenants_does_not_look_at_them(self):
        with patch.object(type(self.tenant), "_lay_out_steps") as laid_out:
            self.cluster.write({"name": "other", "sequence": 3})
            laid_out.assert_not_called()
            self.cluster.domain = "other.test"
            laid_out.assert_called_once()

    def test_tenant_that_waits_for_the_clusters_repair_goes_on(self):
        step = self.tenant.step_ids[-1:]
        step.write({"state": "failed"})
        self.assertFalse(self.tenant.working)
        self.cluster.context = "another"
        self.assertTrue(self.tenant.working)

    def test_every_field_of_the_specification_concerns_tenants(self):
        names = {one.name for one in dataclasses.fields(ClusterSpec)}.intersection(self.cluster._fields)
        self.assertTrue(names)
        self.assertLessEqual(names, self.cluster._tenant_fields())

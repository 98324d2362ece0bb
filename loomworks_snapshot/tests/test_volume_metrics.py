"""What Prometheus is told of volumes."""

from datetime import timedelta

from odoo import fields
from odoo.addons.loomworks_tenant.tests.common import TenantCase


class TestVolumeMetrics(TenantCase):
    def setUp(self):
        super().setUp()
        self.env["loomworks.cluster"].search([("id", "!=", self.cluster.id)]).active = False

    def told(self):
        found = self.env["loomworks.database.server"].sudo()._metrics()
        return {
            (metric.name, labels.get("percent")): value
            for metric in found
            if "volume" in metric.name
            for labels, value in metric.samples
            if labels["cluster"] == self.cluster.name
        }

    def volume(self, subdomain, **values):
        values = {"phase": "Bound", "growth": "none", **values}
        return self.env["loomworks.volume"].create({"tenant_id": self.make_active(subdomain).id, **values})

    def test_nothing_is_told_of_looks_that_never_came(self):
        nothing = {("loomworks_volumes_nearly_full", level): 0 for level in ("80", "90")}
        quiet = {("loomworks_volumes_not_bound", None): 0, ("loomworks_volume_growth_stuck", None): 0}
        self.assertEqual(self.told(), {**nothing, **quiet})

    def test_each_trouble_is_counted_and_archived_tenants_are_not(self):
        self.volume("fine")
        self.volume("high", warning="80")
        self.volume("critical", warning="90")
        self.volume("pending", phase="Pending")
        self.volume("stuck", growth="infeasible")
        self.volume("unanswered", growth="unanswered")
        self.volume("gone", phase=False, warning="90").tenant_id.action_archive()
        self.cluster.volumes_read_at = fields.Datetime.now() - timedelta(minutes=7)
        told = self.told()
        self.assertAlmostEqual(told.pop(("loomworks_volumes_look_age_seconds", None)), 420, delta=5)
        self.assertEqual(
            told,
            {
                ("loomworks_volumes_nearly_full", "80"): 2,
                ("loomworks_volumes_nearly_full", "90"): 1,
                ("loomworks_volumes_not_bound", None): 1,
                ("loomworks_volume_growth_stuck", None): 2,
            },
        )

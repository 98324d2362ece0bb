"""What Prometheus is told of imports."""

from odoo.addons.loomworks_tenant.tests.common import TenantCase


class TestImportMetrics(TenantCase):
    def told(self):
        found = self.env["loomworks.database.server"].sudo()._metrics()
        samples = [sample for metric in found if metric.name == "loomworks_imports" for sample in metric.samples]
        return {labels["state"]: value for labels, value in samples if labels["cluster"] == self.cluster.name}

    def test_imports_are_counted_by_state_and_those_that_are_over_are_not(self):
        self.assertEqual(set(self.told().values()), {0})
        values = {"plan_id": self.plan.id, "cluster_id": self.cluster.id}
        for number, state in enumerate(("draft", "failed", "failed", "done", "cancelled")):
            name = f"old-{number}"
            row = {**values, "name": name, "subdomain": name, "source": f"{name}.zip", "state": state}
            self.env["loomworks.import"].sudo().create(row)
        told = self.told()
        self.assertEqual((told["draft"], told["failed"], told["loading"]), (1, 2, 0))
        self.assertNotIn("done", told)

from odoo.addons.loomworks_tenant.tests.common import TenantCase


class TestSnapshot(TenantCase):
    def test_x(self):
        t = self.make_active()
        t.action_create_snapshot()
        self.assertEqual(t.snapshot_ids.state, "creating")
        for m in ("loomworks.snapshot", "loomworks.tenant", "loomworks.plan", "loomworks.database.server"):
            for v in ("form", "list", "search"):
                self.env[m].get_view(view_type=v)

from odoo.exceptions import UserError
from odoo.tests import tagged

from .common import TenantCase


@tagged("post_install", "-at_install")
class TestPlacement(TenantCase):
    def test_least_loaded_server_gets_the_tenant(self):
        small = self.make_server("db2", capacity=2)
        placed = [self.make_active(f"tenant-{number}").server_id for number in range(4)]
        # Shares of 10 and 2: 0/0, then 10 %/0, then 10 %/50 %, then 20 %/50 %.
        self.assertEqual(placed, [self.server, small, self.server, self.server])

    def test_full_servers_refuse_with_their_numbers(self):
        self.server.capacity = 1
        self.make_active("first")
        second = self.make_tenant("second")
        with self.assertRaisesRegex(UserError, r"db1 \(1 of 1\)"):
            second.action_provision()
        self.assertEqual(second.state, "draft")

    def test_inactive_server_gets_no_new_tenant(self):
        self.server.active = False
        with self.assertRaisesRegex(UserError, "no database server"):
            self.make_tenant().action_provision()

    def test_inactive_places_are_looked_after_for_as_long_as_they_have_tenants(self):
        tenant = self.make_active()
        tenant.action_archive()
        (self.server | self.make_server("empty")).active = False
        self.cluster.active = False
        servers, clusters = self.env["loomworks.database.server"], self.env["loomworks.cluster"]
        self.assertEqual(servers._in_use(), self.server)
        self.assertIn(self.cluster, clusters._in_use())
        tenant.action_erase("Acme", "The test is over.")
        self.finish_steps(tenant)
        self.assertFalse(servers._in_use())
        self.assertNotIn(self.cluster, clusters._in_use())

    def test_archived_tenant_takes_room_until_it_is_erased(self):
        tenant = self.make_active()
        tenant.action_archive()
        self.assertEqual(self.server.tenant_count, 1)
        tenant.action_erase("Acme")
        self.finish_steps(tenant)
        self.server.invalidate_recordset()
        self.assertEqual(self.server.tenant_count, 0)

    def test_unreachable_server_is_recorded_and_said(self):
        self.server.password_reference = "env:LOOMWORKS_NO_SUCH_VARIABLE"
        self.server.action_check()
        self.assertFalse(self.server.reachable)
        self.assertIn("LOOMWORKS_NO_SUCH_VARIABLE", self.server.check_message)

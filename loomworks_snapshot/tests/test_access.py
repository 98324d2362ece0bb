"""Who may do what to a snapshot, tried from the wrong side; and how often."""

from datetime import timedelta

from odoo.exceptions import AccessError, UserError
from odoo.tests import new_test_user, tagged

from .common import SnapshotCase

ACTIONS = ("action_verify", "action_keep", "action_unkeep", "action_delete", "action_create_snapshot")


@tagged("post_install", "-at_install")
class TestAccess(SnapshotCase):
    def setUp(self):
        super().setUp()
        self.mine = self.take_ready()
        self.other_tenant = self.make_active("other")
        self.other = self.take_ready(self.other_tenant)

    def test_tenant_admin_sees_only_their_tenants_snapshots(self):
        self.assertEqual(self.snapshots.with_user(self.customer).search([]), self.mine)
        self.assertFalse(self.snapshots.with_user(self.stranger).search([]))
        with self.assertRaises(AccessError):
            self.other.with_user(self.customer).read(["name"])

    def test_tenant_admin_takes_and_proves_their_own(self):
        made = self.take(user=self.customer, name="Mine")
        self.assertEqual(made.requested_by_id, self.customer)
        self.mine.with_user(self.customer).action_verify()
        self.assertTrue(self.mine.with_user(self.customer).action_create_snapshot())
        self.assertTrue(self.snapshots.with_user(self.customer).action_create_snapshot(tenant_id=self.tenant.id))

    def test_tenant_admin_does_nothing_to_others(self):
        with self.assertRaises(AccessError):
            self.take(self.other_tenant, user=self.customer)
        with self.assertRaises(AccessError):
            self.snapshots.with_user(self.customer).action_create_snapshot(tenant_id=self.other_tenant.id)
        for action in ACTIONS:
            with self.subTest(action), self.assertRaises(AccessError):
                getattr(self.other.with_user(self.customer), action)()

    def test_tenant_admin_may_not_keep_or_delete(self):
        for action in ("action_keep", "action_unkeep", "action_delete"):
            with self.subTest(action), self.assertRaises(AccessError):
                getattr(self.mine.with_user(self.customer), action)()

    def test_auditor_reads_all_and_changes_nothing(self):
        seen = self.snapshots.with_user(self.auditor).search([])
        self.assertEqual(seen & (self.mine + self.other), self.mine + self.other)
        with self.assertRaises(AccessError):
            self.take(user=self.auditor)
        for action in ACTIONS:
            with self.subTest(action), self.assertRaises(AccessError):
                getattr(self.mine.with_user(self.auditor), action)()

    def test_ordinary_user_sees_nothing(self):
        ordinary = new_test_user(self.env, "ordinary@example.test", groups="base.group_user")
        with self.assertRaises(AccessError):
            self.snapshots.with_user(ordinary).search([])

    def test_nobody_makes_changes_or_removes_rows_by_hand(self):
        values = {"tenant_id": self.tenant.id, "server_id": self.server.id, "name": "Forged", "state": "ready"}
        for user in (self.operator, self.customer, self.auditor):
            with self.subTest(user.login):
                with self.assertRaises(AccessError):
                    self.snapshots.with_user(user).create(values)
                with self.assertRaises(AccessError):
                    self.mine.with_user(user).write({"state": "ready"})
                with self.assertRaises(AccessError):
                    self.mine.with_user(user).unlink()

    def test_live_snapshot_is_not_unlinked_even_by_the_system(self):
        with self.assertRaisesRegex(UserError, "Delete"):
            self.mine.sudo().unlink()

    def test_limit_of_an_hour_and_of_a_day_hold_for_admins_only(self):
        self.plan.write({"manual_snapshots_hourly": 2, "manual_snapshots_daily": 3})
        self.take(user=self.customer)  # with the operator's own, two in this hour
        with self.assertRaisesRegex(UserError, "2 snapshots taken by hand in 1 hours.*possible from"):
            self.take(user=self.customer)
        self.take()
        for one in self.tenant.snapshot_ids:
            one.sudo().requested_at -= timedelta(hours=2)
        with self.assertRaisesRegex(UserError, "3 snapshots taken by hand in 24 hours"):
            self.take(user=self.customer)
        for one in self.tenant.snapshot_ids:
            one.sudo().requested_at -= timedelta(hours=24)
        self.take(user=self.customer)

    def test_plan_without_any_by_hand_says_so(self):
        self.plan.manual_snapshots_hourly = 0
        with self.assertRaisesRegex(UserError, "0 snapshots"):
            self.take(user=self.customer)

    def test_each_action_is_audited(self):
        self.mine.with_user(self.operator).action_keep()
        self.mine.with_user(self.operator).action_unkeep()
        self.mine.with_user(self.operator).action_verify()
        self.mine.with_user(self.operator).action_delete()
        words = ["create", "keep", "unkeep", "verify", "delete"]
        self.assertEqual(self.audited(self.mine), [f"snapshot_{word}" for word in words])

    def test_deleted_one_stays_as_an_expired_row(self):
        self.mine.with_user(self.operator).action_delete()
        self.assertEqual((self.mine.state, bool(self.mine.expires_at)), ("expired", True))
        for action in ("action_verify", "action_keep", "action_delete"):
            with self.subTest(action), self.assertRaisesRegex(UserError, "expired"):
                getattr(self.mine.with_user(self.operator), action)()

    def test_kept_one_is_not_deleted(self):
        self.mine.with_user(self.operator).action_keep()
        with self.assertRaisesRegex(UserError, "kept forever"):
            self.mine.with_user(self.operator).action_delete()

    def test_snapshot_of_nothing_is_refused(self):
        with self.assertRaisesRegex(UserError, "tenant_id"):
            self.snapshots.with_user(self.operator).action_create_snapshot()

    def test_everybody_who_may_see_them_can_open_the_views(self):
        for user in (self.operator, self.customer, self.auditor):
            for model, record in (("loomworks.snapshot", self.mine), ("loomworks.tenant", self.tenant)):
                with self.subTest(f"{user.login} {model}"):
                    arch = self.env[model].with_user(user).get_view(view_type="form")
                    record.with_user(user).web_read({name: {} for name in arch["models"][model] if name in record})

    def test_tenant_counts_what_can_be_restored(self):
        self.assertEqual((self.tenant.snapshot_count, self.tenant.failed_snapshot_count), (1, 0))
        self.assertEqual(self.tenant.with_user(self.customer).last_snapshot_at, self.mine.created_at)
        action = self.tenant.with_user(self.customer).action_snapshots()
        self.assertEqual(action["domain"], [("tenant_id", "=", self.tenant.id)])

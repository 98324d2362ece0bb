"""What is taken, kept and given up by itself; and what the repository must keep for it."""

from datetime import timedelta

from odoo import fields
from odoo.tests import tagged
from odoo.tools import mute_logger
from psycopg2.errors import CheckViolation

from .common import SnapshotCase


@tagged("post_install", "-at_install")
class TestCrons(SnapshotCase):
    def setUp(self):
        super().setUp()
        self.now = fields.Datetime.now()

    def automatic(self, age, **values):
        """Return a ready snapshot that was taken by the plan so many hours ago."""
        made = self.snapshots._request(self.tenant, "auto")
        self.run_reconciler()
        made.write({"created_at": self.now - timedelta(hours=age), **values})
        return made

    def test_first_snapshot_is_taken_at_once_and_the_next_in_its_turn(self):
        self.snapshots._cron_take()
        self.assertEqual(self.tenant.snapshot_ids.mapped("snapshot_type"), ["auto"])
        self.snapshots._cron_take()
        self.assertEqual(len(self.tenant.snapshot_ids), 1)
        self.run_reconciler()
        self.snapshots._cron_take()
        self.assertEqual(len(self.tenant.snapshot_ids), 1)
        self.assertGreater(self.tenant.next_snapshot_at, self.now)
        self.tenant.snapshot_ids.sudo().requested_at -= timedelta(days=2)
        self.snapshots._cron_take()
        self.assertEqual(len(self.tenant.snapshot_ids), 2)

    def test_plan_without_a_rhythm_and_tenants_that_rest_get_none(self):
        suspended = self.make_active("suspended")
        suspended.with_user(self.operator).action_suspend()
        self.plan.snapshot_minutes = 0
        self.snapshots._cron_take()
        self.plan.snapshot_minutes = 60
        self.tenant.sudo().state = "suspended"
        self.snapshots._cron_take()
        self.assertFalse((self.tenant + suspended).snapshot_ids)
        self.assertFalse(suspended.next_snapshot_at)

    def test_what_no_rule_keeps_expires(self):
        self.plan.write({"snapshot_keep_hourly": 2, "snapshot_keep_daily": 0, "snapshot_keep_weekly": 0})
        made = [self.automatic(age) for age in (0, 1, 2, 3)]
        made[3].kept_forever = True
        self.snapshots._cron_expire()
        self.assertEqual([one.state for one in made], ["ready", "ready", "expired", "ready"])

    def test_last_one_that_can_be_restored_never_expires(self):
        self.plan.write({f"snapshot_keep_{name}": 0 for name in ("hourly", "daily", "weekly", "monthly")})
        made = self.automatic(24 * 400)
        broken = self.automatic(24 * 10, state="failed")
        self.snapshots._cron_expire()
        self.assertEqual((made.state, broken.state), ("ready", "failed"))

    def test_one_taken_by_hand_is_kept_as_long_as_the_plan_says(self):
        self.plan.manual_snapshot_days = 3
        made, newer = self.take_ready(), self.take_ready()
        self.assertEqual(made.expires_at, made.requested_at + timedelta(days=3))
        made.expires_at = self.now - timedelta(minutes=1)
        self.snapshots._cron_expire()
        self.assertEqual((made.state, newer.state), ("expired", "ready"))

    def test_row_of_an_expired_one_is_forgotten_after_its_time(self):
        made = self.take_ready()
        made._expire()
        self.snapshots._cron_expire()
        self.assertTrue(made.exists())
        made.expires_at = self.now - timedelta(days=91)
        self.snapshots._cron_expire()
        self.assertFalse(made.exists())

    def test_erased_tenants_snapshots_expire_whatever_else_is_said(self):
        made = self.take_ready(kept_forever=True)
        self.tenant.sudo().erased_at = self.now
        self.snapshots._cron_expire()
        self.assertEqual(made.state, "expired")

    def test_repository_must_keep_what_live_snapshots_need(self):
        first = self.take_ready(self.tenant + self.make_active("second"))
        later = self.take_ready()
        given_up = self.take_ready()
        given_up._expire()
        positions = {(one.timeline, one.lsn) for one in self.server._needed_targets()}
        self.assertEqual(positions, {(1, 0x2000100), (1, 0x3000100)})
        self.assertEqual({one.base_backup_label for one in self.server._needed_targets()}, {first[0].base_backup_label})
        self.assertTrue(later.wal_position)

    def test_plans_of_the_catalogue_have_rhythms_of_their_own(self):
        plans = [self.env.ref(f"loomworks_tenant.plan_{name}") for name in ("basic", "pro", "enterprise")]
        self.assertEqual([plan.snapshot_minutes for plan in plans], [1440, 240, 60])
        self.assertEqual(plans[2]._retention().monthly, 12)

    def test_negative_numbers_are_refused(self):
        with mute_logger("odoo.sql_db"), self.assertRaises(CheckViolation):
            self.plan.snapshot_keep_daily = -1
            self.env.flush_all()

"""What is taken, kept and given up by itself; and what the repository must keep for it."""

from datetime import timedelta
from unittest.mock import patch

from harness import in_memory_repository as in_memory
from odoo import fields
from odoo.tests import tagged
from odoo.tools import mute_logger
from psycopg2.errors import CheckViolation

from ..backup.base_backup import BaseBackup
from ..backup.expiry import expendable
from ..repository.segments import Segment, format_lsn
from .common import SnapshotCase


def base(day, lsn):
    """Return a full base backup of a day."""
    segment = Segment.holding(1, lsn).name
    return BaseBackup(
        label=f"202611{day:02}-000000F",
        kind="full",
        prior="",
        references=(),
        started=day * 86400,
        stopped=day * 86400 + 10,
        lsn_start=lsn,
        lsn_stop=lsn + 0x80,
        wal_start=segment,
        wal_stop=segment,
        system_identifier=str(in_memory.SYSTEM),
        size=1,
        repository_delta=1,
        repository_size=1,
    )


@tagged("post_install", "-at_install")
class TestCrons(SnapshotCase):
    def setUp(self):
        super().setUp()
        self.now = fields.Datetime.now()
        self.patch(type(self.env["ir.cron"]), "_commit_progress", lambda *args, **options: 1.0)

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

    def test_one_whose_wal_was_lost_with_the_server_fails_and_another_is_taken(self):
        self.world.archiving = False
        self.snapshots._cron_take()
        lost = self.tenant.snapshot_ids.sudo()
        self.run_reconciler()
        self.assertEqual((lost.state, lost.error_code), ("creating", "not_yet_archived"))
        fork = format_lsn(in_memory.lsn(1, 0x300))
        self.world.store.put_history(2, f"1\t{fork}\tno recovery target specified\n")
        self.look_now(lost)
        self.assertEqual((lost.state, lost.error_code), ("creating", "timeline_left"))
        lost.problem_since -= timedelta(hours=1)
        self.look_now(lost)
        self.assertEqual((lost.state, lost.reconcile_at), ("failed", False))
        lost.requested_at -= timedelta(days=2)
        self.snapshots._cron_take()
        self.assertEqual((self.tenant.snapshot_ids - lost).mapped("state"), ["creating"])
        self.world.archive_all()
        self.snapshots._cron_verify()
        self.run_reconciler()
        self.assertEqual(lost.state, "ready", "the segment has come after all")

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

    def test_those_that_fail_wait_two_weeks_for_their_repository_however_old_they_are(self):
        made = self.automatic(24 * 60) + self.automatic(24 * 20)
        whole, self.world.store = self.world.store, in_memory.MemoryStore()
        self.snapshots._cron_verify()
        self.run_reconciler()
        self.assertEqual(made.mapped("error_code"), ["no_stanza"] * 2)
        self.snapshots._cron_expire()
        self.assertEqual(made.mapped("state"), ["failed", "failed"])
        self.assertEqual(len(self.server._needed_targets()), 2)
        self.world.store = whole
        self.snapshots._cron_verify()
        self.run_reconciler()
        self.assertEqual(made.mapped("state"), ["ready", "ready"])
        made[0].write({"state": "failed", "problem_since": self.now - timedelta(days=13)})
        self.snapshots._cron_expire()
        self.assertEqual(made[0].state, "failed")
        made[0].problem_since = self.now - timedelta(days=15)
        self.snapshots._cron_expire()
        self.assertEqual(made[0].state, "expired")

    def ended(self):
        """Return a snapshot of each of two tenants that is to expire."""
        tenants = self.tenant + self.make_active("second")
        made = self.take_ready(tenants, expires_at=self.now - timedelta(minutes=1))
        made.created_at = self.now - timedelta(days=1)
        self.take_ready(tenants)
        return made

    def test_tenant_whose_snapshots_cannot_expire_keeps_nobody_elses(self):
        made = self.ended()
        expire, rows = type(made)._expire, type(made)

        def stumbling(snapshots):
            expire(snapshots)
            if snapshots.tenant_id == self.tenant:
                raise ValueError("a surprise")

        with (
            patch.object(rows, "_expire", stumbling),
            self.assertLogs("odoo.addons.loomworks_snapshot.models.snapshot_crons", "ERROR") as logs,
        ):
            self.snapshots._cron_expire()
        self.assertIn(self.tenant.uuid, logs.output[0])
        self.assertEqual(made.mapped("state"), ["ready", "expired"])
        self.snapshots._cron_expire()
        self.assertEqual(made.mapped("state"), ["expired", "expired"])

    def test_snapshots_that_are_in_work_expire_some_minutes_later(self):
        made = self.ended()
        busy = made[0]
        cron = self.env.ref("loomworks_snapshot.cron_expire_snapshots")
        triggers = self.env["ir.cron.trigger"].search([("cron_id", "=", cron.id)])
        with patch.object(type(made), "try_lock_for_update", lambda rows, **options: rows - busy):
            self.snapshots._cron_expire()
        self.assertEqual(made.mapped("state"), ["ready", "expired"])
        trigger = self.env["ir.cron.trigger"].search([("cron_id", "=", cron.id)]) - triggers
        self.assertEqual(len(trigger), 1)
        self.assertGreater(trigger.call_at, self.now + timedelta(minutes=4))

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
        self.assertEqual(later.wal_position, "0/3000100")
        self.assertEqual(self.server._to_order().targets, tuple(self.server._needed_targets()))

    def test_base_backup_of_a_live_snapshot_is_not_expendable(self):
        bases = [base(1, in_memory.lsn(1)), base(2, in_memory.lsn(9)), base(3, in_memory.lsn(20))]
        made = self.take_ready()
        now = bases[-1].stopped + 1000
        self.assertEqual(expendable(bases, now, self.server._needed_targets()), [bases[1].label])
        made._expire()
        self.assertEqual(expendable(bases, now, self.server._needed_targets()), [one.label for one in bases[:2]])

    def test_base_backup_of_a_restore_that_is_going_on_is_not_expendable(self):
        bases = [base(1, in_memory.lsn(1)), base(2, in_memory.lsn(9)), base(3, in_memory.lsn(20))]
        now = bases[-1].stopped + 1000
        moment = fields.Datetime.now() - timedelta(days=20)
        older = {"server_id": self.server.id, "backup_type": "full", "state": "done"}
        for backup, age in zip(bases, (2, 1, -1), strict=True):
            values = {"label": backup.label, "finished_at": moment - timedelta(days=age)}
            self.env["loomworks.base.backup"].sudo().create({**older, **values})
        for purpose in ("in_place", "copy", "download", "drill"):
            with self.subTest(purpose):
                values = {**self.tenant._moment_values(moment), "purpose": purpose}
                restore = self.env["loomworks.restore"].sudo().create({"tenant_id": self.tenant.id, **values})
                self.assertEqual(expendable(bases, now, self.server._needed_targets()), [bases[0].label])
                restore.write({"state": "restoring", "backup_label": bases[0].label})
                self.assertEqual(expendable(bases, now, self.server._needed_targets()), [bases[1].label])
                restore.state = "done"
                self.assertEqual(len(expendable(bases, now, self.server._needed_targets())), 2)

    def test_plans_of_the_catalogue_have_rhythms_of_their_own(self):
        plans = [self.env.ref(f"loomworks_tenant.plan_{name}") for name in ("basic", "pro", "enterprise")]
        self.assertEqual([plan.snapshot_minutes for plan in plans], [1440, 240, 60])
        self.assertEqual(plans[2]._retention().monthly, 12)

    def test_negative_numbers_are_refused(self):
        with mute_logger("odoo.sql_db"), self.assertRaises(CheckViolation):
            self.plan.snapshot_keep_daily = -1
            self.env.flush_all()

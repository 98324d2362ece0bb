"""A snapshot's way from being asked for to being ready, and what may come between."""

from contextlib import closing
from datetime import timedelta
from unittest.mock import patch

from harness import in_memory_repository as in_memory
from odoo import fields
from odoo.addons.loomworks_tenant.errors import ServerUnreachable
from odoo.exceptions import UserError
from odoo.sql_db import db_connect
from odoo.tests import get_db_name, tagged

from ..models import snapshot_work
from ..repository.errors import RepositoryUnreachable, WrongKey
from .common import FIRST_BACKUP, SnapshotCase

LONG = 3600  # seconds


@tagged("post_install", "-at_install")
class TestSnapshot(SnapshotCase):
    def test_asking_makes_a_row_and_nothing_else(self):
        made = self.take(name="Before the upgrade")
        self.assertEqual((made.state, made.name, made.snapshot_type), ("creating", "Before the upgrade", "manual"))
        self.assertEqual(made.requested_by_id, self.operator)
        self.assertFalse(made.wal_position)
        self.assertEqual(self.world.batches, [])
        self.assertTrue(made.reconcile_at)

    def test_snapshot_is_ready_with_its_position_and_its_proof(self):
        self.world.sizes = {self.tenant.database_name: 12345.0}
        made = self.take()
        self.run_reconciler()
        self.assertEqual(self.world.batches, [[made.restore_point]])
        found = made.read()[0]
        expected = {
            "state": "ready",
            "wal_position": "0/2000100",
            "wal_file": "000000010000000000000002",
            "timeline": 1,
            "recovery_timeline": 1,
            "system_identifier": str(in_memory.SYSTEM),
            "base_backup_label": FIRST_BACKUP.label,
            "wal_segments": 2,
            "size_bytes": 12345.0,
            "error_message": False,
            "reconcile_at": False,
        }
        self.assertEqual({name: found[name] for name in expected}, expected)
        self.assertFalse(made.base_backup_id)  # nobody has looked at the server's backups yet
        backup = {"server_id": self.server.id, "label": FIRST_BACKUP.label, "backup_type": "full", "state": "done"}
        row = self.env["loomworks.base.backup"].sudo().create(backup)
        made.invalidate_recordset()
        self.assertEqual(made.base_backup_id, row)
        self.assertTrue(made.verified_at)
        self.assertIn("proven", made.verify_message)
        self.assertFalse(made.working)

    def test_all_that_wait_on_one_server_share_a_switch_and_a_listing(self):
        tenants = self.tenant + self.make_active("second") + self.make_active("third")
        made = self.snapshots.sudo()._request(self.tenant, "manual") + self.take(tenants)
        made += self.snapshots.sudo().concat(*[self.snapshots._request(tenants, "manual") for _one in range(100)])
        self.run_reconciler()
        self.assertEqual(set(made.mapped("state")), {"ready"})
        self.assertEqual([len(batch) for batch in self.world.batches], [304])
        self.assertEqual(len(set(made.mapped("restore_point"))), 304)
        self.assertEqual(len(set(made.mapped("wal_position"))), 304)
        self.assertEqual(len(self.world.store.listed), 2)

    def test_new_one_does_not_wait_until_thousands_are_proven_anew(self):
        for _one in range(5):
            self.take_ready()
        with patch.object(snapshot_work, "BATCH", 2):
            self.snapshots._cron_verify()
            new = self.take()
            new._reconcile_step()
            new._reconcile_step()
        self.assertEqual(new.state, "ready")

    def test_two_servers_are_looked_after_by_two_workers(self):
        other = self.make_active("other")
        other.sudo().server_id = self.make_server("db2", capacity=10)
        made = self.take(self.tenant + other)
        self.assertEqual(len(self.snapshots._due_rows(64)), 2)
        self.run_reconciler()
        self.assertEqual(set(made.mapped("state")), {"ready"})
        self.assertEqual([len(batch) for batch in self.world.batches], [1, 1])

    def test_server_that_another_worker_has_is_left_alone(self):
        made = self.take()
        with closing(db_connect(get_db_name()).cursor()) as cr:
            cr.execute("SELECT pg_advisory_xact_lock(hashtext('loomworks.snapshot'), %s)", [self.server.id])
            self.assertTrue(made._reconcile_step())
            self.assertEqual(self.world.batches, [])
        self.run_reconciler()
        self.assertEqual(made.state, "ready")

    def test_snapshot_waits_for_its_segment_and_says_so(self):
        self.world.archiving = False
        made = self.take()
        self.run_reconciler()
        self.assertEqual((made.state, made.working, made.has_problem), ("creating", True, False))
        self.assertIn("waiting for the WAL segment 000000010000000000000002", made.verify_message)
        made.requested_clock -= LONG
        self.look_now(made)
        self.assertEqual((made.state, made.has_problem), ("creating", True))
        self.world.archive_all()
        self.look_now(made)
        self.assertEqual((made.state, made.has_problem), ("ready", False))
        self.assertEqual(len(self.world.batches), 1)

    def test_hole_is_looked_at_again_before_a_new_snapshot_fails(self):
        self.world.archiving = False
        made = self.take()
        made._reconcile_step()
        self.lose(made)
        self.world.store.put_segment(1, self.world.segment)
        self.look_now(made)
        self.assertEqual((made.state, made.error_code), ("creating", "segment_missing"))
        made.problem_since -= timedelta(hours=1)
        self.look_now(made)
        self.assertEqual((made.state, made.reconcile_at), ("failed", False))
        self.assertIn("000000010000000000000002 is missing", made.error_message)

    def test_broken_chain_of_a_ready_snapshot_is_told_loudly_and_once(self):
        made = self.take_ready()
        number = self.lose(made)
        self.snapshots._cron_verify()
        self.run_reconciler()
        self.assertEqual((made.state, made.has_problem), ("failed", True))
        notes = self.tenant.message_ids.filtered(lambda one: "Cannot be restored" in one.body)
        self.assertEqual(len(notes), 1)
        self.assertIn(self.operator, self.tenant.activity_ids.user_id)
        self.assertEqual(self.tenant.failed_snapshot_count, 1)
        told = len(self.tenant.activity_ids)
        self.snapshots._cron_verify()
        self.run_reconciler()
        self.assertEqual(len(self.tenant.activity_ids), told)
        self.world.store.put_segment(1, number)
        self.snapshots._cron_verify()
        self.run_reconciler()
        self.assertEqual((made.state, made.has_problem), ("ready", False))
        self.assertFalse(self.tenant.activity_ids)
        self.assertEqual(self.audited(made)[1:], ["snapshot_failed", "snapshot_whole_again"])

    def alarms(self):
        return self.tenant.sudo()._alarms(snapshot_work.ALARM)

    def break_one(self):
        """Return a snapshot that was ready, and whose WAL is lost."""
        made = self.take_ready()
        self.lose(made)
        self.look_now(made)
        self.assertEqual(made.state, "failed")
        return made

    def test_activity_ends_with_the_last_broken_one_that_is_given_up(self):
        first = self.break_one()
        self.world.archive_all()
        second = self.break_one()
        self.world.archive_all()
        self.assertTrue(self.alarms())
        first.with_user(self.operator).action_delete()
        self.assertTrue(self.alarms(), "there is another one")
        second._expire()
        self.assertFalse(self.alarms())
        self.break_one()
        self.assertIn(self.operator, self.alarms().user_id)

    def test_repository_that_does_not_answer_is_no_verdict(self):
        made = self.take_ready()
        self.world.repository_error = RepositoryUnreachable("the repository does not answer")
        before = made.verified_at
        self.look_now(made)
        self.assertEqual((made.state, made.verified_at, made.has_problem), ("ready", before, False))
        self.assertEqual(made.verify_message, "the repository does not answer")
        self.assertTrue(made.reconcile_at)
        for _look in range(2):
            self.look_now(made)
        self.assertTrue(made.has_problem)
        self.world.repository_error = None
        self.look_now(made)
        self.assertEqual((made.state, made.has_problem, made.attempts), ("ready", False, 0))

    def not_proven(self):
        return self.server.sudo()._alarms(snapshot_work.NOT_PROVEN)

    def test_proofs_that_stand_still_are_told_on_the_server_after_some_hours(self):
        made = self.take_ready()
        self.world.repository_error = RepositoryUnreachable("the repository does not answer")
        for age, told in ((1, False), (7, True), (8, True)):
            made.verified_at = fields.Datetime.now() - timedelta(hours=age)
            self.look_now(made)
            self.assertEqual(bool(self.not_proven()), told)
        self.assertEqual(made.state, "ready")
        self.assertIn("the repository does not answer", self.not_proven()[0].summary)
        self.assertIn(fields.Datetime.to_string(made.verified_at), self.not_proven()[0].note)
        operators = self.env.ref("loomworks_tenant.group_operator").user_ids.filtered("active")
        self.assertEqual(self.not_proven().user_id, operators)
        self.assertEqual(len(self.not_proven()), len(operators))
        self.world.repository_error = None
        self.look_now(made)
        self.assertFalse(self.not_proven())

    def test_proofs_that_cannot_be_had_by_waiting_are_told_on_the_server_at_once(self):
        made = self.take_ready()
        self.world.repository_error = WrongKey("a file of the repository cannot be decrypted")
        self.look_now(made)
        self.assertIn("cannot be decrypted", self.not_proven()[0].summary)

    def test_server_that_gives_no_restore_points_is_no_matter_of_proofs(self):
        self.world.error = ServerUnreachable("nobody there")
        self.take()
        self.run_reconciler()
        self.assertFalse(self.not_proven())

    def test_wrong_key_is_shown_at_once_and_fails_nothing(self):
        self.world.repository_error = WrongKey("a file of the repository cannot be decrypted")
        made = self.take()
        self.run_reconciler()
        self.assertEqual((made.state, made.error_code), ("creating", "wrong_key"))
        self.assertTrue(made.reconcile_at)

    def test_server_that_cannot_be_reached_is_asked_again(self):
        self.world.error = ServerUnreachable("nobody there")
        made = self.take()
        self.run_reconciler()
        self.assertEqual((made.state, made.verify_message), ("creating", "nobody there"))
        self.assertFalse(made.wal_position)
        self.world.error = None
        self.look_now(made)
        self.assertEqual(made.state, "ready")

    def test_snapshot_before_the_first_base_backup_is_taken_again_after_it(self):
        self.world.store = in_memory.repository()
        self.world.archive_all()
        made = self.take()
        self.run_reconciler()
        self.assertEqual((made.state, made.error_code, made.wal_position), ("creating", "no_base_backup", False))
        self.look_now(made)
        self.assertEqual(len(self.world.batches), 1)
        self.world.store = in_memory.repository([FIRST_BACKUP])
        self.world.archive_all()
        self.look_now(made)
        self.assertEqual((made.state, len(self.world.batches)), ("ready", 2))
        self.assertEqual(made.restore_point, self.world.batches[1][0])

    def test_size_that_cannot_be_had_is_not_known(self):
        self.assertEqual(self.take_ready().size_bytes, 0)

    def test_snapshot_somebody_restores_from_at_once_is_measured_and_then_left_alone(self):
        self.world.sizes = {self.tenant.database_name: 12345.0}
        made = self.take()
        made._reconcile_step()
        made._reconcile_step()
        self.assertEqual((made.state, made.to_measure), ("ready", True))
        made.state = "restoring"
        self.look_now(made)
        found = made.state, made.size_bytes, made.to_measure, made.reconcile_at
        self.assertEqual(found, ("restoring", 12345.0, False, False))

    def test_database_too_large_to_be_restored_is_told_before_anybody_needs_it(self):
        kind = "loomworks_snapshot.activity_no_scratch"
        self.world.sizes = {self.tenant.database_name: 2.0**30}
        self.take_ready()
        alarms = self.server._alarms(kind)
        self.assertEqual(alarms.user_id, self.env.ref("loomworks_tenant.group_operator").user_ids.filtered("active"))
        self.assertIn("needs 5120 MiB of scratch space", alarms[0].summary)
        self.assertIn("page Restores", alarms[0].note)
        self.take_ready()
        self.assertEqual(self.server._alarms(kind), alarms)
        self.cluster.scratch_storage_class = "encrypted"
        self.take_ready()
        self.assertFalse(self.server._alarms(kind))

    def test_erased_tenant_has_nothing_to_restore(self):
        made = self.take_ready(kept_forever=True) + self.take()
        self.tenant.sudo().write({"state": "archived", "erase_requested": True})
        self.finish_steps(self.tenant)
        self.assertTrue(self.tenant.erased_at)
        self.assertEqual(set(made.mapped("state")), {"expired"})

    def test_snapshot_asked_for_while_the_tenant_is_being_erased_expires(self):
        made = self.take()
        self.tenant.sudo().erased_at = fields.Datetime.now()
        self.run_reconciler()
        self.assertEqual((made.state, self.world.batches), ("expired", []))

    def test_draft_has_nothing_to_take_a_snapshot_of(self):
        with self.assertRaisesRegex(UserError, "draft"):
            self.take(self.make_tenant("draft"))


@tagged("post_install", "-at_install")
class TestBeforeOperation(SnapshotCase):
    def before(self, segment, **values):
        lsn = f"0/{segment:X}000200"
        moment = fields.Datetime.now() - timedelta(hours=1)
        return self.tenant.sudo()._snapshot_before_operation(lsn, 1, moment, **values)

    def test_position_of_an_operation_is_proven_without_asking_the_server(self):
        for _switch in range(3):
            self.world.switch()
        made = self.before(2)
        self.run_reconciler()
        self.assertEqual((made.state, made.snapshot_type, made.wal_segments), ("ready", "pre_ai", 3))
        self.assertEqual(self.world.batches, [])
        self.assertEqual(made.created_at, made.requested_at - timedelta(hours=1))
        self.assertTrue(made.expires_at)

    def test_position_is_proven_only_with_the_segment_after_it(self):
        self.world.switch()
        made = self.before(2)
        self.run_reconciler()
        self.assertEqual((made.state, made.error_code), ("creating", "not_yet_archived"))
        self.world.switch()
        self.look_now(made)
        self.assertEqual(made.state, "ready")

    def test_idle_server_is_asked_once_to_archive_the_position(self):
        made = self.before(2)
        self.run_reconciler()
        self.assertEqual((made.state, self.world.pushes), ("creating", 0))
        made.requested_clock -= LONG
        self.look_now(made)
        self.assertEqual(self.world.pushes, 1)
        self.look_now(made)
        self.assertEqual((made.state, self.world.pushes), ("ready", 1))
        self.assertEqual(made.system_identifier, str(in_memory.SYSTEM))

    def test_position_before_the_first_base_backup_fails(self):
        made = self.before(0, system_identifier=in_memory.SYSTEM)
        self.run_reconciler()
        self.assertEqual((made.state, made.wal_position), ("creating", "0/200"))
        made.problem_since -= timedelta(hours=1)
        self.look_now(made)
        self.assertEqual((made.state, made.error_code), ("failed", "no_base_backup"))

    def test_position_of_another_server_fails(self):
        made = self.before(2, system_identifier=1)
        self.run_reconciler()
        made.problem_since -= timedelta(hours=1)
        self.look_now(made)
        self.assertEqual((made.state, made.error_code), ("failed", "other_system"))

    def test_what_is_no_position_is_refused(self):
        with self.assertRaises(ValueError):
            self.tenant._snapshot_before_operation("somewhere", 1, fields.Datetime.now())

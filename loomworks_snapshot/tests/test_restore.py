"""Restores as rows: each state and what leads on from it; the Job and the servers themselves are tested elsewhere."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from unittest.mock import patch

from freezegun import freeze_time
from harness import in_memory_repository as in_memory
from odoo import fields
from odoo.addons.loomworks_storage.filestore.check import CheckReport
from odoo.addons.loomworks_storage.filestore.errors import ObjectMissing as FileMissing
from odoo.addons.loomworks_tenant.postgres.server import DatabaseServer
from odoo.addons.loomworks_tenant.reconciler.spec import first_database
from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged
from odoo.tools import mute_logger
from psycopg2 import IntegrityError

from ..models import restore_drill, restore_work, snapshot_work
from ..models.tenant_past import stamp
from ..repository import restore_point
from ..repository.proof import Prover
from ..repository.restore_point import RestorePoint
from ..repository.segments import Segment, parse_lsn
from ..restoring import flow, leftover, outgoing
from .common import FIRST_BACKUP, SnapshotCase

REPORT = {"backup": "label", "fetched": 1, "segments": 2, "tables": 3, "rows": 4, "seconds": {"replay": 1.5}}


MANY_LIKE = """
    INSERT INTO loomworks_snapshot
    SELECT (jsonb_populate_record(one, own || %(values)s::jsonb)).*
      FROM loomworks_snapshot one, generate_series(1, 6000) number,
           jsonb_build_object('id', 1000000 + number, 'uuid', gen_random_uuid()) own
     WHERE one.id = %(id)s
"""


@tagged("post_install", "-at_install")
class TestRestore(SnapshotCase):
    def setUp(self):
        super().setUp()
        self.progress, self.served, self.pods, self.databases, self.events = None, False, False, True, []
        self.switched_at, self.removing = None, False

        def advance(spec, world):
            if isinstance(self.progress, Exception):
                raise self.progress
            return self.progress or flow.Progress("replay", 0.5)

        def event(kind):
            return lambda *args: self.events.append((kind, args[0].database if kind != "check" else ""))

        for name in ("hold", "release", "cancel_sent"):
            patcher = patch.object(outgoing, name, self.noting(name))
            patcher.start()
            self.addCleanup(patcher.stop)
        server = {
            "open_database": lambda server, name: self.events.append(("open", name)),
            "close_database": lambda server, name: self.events.append(("close", name)),
            "drop_database": lambda server, name: self.events.append(("drop", name)),
            "database": lambda server, name: self.databases,
        }

        def remove_files(spec, database, world):
            self.events.append(("files", database))
            return True

        for target, name, value in (
            (leftover, "remove", remove_files),
            (leftover, "withdraw", lambda tenant, database, world: not self.removing),
            (flow, "advance", advance),
            (flow, "check", event("check")),
            (flow, "clean_up", event("clean_up")),
            (flow, "discard", event("discard")),
            (flow, "is_served", lambda uuid, database, world: self.served),
            (flow, "switched_at", lambda uuid, world: self.switched_at),
            (flow, "has_pods", lambda uuid, database, world: self.pods),
            (
                type(self.env["loomworks.restore"]),
                "_world",
                lambda row: restore_work.Boundaries(None, FakeServer(), None),
            ),
            (type(self.env["loomworks.restore"]), "_restore_spec", spec_of),
            (type(self.env["loomworks.restore"]), "_owner", lambda row, world: None),
            *((DatabaseServer, name, value) for name, value in server.items()),
            *((FakeServer, name, value) for name, value in server.items()),
        ):
            patcher = patch.object(target, name, value, create=True)
            patcher.start()
            self.addCleanup(patcher.stop)
        self.first = self.tenant.database_name
        self.snapshot = self.take_ready()

    def noting(self, name):
        def note(server, owner, *databases):
            self.events.append((name, *databases[:2]))
            return 2

        return note

    def ask(self, user=None):
        return self.env["loomworks.restore"].browse(self.snapshot.with_user(user or self.customer).action_restore())

    def step(self, restore):
        restore.sudo().reconcile_at = fields.Datetime.now()
        restore.sudo()._reconcile_step()

    def place(self, restore):
        """Bring a restore to its end."""
        self.progress, self.served = flow.Progress("restored", 1.0, REPORT), True
        for _step in range(9):
            if restore.state in ("done", "gone_back", "failed"):
                return
            self.step(restore)

    def test_restore_is_put_in_place(self):
        restore = self.ask()
        self.assertEqual((restore.state, self.snapshot.state), ("waiting", "restoring"))
        self.step(restore)
        self.assertEqual(restore.state, "restoring")
        self.step(restore)
        self.assertEqual((restore.stage, restore.progress), ("replay", 42))
        self.place(restore)
        self.assertEqual((restore.state, self.snapshot.state), ("done", "ready"))
        self.assertEqual(self.tenant.database_name, f"{self.first}_r{restore.id}")
        self.assertEqual((self.tenant.previous_database, self.tenant.switching), (self.first, False))
        self.assertEqual([event for event in self.events if event[0] == "close"], [("close", self.first)])
        self.assertTrue(restore.can_go_back)
        self.assertEqual(self.audited(self.tenant)[-2:], ["restore", "restore_done"])
        new = restore.new_database
        switched = [event for event in self.events if event[0] in ("open", "hold", "cancel_sent", "release", "close")]
        order = [
            ("open", new),
            ("hold", new),
            ("cancel_sent", self.first, new),
            ("release", new),
            ("close", self.first),
        ]
        self.assertEqual((switched, restore.cancelled_mails), (order, 2))

    def test_files_of_the_moment_come_along_and_go_with_the_way_back(self):
        began = self.snapshot.created_at + timedelta(minutes=1)
        values = {"tenant_id": self.tenant.id, "state": "done", "began_at": began, "manifest": "of the moment"}
        self.env["loomworks.files.backup"].sudo().create(values)
        restore = self.ask()
        self.place(restore)
        tenant = self.tenant.sudo()
        self.assertEqual((tenant.files_source_uuid, tenant.files_manifest), (tenant.uuid, "of the moment"))
        self.assertIn("files", tenant.step_ids.mapped("code"))
        tenant.files_restored = tenant._files_wanted()
        restore.with_user(self.customer).action_go_back()
        self.place(restore)
        self.assertFalse(tenant.files_manifest)
        self.assertNotIn("files", tenant.step_ids.mapped("code"))

    def test_tenant_whose_files_do_not_come_stays_where_it_was(self):
        began = self.snapshot.created_at + timedelta(minutes=1)
        values = {"tenant_id": self.tenant.id, "state": "done", "began_at": began, "manifest": "of the moment"}
        self.env["loomworks.files.backup"].sudo().create(values)
        restore = self.ask()
        self.progress = flow.Progress("restored", 1.0, REPORT)
        for _step in range(4):
            self.step(restore)
        self.tenant.sudo().step_ids.filtered(lambda one: one.code == "files").message = "S3 is away"
        restore.sudo().switch_began_at -= timedelta(seconds=restore_work.SWITCH_PATIENCE + 1)
        self.step(restore)
        self.assertEqual((restore.state, restore.error_code), ("failed", "switch_failed"))
        self.assertIn("S3 is away", restore.error_message)
        self.assertFalse(self.tenant.sudo().files_manifest)

    def switching_with_files(self):
        """Return a restore that waits for the step of its files, and that step's row."""
        began = self.snapshot.created_at + timedelta(minutes=1)
        values = {"tenant_id": self.tenant.id, "state": "done", "began_at": began, "manifest": "of the moment"}
        self.env["loomworks.files.backup"].sudo().create(values)
        restore = self.ask().sudo()
        self.progress = flow.Progress("restored", 1.0, REPORT)
        for _step in range(4):
            self.step(restore)
        return restore, self.tenant.sudo().step_ids.filtered(lambda one: one.code == "files")

    def test_files_that_take_hours_are_waited_for_and_odoo_has_its_time_after_them(self):
        restore, files = self.switching_with_files()
        now, patience = fields.Datetime.now(), timedelta(seconds=restore_work.SWITCH_PATIENCE)
        restore.switch_began_at = now - timedelta(hours=3)
        for state in ("running", "waiting"):
            files.state = state
            self.step(restore)
            self.assertEqual((restore.state, self.tenant.switching), ("placing", True))
        files.write({"state": "done", "finished_at": now - patience + timedelta(minutes=1)})
        self.step(restore)
        self.assertEqual(restore.state, "placing")
        restore.files_seen_at = files.finished_at = now - patience
        self.step(restore)
        self.assertEqual((restore.state, restore.error_code), ("failed", "switch_failed"))

    def test_files_that_took_hours_leave_requests_under_way_their_time(self):
        restore, _files = self.switching_with_files()
        restore.switch_began_at = fields.Datetime.now() - timedelta(hours=3)
        self.pods = True
        self.place(restore)
        self.assertEqual(restore.state, "placing")
        self.assertNotIn("close", [event[0] for event in self.events])

    def test_files_that_fail_after_hours_take_the_switch_back(self):
        restore, files = self.switching_with_files()
        restore.switch_began_at = fields.Datetime.now() - timedelta(hours=3)
        files.write({"state": "failed", "message": "7 file(s) that the database needs are lost"})
        self.step(restore)
        self.assertEqual((restore.state, restore.error_code), ("failed", "switch_failed"))
        self.assertIn("7 file(s)", restore.error_message)
        self.assertEqual((self.tenant.database_name, self.tenant.switching), (self.first, False))

    def test_an_error_that_passes_after_hours_of_files_has_its_time_and_so_has_a_retry(self):
        restore, files = self.switching_with_files()
        now = fields.Datetime.now()
        restore.switch_began_at = now - timedelta(hours=3)
        soon = {"next_at": now + timedelta(seconds=1), "message": "the Job broke off"}
        for state in ("running", "pending", "failed"):
            files.write({"state": state, **(soon if state == "failed" else {})})
            self.step(restore)
            self.assertEqual((restore.state, self.tenant.switching), ("placing", True))
        restore.files_seen_at = now - timedelta(seconds=restore_work.SWITCH_PATIENCE + 1)
        self.step(restore)
        self.assertEqual((restore.state, restore.error_code), ("failed", "switch_failed"))

    def test_where_odoo_was_stopped_for_files_that_cannot_come_it_is_not_kept_waiting(self):
        self.tenant.sudo().plan_id.access_mode = "ReadWriteOncePod"
        restore, files = self.switching_with_files()
        files.write({"state": "failed", "message": "the key is gone"})
        self.step(restore)
        self.assertEqual((restore.state, restore.error_code), ("failed", "switch_failed"))
        self.assertEqual((self.tenant.database_name, self.tenant.switching), (self.first, False))

    def test_files_that_are_still_to_come_are_not_forgotten_for_a_restore(self):
        row = self.tenant.sudo()
        row.write({"files_source_uuid": row.uuid, "files_manifest": "of before the volume was lost"})
        with self.assertRaisesRegex(UserError, "still to come"):
            self.ask()
        row.files_restored = row._files_wanted()
        restore = self.ask()
        self.served = True
        self.place(restore)
        row.write({"files_source_uuid": row.uuid, "files_manifest": "m", "files_restored": False})
        with self.assertRaisesRegex(UserError, "still to come"):
            restore.with_user(self.customer).action_go_back()

    def test_restore_of_a_tenant_that_is_erased_rests(self):
        restore = self.ask()
        self.served = True
        self.place(restore)
        past = fields.Datetime.now() - timedelta(days=1)
        self.tenant.sudo().erased_at = past
        restore.sudo().kept_until = past
        self.events.clear()
        for _step in range(3):
            self.step(restore)
        self.assertFalse([event for event in self.events if event[0] == "files"])  # its namespace is gone
        self.assertEqual((restore.dropped, restore.reconcile_at, restore.error_code), (True, False, False))

    def test_nothing_is_closed_while_pods_of_the_database_run(self):
        restore = self.ask()
        self.pods = True
        self.place(restore)
        self.assertEqual(restore.state, "placing")
        self.assertNotIn("close", [event[0] for event in self.events])
        self.pods = False
        self.step(restore)
        self.assertEqual(restore.state, "done")

    def test_tenant_that_does_not_serve_stays_where_it_was(self):
        restore = self.ask()
        self.progress = flow.Progress("restored", 1.0, REPORT)
        for _step in range(4):
            self.step(restore)
        self.assertEqual((restore.state, self.tenant.switching), ("placing", True))
        restore.sudo().switch_began_at -= timedelta(seconds=restore_work.SWITCH_PATIENCE + 1)
        self.step(restore)
        self.assertEqual((restore.state, restore.error_code), ("failed", "switch_failed"))
        values = (self.tenant.database_name, self.tenant.previous_database, self.tenant.switching)
        self.assertEqual(values, (self.first, False, False))
        self.step(restore)
        self.assertEqual(self.events[-2:], [("discard", restore.new_database), ("files", restore.new_database)])
        self.assertNotIn("close", [event[0] for event in self.events])
        self.assertEqual((restore.error_code, restore.reconcile_at), ("switch_failed", False))
        restore.with_user(self.operator).action_retry()
        self.place(restore)
        self.assertEqual(restore.state, "done")

    def test_files_of_a_change_that_failed_are_removed_until_they_are_and_the_form_says_why_it_failed(self):
        restore = self.ask()
        restore.sudo().write({"state": "failed", "new_database": "made", "error_message": "why", "error_code": "code"})
        with patch.object(leftover, "remove", return_value=False):
            self.step(restore)
        self.assertTrue(restore.reconcile_at)
        with patch.object(leftover, "remove", side_effect=leftover.LeftoverStays("pods have not ended yet")):
            self.step(restore)
        self.assertTrue(restore.reconcile_at)
        self.step(restore)
        self.assertEqual((restore.reconcile_at, restore.error_message), (False, "why"))

    def test_nothing_is_removed_from_a_database_that_is_about_to_be_changed_to(self):
        """A restore that is tried again makes a database of the same name."""
        restore, self.removing = self.ask(), True
        self.progress = flow.Progress("restored", 1.0, REPORT)
        for _step in range(4):
            self.step(restore)
        self.assertEqual((restore.state, restore.switch_began_at, self.tenant.switching), ("placing", False, False))
        self.removing = False
        self.place(restore)
        self.assertEqual(restore.state, "done")

    def test_switch_that_has_gone_through_is_never_taken_back(self):
        restore = self.ask()
        self.place(restore.with_context())
        restore.sudo().write({"state": "placing", "switch_began_at": fields.Datetime.now() - timedelta(days=1)})
        self.tenant.sudo().switching = True
        self.place(restore)
        self.assertEqual((restore.state, self.tenant.database_name), ("done", restore.new_database))

    def test_going_back_and_forgetting(self):
        restore = self.ask()
        self.place(restore)
        restore.with_user(self.customer).action_go_back()
        self.place(restore)
        self.assertEqual((restore.state, self.tenant.database_name), ("gone_back", self.first))
        self.assertFalse(restore.can_go_back)
        restore.sudo().kept_until = fields.Datetime.now()
        restore._cron_forget()
        self.step(restore)
        self.assertTrue(restore.dropped)
        self.assertNotIn("drop", [event[0] for event in self.events])
        self.env["loomworks.restore"].search([])._cron_forget()
        self.step(restore)
        self.assertEqual([event for event in self.events if event[0] == "drop"], [("drop", restore.new_database)])

    def test_other_database_is_kept_for_a_week_and_no_shorter(self):
        restore = self.ask()
        self.place(restore)
        for state, other in (("done", self.first), ("gone_back", restore.new_database)):
            with self.subTest(state):
                self.assertEqual(restore.state, state)
                self.assertEqual(restore.kept_until - restore.finished_at, timedelta(days=7))
                restore.sudo().kept_until -= timedelta(days=6)  # the cron of the day before
                restore._cron_forget()
                self.step(restore)
                self.assertFalse(restore.dropped or restore.reconcile_at)
                self.assertNotIn(("drop", other), self.events)
                self.assertEqual(restore.can_go_back, state == "done")
            if state == "done":
                restore.with_user(self.customer).action_go_back()
                self.place(restore)
        restore.sudo().kept_until -= timedelta(days=1)
        restore._cron_forget()
        for _step in range(2):
            self.step(restore)
        gone = [event for event in self.events if event[0] in ("drop", "files")]
        self.assertEqual(gone, [("drop", restore.new_database), ("files", restore.new_database)])
        self.assertFalse(restore.reconcile_at)

    def test_files_that_cannot_be_removed_are_tried_again_and_the_form_says_why(self):
        restore = self.ask()
        self.place(restore)
        restore.sudo().write({"kept_until": fields.Datetime.now(), "dropped": True})
        stays = leftover.LeftoverStays("the files of the database could not be removed: killed")
        with patch.object(leftover, "remove", side_effect=stays):
            self.step(restore)
        self.assertTrue(restore.reconcile_at)
        self.assertIn("could not be removed", restore.error_message)
        self.step(restore)
        self.assertEqual((restore.reconcile_at, restore.error_message), (False, False))

    def test_database_that_another_restore_keeps_or_changes_to_stays_with_its_files(self):
        restore = self.ask()
        self.place(restore)
        restore.sudo().write({"kept_until": fields.Datetime.now(), "dropped": True})
        made = {"tenant_id": self.tenant.id, **self.snapshot._restore_values(), "new_database": "other"}
        for values in (
            {"state": "done", "kept_until": fields.Datetime.now(), "old_database": self.first},
            {"state": "going_back", "old_database": self.first},
        ):
            self.env.flush_all()
            other = self.env["loomworks.restore"].sudo().create({**made, **values})
            self.step(restore)
            self.assertFalse([event for event in self.events if event[0] in ("drop", "files")])
            other.write({"state": "failed", "kept_until": False})
        self.step(restore)
        self.assertEqual(self.events[-2:], [("drop", self.first), ("files", self.first)])

    def test_going_back_from_the_snapshot_itself(self):
        drill = {**self.snapshot._restore_values(), "purpose": "drill"}
        self.env["loomworks.restore"]._request(self.tenant, drill)
        with self.assertRaisesRegex(UserError, "has not been restored"):
            self.snapshot.with_user(self.customer).action_go_back()
        for user in (self.customer, self.operator):
            with self.subTest(user.login):
                snapshot = self.snapshot.with_user(user)
                restore = self.ask(user)
                self.assertFalse(snapshot.can_go_back)
                with self.assertRaisesRegex(UserError, "no going back"):
                    snapshot.action_go_back()
                self.place(restore)
                restore.copy({"purpose": "drill", "state": "done"})  # a later one that put nothing in place
                self.assertTrue(snapshot.can_go_back)
                snapshot.action_go_back()
                self.assertEqual(restore.state, "going_back")
                self.assertFalse(snapshot.can_go_back)
                self.place(restore)
                self.assertEqual((restore.state, self.tenant.database_name), ("gone_back", self.first))
        self.assertEqual(self.audited(self.tenant)[-2:], ["restore_go_back", "restore_gone_back"])

    def test_nobody_goes_back_from_the_snapshot_of_others(self):
        restore = self.ask()
        self.place(restore)
        for user in (self.stranger, self.auditor):
            with self.subTest(user.login), self.assertRaises(AccessError):
                self.snapshot.with_user(user).action_go_back()
        self.assertEqual((restore.state, self.tenant.database_name), ("done", restore.new_database))

    def test_button_to_go_back_is_for_who_may(self):
        for user, there in ((self.customer, True), (self.operator, True), (self.auditor, False)):
            arch = self.snapshots.with_user(user).get_view(view_type="form")["arch"]
            self.assertEqual('name="action_go_back"' in arch, there, user.login)

    def test_no_going_back_to_a_database_that_is_gone(self):
        restore = self.ask()
        self.place(restore)
        restore.with_user(self.customer).action_go_back()
        self.databases = None
        self.step(restore)
        self.assertEqual((restore.state, restore.error_code), ("done", "database_gone"))
        self.assertEqual(self.tenant.database_name, restore.new_database)

    def test_database_at_each_moment(self):
        restore = self.ask()
        self.place(restore)
        placed = restore.placed_at
        restore.with_user(self.customer).action_go_back()
        self.place(restore)
        restore.sudo().write({"placed_at": placed - timedelta(hours=2), "gone_back_at": placed - timedelta(hours=1)})
        names = [self.tenant._database_at(placed - timedelta(hours=hours)) for hours in (3, 1.5, 0.5)]
        self.assertEqual(names, [self.first, restore.new_database, self.first])

    def test_change_counts_from_when_the_service_changed_and_not_from_when_that_was_seen(self):
        restore = self.ask().sudo()
        self.progress = flow.Progress("restored", 1.0, REPORT)
        for _step in range(4):
            self.step(restore)
        now = fields.Datetime.now()
        restore.switch_began_at = now - timedelta(minutes=9)  # the control plane was away since
        changed = now - timedelta(minutes=8)
        self.switched_at, self.served, self.pods = changed.replace(tzinfo=UTC), True, True
        for _step in range(2):
            self.step(restore)
        self.assertEqual(restore.state, "placing")
        moments = [changed + timedelta(seconds=seconds) for seconds in (-1, 0, 60)]
        names = [self.first, restore.new_database, restore.new_database]
        self.assertEqual([self.tenant._database_at(moment) for moment in moments], names)
        self.pods = False
        self.place(restore)
        self.assertEqual((restore.state, restore.placed_at, restore.switch_seconds), ("done", changed, 60))
        self.assertEqual([self.tenant._database_at(moment) for moment in moments], names)
        restore.with_user(self.customer).action_go_back()
        self.step(restore)
        now = fields.Datetime.now()
        restore.switch_began_at = now - timedelta(minutes=5)
        self.switched_at = (now - timedelta(minutes=4)).replace(tzinfo=UTC)
        self.place(restore)
        self.assertEqual((restore.state, restore.gone_back_at), ("gone_back", now - timedelta(minutes=4)))

    def test_clock_of_the_api_server_moves_no_change_out_of_its_span(self):
        for skew in (-3600, 3600):
            with self.subTest(skew), self.env.cr.savepoint() as savepoint:
                restore = self.ask().sudo()
                self.switched_at = fields.Datetime.now().replace(tzinfo=UTC) + timedelta(seconds=skew)
                before = fields.Datetime.now()
                self.place(restore)
                self.assertTrue(before <= restore.placed_at <= fields.Datetime.now())
                self.env.invalidate_all()
                savepoint.rollback()

    def test_permanent_error_ends_it_and_releases_the_snapshot(self):
        restore = self.ask()
        self.step(restore)
        self.progress = flow.RestoreFailed("the WAL segment X is not there", code="target_not_reached")
        self.step(restore)
        self.assertEqual((restore.state, restore.error_code), ("failed", "target_not_reached"))
        self.step(restore)
        self.assertIn("discard", [event[0] for event in self.events])

    def fail_for_good(self, restore, code):
        """Have the restore's Job fail for good with this code, and the snapshot proven anew."""
        self.step(restore)
        self.progress = flow.RestoreFailed("the WAL segment X cannot be read", "A hint.", code=code)
        self.step(restore)
        self.assertEqual((restore.state, restore.error_code), ("failed", code))

    def alarms(self):
        return self.tenant.sudo()._alarms(snapshot_work.ALARM)

    def test_snapshot_that_a_restore_found_damaged_fails_loudly_whatever_a_listing_shows(self):
        for code in ("wal_damaged", "repository_damaged", "check_failed", "target_not_reached", "files_missing"):
            with self.subTest(code), self.env.cr.savepoint() as savepoint:
                self.fail_for_good(self.ask(), code)
                self.assertEqual((self.snapshot.state, self.snapshot.error_code), ("failed", code))
                self.assertIn(self.operator, self.alarms().user_id)
                for _proof in range(2):
                    self.run_reconciler()
                    self.assertEqual((self.snapshot.state, self.snapshot.error_code), ("failed", "damaged"))
                    self.assertIn("the WAL segment X cannot be read", self.snapshot.error_message)
                    self.snapshots._cron_verify()
                self.assertEqual(self.audited(self.snapshot).count("snapshot_failed"), 1)
                with self.assertRaisesRegex(UserError, "Only a snapshot that is ready"):
                    self.ask()
                self.env.invalidate_all()
                savepoint.rollback()

    def test_restore_that_works_after_all_shows_that_the_snapshot_is_whole(self):
        restore = self.ask()
        self.fail_for_good(restore, "wal_damaged")
        self.run_reconciler()
        restore.with_user(self.customer).action_retry()
        self.assertEqual(self.snapshot.state, "failed")
        self.place(restore)
        self.run_reconciler()
        self.assertEqual((restore.state, self.snapshot.state, self.snapshot.damage), ("done", "ready", False))
        self.assertFalse(self.alarms())
        self.assertEqual(self.audited(self.snapshot)[-1], "snapshot_whole_again")

    def test_drill_of_a_damaged_snapshot_that_works_shows_that_it_is_whole(self):
        self.fail_for_good(self.ask(), "wal_damaged")
        self.run_reconciler()
        snapshot = self.snapshot.with_user(self.operator)
        drill = self.env["loomworks.restore"].browse(snapshot.action_drill())
        self.assertEqual((drill.purpose, drill.snapshot_id, self.snapshot.state), ("drill", self.snapshot, "failed"))
        with self.assertRaisesRegex(UserError, "going on already"):
            snapshot.action_drill()
        self.place(drill)
        self.run_reconciler()
        self.assertEqual((drill.state, self.snapshot.state, self.snapshot.damage), ("done", "ready", False))
        self.assertEqual((self.tenant.database_name, len(self.alarms())), (self.first, 0))

    def test_damage_that_is_found_again_keeps_since_when_it_is_known(self):
        self.fail_for_good(self.ask(), "wal_damaged")
        known = self.snapshot.problem_since - timedelta(days=13)
        self.snapshot.problem_since = known
        drill = self.env["loomworks.restore"].browse(self.snapshot.with_user(self.operator).action_drill())
        self.fail_for_good(drill, "wal_damaged")
        self.assertEqual((self.snapshot.state, self.snapshot.problem_since), ("failed", known))

    def test_drill_of_a_snapshot_is_for_operators_and_for_what_the_repository_leads_to(self):
        for user in (self.customer, self.auditor, self.stranger):
            with self.subTest(user.login), self.assertRaises(AccessError):
                self.snapshot.with_user(user).action_drill()
        for state in ("creating", "failed", "expired"):
            self.snapshot.sudo().state = state
            with self.subTest(state), self.assertRaisesRegex(UserError, "Only a snapshot that is ready"):
                self.snapshot.with_user(self.operator).action_drill()

    def test_missing_segment_that_restore_and_listing_both_see_is_proven_by_the_listing_again(self):
        restore = self.ask()
        self.step(restore)
        number = self.lose(self.snapshot)
        self.fail_for_good(restore, "target_not_reached")
        self.run_reconciler()
        self.assertEqual((self.snapshot.state, self.snapshot.error_code), ("failed", "segment_missing"))
        self.world.store.put_segment(1, number)
        self.snapshots._cron_verify()
        self.run_reconciler()
        self.assertEqual((self.snapshot.state, len(self.alarms())), ("ready", 0))

    def test_hole_that_the_restore_itself_looked_up_fails_the_snapshot_until_it_is_filled(self):
        restore, number = self.ask(), self.lose(self.snapshot)
        self.step(restore)
        self.assertEqual((restore.error_code, self.snapshot.state), ("segment_missing", "failed"))
        self.assertTrue(self.alarms())
        self.world.store.put_segment(1, number)
        self.run_reconciler()
        self.assertEqual((self.snapshot.state, len(self.alarms())), ("ready", 0))

    def snapshot_of_a_position(self):
        """Return a snapshot of just before an agent's operation, which has no restore point."""
        for _switch in range(3):
            self.world.switch()
        moment = fields.Datetime.now() - timedelta(hours=1)
        snapshot = self.tenant.sudo()._snapshot_before_operation("0/2000200", 1, moment)
        self.run_reconciler()
        self.assertEqual((snapshot.state, snapshot.restore_point), ("ready", False))
        return snapshot

    def test_hole_behind_the_position_of_a_snapshot_is_nothing_to_it(self):
        """The restore looks up a record of now, and the snapshot is proven as it was."""
        snapshot = self.snapshot_of_a_position()
        number = self.lose(self.take_ready())
        restore = self.env["loomworks.restore"].browse(snapshot.with_user(self.customer).action_restore())
        with patch.object(restore_point, "close", lambda server: self.world.take(server, ["closing"])[0]):
            self.step(restore)
        self.assertEqual((restore.state, restore.error_code), ("failed", "segment_missing"))
        self.assertIn(Segment(1, number).name, restore.error_message)
        self.assertEqual((snapshot.state, snapshot.error_code, len(self.alarms())), ("ready", False, 0))
        self.run_reconciler()
        self.assertEqual((snapshot.state, "snapshot_failed" in self.audited(snapshot)), ("ready", False))

    def restore_position_after(self, repository):
        """Have a snapshot's position restored when another server is there, and its repository is this one."""
        snapshot = self.snapshot_of_a_position()
        self.world.store.contents |= repository.contents
        restore = self.env["loomworks.restore"].browse(snapshot.with_user(self.customer).action_restore())
        point = RestorePoint("closing", in_memory.lsn(9), 1, in_memory.SYSTEM + 1, datetime.now(UTC))
        with patch.object(restore_point, "close", lambda server: point):
            self.step(restore)
        return restore

    def test_position_of_the_server_before_an_upgrade_is_closed_by_what_it_archived(self):
        upgraded = in_memory.repository([FIRST_BACKUP], upgraded=in_memory.SYSTEM + 1)
        restore = self.restore_position_after(upgraded)
        self.assertEqual((restore.state, restore.backup_label), ("restoring", FIRST_BACKUP.label))
        self.assertEqual((restore.closing_position, restore.closing_timeline), ("0/4000000", 1))
        self.assertEqual(restore.system_identifier, str(in_memory.SYSTEM))

    def test_position_of_a_server_of_which_the_repository_never_was_is_refused(self):
        restore = self.restore_position_after(in_memory.repository([FIRST_BACKUP], system=in_memory.SYSTEM + 1))
        self.assertEqual((restore.state, restore.error_code), ("failed", "other_system"))

    def test_file_that_is_missing_is_nothing_to_the_snapshot_of_the_database(self):
        restore = self.ask()
        self.step(restore)
        self.progress = FileMissing("the object X is not in the store")
        self.step(restore)
        self.assertEqual((restore.state, restore.error_code), ("failed", "object_missing"))
        self.assertEqual((self.snapshot.state, self.snapshot.damage, len(self.alarms())), ("ready", False, 0))

    def test_snapshot_is_proven_anew_after_a_restore_that_failed_for_another_reason(self):
        restore = self.ask()
        self.step(restore)
        number = self.lose(self.snapshot)
        self.fail_for_good(restore, "load_failed")
        self.assertEqual((self.snapshot.state, bool(self.snapshot.reconcile_at)), ("ready", True))
        self.run_reconciler()
        self.assertEqual((self.snapshot.state, self.snapshot.error_code), ("failed", "segment_missing"))
        self.assertTrue(number)

    def test_chain_that_breaks_while_it_is_restored_raises_the_alarm_once(self):
        restore, number = self.ask(), self.lose(self.snapshot)
        for _proof in range(2):
            self.snapshots._cron_verify()
            self.run_reconciler()
        self.assertEqual((self.snapshot.state, bool(self.alarms())), ("restoring", True))
        self.assertEqual(self.audited(self.snapshot).count("snapshot_failed"), 1)
        restore.with_user(self.customer).action_cancel()
        self.assertEqual(self.snapshot.state, "failed")
        self.world.store.put_segment(1, number)
        self.run_reconciler()
        self.assertEqual((self.snapshot.state, len(self.alarms())), ("ready", 0))
        self.assertEqual(self.audited(self.snapshot)[-2:], ["snapshot_failed", "snapshot_whole_again"])

    def test_damage_found_beside_another_restore_fails_the_snapshot_when_that_comes_to_nothing(self):
        copied = {**self.snapshot._restore_values(), "purpose": "drill"}
        drill, restore = self.env["loomworks.restore"]._request(self.tenant, copied), self.ask()
        self.fail_for_good(restore, "wal_damaged")
        self.assertEqual((self.snapshot.state, bool(self.alarms())), ("restoring", True))
        drill.with_user(self.operator).action_cancel()
        self.assertEqual(self.snapshot.state, "failed")

    def test_moment_within_the_present_second_is_not_in_the_future(self):
        tenant, second = self.tenant.with_user(self.customer), timedelta(seconds=1)
        for moment in (datetime.now(UTC).replace(tzinfo=None), fields.Datetime.now()):
            restore = self.env["loomworks.restore"].browse(tenant.restore_to(moment))
            self.assertEqual(restore.target_value, f"{moment.isoformat(sep=' ')}+00")
            self.assertLess(moment - restore.moment, second)
            restore.action_cancel()
        with self.assertRaisesRegex(UserError, "is in the future"):
            tenant.restore_to(datetime.now(UTC).replace(tzinfo=None) + 2 * second)

    def test_moment_before_the_repository_begins_is_refused_and_nothing_started(self):
        now = fields.Datetime.now()
        self.env.cr.execute("UPDATE loomworks_tenant SET create_date = create_date - interval '30 days'")
        self.tenant.invalidate_recordset(["create_date"])
        oldest = now - timedelta(days=7)
        backup = replace(FIRST_BACKUP, stopped=int(oldest.replace(tzinfo=UTC).timestamp()))
        self.world.store.contents |= in_memory.repository([backup]).contents
        number = self.tenant.with_user(self.customer).restore_to(now - timedelta(days=20))
        restore = self.env["loomworks.restore"].browse(number)
        with (
            patch.object(restore_point, "close", lambda server: self.world.take(server, ["closing"])[0]),
            patch.object(flow, "advance") as advance,
        ):
            for _look in range(3):
                self.step(restore)
        advance.assert_not_called()
        self.assertEqual((restore.state, restore.error_code), ("failed", "no_base_backup"))
        for words in (restore.target_value, f"goes back to {fields.Datetime.to_string(oldest)} UTC", "Take a later"):
            self.assertIn(words, restore.error_message)
        self.assertEqual((restore.new_database, restore.backup_label, restore.stage), (False, False, False))
        self.assertEqual({kind for kind, _name in self.events}, {"discard"})
        self.assertEqual((self.tenant.database_name, self.tenant.switching), (self.first, False))
        self.assertEqual(self.audited(self.tenant)[-2:], ["restore", "restore_failed"])

    def test_moment_after_the_oldest_base_backup_is_restored_from_it(self):
        self.env.cr.execute("UPDATE loomworks_tenant SET create_date = create_date - interval '30 days'")
        self.tenant.invalidate_recordset(["create_date"])
        number = self.tenant.with_user(self.customer).restore_to(fields.Datetime.now() - timedelta(days=20))
        restore = self.env["loomworks.restore"].browse(number)
        with patch.object(restore_point, "close", lambda server: self.world.take(server, ["closing"])[0]):
            self.step(restore)
        self.assertEqual((restore.state, restore.backup_label), ("restoring", FIRST_BACKUP.label))

    def test_record_that_the_server_has_left_is_awaited_for_a_minute_and_another_written_by_the_next_try(self):
        self.env.cr.execute("UPDATE loomworks_tenant SET create_date = create_date - interval '30 days'")
        self.tenant.invalidate_recordset(["create_date"])
        number = self.tenant.with_user(self.customer).restore_to(fields.Datetime.now() - timedelta(days=20))
        restore = self.env["loomworks.restore"].sudo().browse(number)
        self.world.archiving = False
        with patch.object(restore_point, "close", lambda server: self.world.take(server, ["closing"])[0]):
            self.world.store.put_history(2, f"1\t{self.snapshot.wal_position}\tno recovery target specified\n")
            self.step(restore)
            self.assertEqual((restore.state, restore.closing_position), ("waiting", "0/3000100"))
            restore.started_at -= timedelta(seconds=restore_work.ARCHIVE_PATIENCE + 1)
            self.step(restore)
        self.assertEqual((restore.state, restore.error_code), ("failed", "timeline_left"))
        for segment in (2, 3, 4):
            self.world.store.put_segment(2, segment)
        point = RestorePoint("closing", in_memory.lsn(4), 2, in_memory.SYSTEM, datetime.now(UTC))
        restore.with_user(self.customer).action_retry()
        with patch.object(restore_point, "close", lambda server: point):
            self.step(restore)
        self.assertEqual((restore.state, restore.closing_timeline), ("restoring", 2), restore.error_message)

    def take_server_back(self):
        """Have the server taken back to the snapshot of three hours ago, an hour ago; WAL of two hours is left."""
        now, store = fields.Datetime.now(), self.world.store
        self.env.cr.execute("UPDATE loomworks_tenant SET create_date = create_date - interval '30 days'")
        self.tenant.invalidate_recordset(["create_date"])
        self.startPatcher(patch.object(type(self.tenant), "_born", lambda tenant: now - timedelta(days=30)))
        self.snapshot.created_at = now - timedelta(hours=3)
        store.put_history(2, f"1\t{self.snapshot.wal_position}\tat restore point")
        position = {"timeline": 2, "wal_position": "0/3000100", "wal_file": Segment(2, 3).name}
        self.take_ready().write({**position, "created_at": now - timedelta(hours=1)})
        for number in (2, 3, 4):
            store.put_segment(2, number)
        point = RestorePoint("closing", in_memory.lsn(4), 2, in_memory.SYSTEM, datetime.now(UTC))
        self.startPatcher(patch.object(restore_point, "close", lambda server: point))
        self.server.sudo().write({"last_archived_wal": Segment(2, 4).name, "last_archived_at": now})
        return now

    def test_time_on_a_timeline_that_the_server_has_left_is_refused(self):
        now = self.take_server_back()
        for hours, state in ((4, "restoring"), (3, "restoring"), (2.9, "failed"), (1.1, "failed"), (1, "restoring")):
            with self.subTest(hours):
                moment = now - timedelta(hours=hours)
                number = self.tenant.with_user(self.customer).restore_to(moment)
                restore = self.env["loomworks.restore"].browse(number)
                self.step(restore)
                self.assertEqual(restore.state, state, restore.error_message)
                told = self.tenant.with_user(self.customer).time_machine_at(moment)
                self.assertEqual(told["restorable"], state == "restoring", told["why"])
                if state == "failed":
                    self.assertEqual(restore.error_code, "time_abandoned")
                    self.assertIn("a timeline that it has left", restore.error_message)
                    self.assertIn("a timeline that it has left", told["why"])
                else:
                    restore.with_user(self.customer).action_cancel()

    def test_span_that_the_server_has_left_is_told_by_the_snapshots_next_to_the_fork(self):
        now = self.take_server_back()
        hours = {("0/1000100", 1): 6, ("0/100", 1): 9, ("0/3000200", 2): 0.5, ("0/4000200", 2): 0.2}
        hours[self.snapshot.wal_position, 1] = 4  # of the same moment as another, and told by an earlier clock
        for (position, timeline), ago in hours.items():
            segment = Segment.holding(timeline, parse_lsn(position)).name
            values = {"wal_position": position, "timeline": timeline, "wal_file": segment}
            self.snapshot.copy({**values, "created_at": now - timedelta(hours=ago)})
        self.env.flush_all()
        values = {"wal_position": "0/4000100", "timeline": 2, "created_at": str(now - timedelta(hours=0.1))}
        self.env.cr.execute(MANY_LIKE, {"values": json.dumps(values), "id": self.snapshot.id})
        catalog = Prover(self.world.store).catalog
        [span] = self.server._abandoned_spans(catalog, 2)
        self.assertEqual((span.since, span.until), tuple(stamp(now - timedelta(hours=ago)) for ago in (3, 1)))

    def test_snapshot_on_a_timeline_that_the_server_has_left_is_restored_from_there(self):
        self.take_server_back()
        self.world.store.put_segment(1, 3)
        left = self.take_ready()
        left.created_at = fields.Datetime.now() - timedelta(hours=2)
        restore = self.env["loomworks.restore"].browse(left.with_user(self.customer).action_restore())
        self.step(restore)
        self.assertEqual((restore.state, restore.target_timeline), ("restoring", 1))

    def test_drill_to_a_time_that_is_abandoned_is_called_off_without_an_alarm(self):
        now = self.take_server_back()
        values = {**self.tenant._moment_values(now - timedelta(hours=2)), "purpose": "drill"}
        drill = self.env["loomworks.restore"]._request(self.tenant, values)
        for _step in range(2):
            self.step(drill)
        self.assertEqual((drill.state, drill.reconcile_at), ("cancelled", False))
        self.assertIn("a timeline that it has left", drill.error_message)
        self.assertFalse(self.tenant.activity_ids)

    def test_passing_errors_are_waited_out(self):
        restore = self.ask()
        self.step(restore)
        self.progress = restore_work.LoomworksError("S3 is away")
        for _look in range(20):
            self.step(restore)
        self.assertEqual((restore.state, restore.error_message), ("restoring", "S3 is away"))
        self.progress = None
        self.step(restore)
        self.assertFalse(restore.troubled_since)

    def test_job_that_keeps_breaking_off_is_given_up(self):
        restore = self.ask()
        self.step(restore)
        self.progress = flow.RestoreBrokeOff("out of memory")
        for _job in range(restore_work.ATTEMPTS):
            self.assertEqual(restore.state, "restoring")
            self.step(restore)
        self.assertEqual(restore.state, "failed")

    def test_job_that_waits_for_a_place_after_one_broke_off_is_not_ended_by_a_hiccup(self):
        restore = self.ask().sudo()
        self.step(restore)
        for self.progress in (flow.RestoreBrokeOff("its node went"), flow.Progress("start")):
            self.step(restore)
        self.assertEqual((restore.troubled_since, restore.attempts), (False, 1))
        self.assertEqual(restore.error_message, "its node went")
        self.progress = restore_work.LoomworksError("the API server is away")
        with freeze_time(fields.Datetime.now() + timedelta(seconds=2 * restore_work.PATIENCE)):
            self.step(restore)
        self.assertEqual(restore.state, "restoring")

    def out_of_s3(self, restore, stage="catalogue"):
        """Have a Job start, come to ``stage`` and end for want of S3; return the pause until the next one."""
        for self.progress in (flow.Progress("start"), flow.Progress(stage), flow.StoreAway("S3 does not answer")):
            self.step(restore)
        return (restore.reconcile_at - fields.Datetime.now()).total_seconds()

    def test_outage_of_s3_is_waited_out_with_growing_pauses(self):
        restore, pauses = self.ask().sudo(), []
        self.step(restore)
        for _job in range(restore_work.ATTEMPTS * 3):
            pauses.append(self.out_of_s3(restore))
            self.assertEqual((restore.state, restore.attempts), ("restoring", 0))
            self.assertEqual(restore.error_message, "S3 does not answer")
            restore.troubled_since -= timedelta(seconds=10)
        self.assertGreater(min(pauses[8:]), 60)
        self.assertLess(pauses[0], 4)
        self.progress = flow.Progress("fetch", 0.1)
        self.step(restore)
        self.assertEqual((restore.troubled_since, restore.error_message), (False, False))
        self.place(restore)
        self.assertEqual(restore.state, "done")

    def test_outage_of_s3_beyond_all_patience_ends_a_restore(self):
        restore = self.ask().sudo()
        self.step(restore)
        self.out_of_s3(restore)
        restore.troubled_since -= timedelta(seconds=restore_work.PATIENCE + 1)
        self.out_of_s3(restore)
        self.assertEqual((restore.state, restore.error_code), ("failed", "store_away"))

    def test_s3_that_goes_away_under_each_job_is_not_tried_for_ever(self):
        restore = self.ask().sudo()
        self.step(restore)
        for _job in range(restore_work.ATTEMPTS):
            self.assertEqual(restore.state, "restoring")
            self.out_of_s3(restore, "fetch")
        self.assertEqual(restore.state, "failed")

    def test_trouble_before_a_long_wait_for_the_archive_is_over(self):
        restore = self.ask().sudo()
        self.world.repository_error = restore_work.LoomworksError("S3 is away")
        self.step(restore)
        self.assertTrue(restore.troubled_since)
        self.world.repository_error = None
        self.world.store.drop_segment(1, self.world.segment - 1)  # the last one
        self.step(restore)
        self.assertEqual((restore.state, restore.troubled_since), ("waiting", False))

    def test_cancelled_restore_leaves_nothing(self):
        restore = self.ask()
        self.step(restore)
        restore.with_user(self.customer).action_cancel()
        self.step(restore)
        self.assertEqual((restore.state, self.snapshot.state), ("cancelled", "ready"))
        self.assertIn("discard", [event[0] for event in self.events])
        with self.assertRaises(UserError):
            restore.with_user(self.customer).action_cancel()

    def test_archive_ends_a_restore_and_waits_for_a_change(self):
        restore = self.ask()
        self.step(restore)
        self.progress = flow.Progress("restored", 1.0, REPORT)
        self.step(restore)
        self.step(restore)
        with self.assertRaisesRegex(UserError, "being put in place"):
            self.tenant.with_user(self.operator).action_archive()
        self.place(restore)
        self.progress = None
        self.env.flush_all()
        again = self.ask()
        self.tenant.with_user(self.operator).action_archive()
        self.assertEqual(again.state, "cancelled")

    def test_nothing_begins_while_the_tenant_cannot_be_put_elsewhere(self):
        values = self.snapshot._restore_values()
        made = {"tenant_id": self.tenant.id, **values, "old_database": "old", "new_database": self.first}
        done = self.env["loomworks.restore"].sudo().create({**made, "state": "done"})
        failed = self.env["loomworks.restore"].sudo().create({**made, "state": "failed"})
        reset = self.env["loomworks.reset"].sudo().create({"tenant_id": self.tenant.id})
        tenant = self.tenant.sudo()
        tenant.files_manifest = "of the reset"
        self.assertTrue(done.can_go_back)
        actions = {
            "restore": self.snapshot.with_user(self.operator).action_restore,
            "go back": done.with_user(self.operator).action_go_back,
            "retry": failed.with_user(self.operator).action_retry,
        }
        for name, value, words in (
            ("reset_id", reset.id, "fresh volume"),
            ("erase_requested", True, "neither active nor suspended"),
            ("state", "archived", "neither active nor suspended"),
        ):
            before = tenant[name]
            tenant[name] = value
            for action, call in actions.items():
                with self.subTest(name, action=action), self.assertRaisesRegex(UserError, words):
                    call()
            tenant[name] = before
        self.assertEqual((done.state, failed.state, tenant.files_manifest), ("done", "failed", "of the reset"))
        tenant.files_restored = tenant._files_wanted()
        actions["go back"]()
        self.assertEqual(done.state, "going_back")

    def test_restore_of_a_tenant_that_is_gone_meanwhile_puts_nothing_in_place(self):
        for values in ({"state": "archived"}, {"erase_requested": True}):
            with self.subTest(values), self.env.cr.savepoint() as savepoint:
                restore = self.ask()
                self.step(restore)
                self.events.clear()
                self.tenant.sudo().write(values)
                self.progress = flow.Progress("restored", 1.0, REPORT)
                for _step in range(2):
                    self.step(restore)
                self.assertEqual((restore.state, restore.error_code), ("failed", "tenant_gone"))
                self.assertEqual((self.snapshot.state, self.tenant.database_name), ("ready", self.first))
                self.assertEqual(self.events, [("discard", f"{self.first}_r{restore.id}")])
                self.env.invalidate_all()
                savepoint.rollback()

    def test_one_at_a_time(self):
        self.ask()
        other = self.take_ready()
        with mute_logger("odoo.sql_db"), self.assertRaises(IntegrityError), self.env.cr.savepoint():
            other.with_user(self.customer).action_restore()

    def test_nobody_restores_what_is_not_theirs(self):
        for user in (self.stranger, self.auditor):
            with self.subTest(user.login), self.assertRaises(AccessError):
                self.snapshot.with_user(user).action_restore()
            with self.subTest(user.login), self.assertRaises(AccessError):
                self.tenant.with_user(user).restore_to(fields.Datetime.now())
        restore = self.ask()
        self.assertFalse(self.env["loomworks.restore"].with_user(self.stranger).search([]))
        for action in ("action_cancel", "action_go_back", "action_retry"):
            with self.subTest(action), self.assertRaises(AccessError):
                getattr(restore.with_user(self.stranger), action)()
            with self.subTest(action), self.assertRaises(AccessError):
                getattr(restore.with_user(self.auditor), action)()

    def test_suspended_tenant_is_changed_without_a_pod(self):
        self.tenant.with_user(self.operator).action_suspend()
        restore = self.ask()
        self.progress, self.served = flow.Progress("restored", 1.0, REPORT), False
        for _step in range(4):
            self.step(restore)
        self.assertEqual((restore.state, self.tenant.database_name), ("done", restore.new_database))
        self.assertIn(("close", self.first), self.events)

    def test_nothing_is_given_up_between_two_databases(self):
        restore = self.ask()
        self.progress = flow.Progress("restored", 1.0, REPORT)
        for _step in range(3):
            self.step(restore)
        away = restore_work.LoomworksError("the API server is away")
        with patch.object(flow, "is_served", side_effect=away):
            self.step(restore)
            restore.sudo().troubled_since -= timedelta(seconds=restore_work.PATIENCE + 1)
            self.step(restore)
        self.assertEqual((restore.state, restore.error_message), ("placing", "the API server is away"))
        self.place(restore)
        self.assertEqual((restore.state, restore.error_message), ("done", False))

    def test_disk_of_a_node_is_used_only_where_the_cluster_says_that_it_may_be(self):
        restore, cluster = self.ask().sudo(), self.cluster
        restore.database_size = 1 << 30
        self.assertEqual(restore._scratch_space().medium, "nowhere")
        cluster.scratch_on_node = True
        self.assertEqual(restore._scratch_space().medium, "node")
        cluster.write({"scratch_storage_class": "encrypted", "scratch_on_node": False})
        self.assertEqual(restore._scratch_space().medium, "claim")

    def test_retry_takes_the_snapshot_again(self):
        restore = self.ask()
        self.step(restore)
        self.progress = flow.RestoreFailed("no")
        self.step(restore)
        restore.with_user(self.customer).action_retry()
        self.assertEqual((restore.state, self.snapshot.state), ("waiting", "restoring"))

    def a_drill(self):
        now = fields.Datetime.now()
        self.tenant.sudo().converged_at = now - timedelta(hours=2)
        self.snapshot.created_at = now - timedelta(hours=3)
        if not self.server.base_backup_ids:
            values = {"server_id": self.server.id, "label": "20261121-000000F", "backup_type": "full", "state": "done"}
            self.env["loomworks.base.backup"].create({**values, "finished_at": now - timedelta(days=1)})
        self.server.unarchived_seconds = 17
        return self.env["loomworks.restore"]._drill(self.server)

    def test_drill_is_of_a_moment_that_can_be_restored(self):
        for _night in range(20):
            drill = self.a_drill()
            self.assertEqual(drill.lost_seconds, 17)
            self.assertEqual((drill.tenant_id, drill.purpose), (self.tenant, "drill"))
            self.assertGreaterEqual(drill.moment, self.snapshot.created_at)
            self.assertLess(drill.moment, fields.Datetime.now() - timedelta(minutes=4))

    def test_since_when_tenants_can_be_restored_is_told_without_reading_every_snapshot(self):
        now = fields.Datetime.now()
        tenants = self.tenant + self.make_active("second")
        tenants.sudo().converged_at = now - timedelta(hours=2)
        self.snapshot.created_at = now - timedelta(hours=3)
        for state in ("creating", "failed", "expired"):
            self.snapshot.copy({"state": state, "created_at": now - timedelta(days=9)})
        self.env.flush_all()
        self.env.invalidate_all()
        with patch.object(type(self.snapshots), "_fetch_query", side_effect=AssertionError("rows are read")):
            found = tenants._restorable_since()
        self.assertEqual(found, {tenants[0]: now - timedelta(hours=3), tenants[1]: now - timedelta(hours=2)})

    def test_no_drill_without_a_base_backup(self):
        self.env["loomworks.base.backup"].search([]).unlink()
        self.assertFalse(self.env["loomworks.restore"]._drill(self.server))

    def test_drill_changes_nothing_and_hinders_nobody(self):
        drill = self.a_drill()
        self.assertFalse(self.tenant.running_restore_id)
        drill.write({"state": "restoring"})
        self.progress = flow.Progress("restored", 1.0, REPORT)
        self.step(drill)
        self.assertEqual((drill.state, drill.total_seconds, drill.can_go_back), ("done", 1.5, False))
        self.assertEqual(self.tenant.database_name, self.first)
        self.assertEqual([kind for kind, _name in self.events], ["clean_up"])
        self.assertIn("restore_drill", self.audited(self.tenant))
        self.ask()

    def test_drill_looks_at_the_files_of_its_moment(self):
        drill = self.a_drill()
        drill.write({"state": "restoring"})
        self.progress = flow.Progress("restored", 1.0, REPORT)
        backup = self.env["loomworks.files.backup"].new({"manifest": "20261121-120000"})
        asked = []
        vault = SimpleNamespace(manifest=lambda name: asked.append(name) or name)
        found = CheckReport(files=3, bytes=30, read=2)
        for target, name, value in (
            (type(self.tenant), "_files_backup_for", lambda tenant, moment: backup),
            (type(self.tenant), "_files_vault", lambda tenant: vault),
            (restore_drill, "check", lambda vault, manifest, sample: found),
        ):
            self.startPatcher(patch.object(target, name, value))
        found.missing.append("ab" * 20)
        self.step(drill)
        self.assertEqual((drill.state, drill.error_code), ("failed", "files_lost"))
        self.assertIn("1 of the 3 files", drill.error_message)
        found.missing.clear()
        drill = self.a_drill()
        drill.write({"state": "restoring"})
        self.step(drill)
        self.assertEqual((drill.state, drill.report["files"], drill.report["files_read"]), ("done", 3, 2))
        self.assertIn("3 files in S3, 2 of them read", drill.report_text)
        self.assertEqual(asked, [backup.manifest] * 2)

    def test_failed_drill_is_told_once_and_cleared_by_one_that_works(self):
        alarm = self.env.ref("loomworks_snapshot.activity_drill_failed")
        operators = self.env.ref("loomworks_tenant.group_operator").user_ids.filtered("active")
        for _night in range(2):
            drill = self.a_drill()
            drill.write({"state": "restoring"})
            self.progress = flow.RestoreFailed("a gap")
            self.step(drill)
            self.assertEqual(drill.state, "failed")
            found = self.tenant.activity_ids.filtered(lambda one: one.activity_type_id == alarm)
            self.assertEqual(found.user_id, operators)
            self.assertEqual(len(found), len(operators))
        drill = self.a_drill()
        drill.write({"state": "restoring"})
        self.progress = flow.Progress("restored", 1.0, REPORT)
        self.step(drill)
        self.assertFalse(self.tenant.activity_ids.filtered(lambda one: one.activity_type_id == alarm))


class FakeServer:
    """The database server, as far as a restore's row asks it."""


def spec_of(row):
    """Return as much of a restore's specification as its row asks: the name of the new database."""
    return SimpleNamespace(database=f"{first_database(row.tenant_id.uuid)}_r{row.id}")

"""The time machine's data, an operation's row in the control plane, and the way back to just before it."""

from dataclasses import replace
from datetime import timedelta
from unittest.mock import patch

from harness import in_memory_repository as in_memory
from odoo import fields
from odoo.addons.loomworks_tenant.errors import ServerUnreachable
from odoo.exceptions import AccessError, UserError
from odoo.tests import new_test_user, tagged
from psycopg2 import IntegrityError

from ..models import restore_work
from ..repository import restore_point
from ..restoring import flow
from ..timeline import operations
from ..timeline.operations import Found, Operation
from .common import FIRST_BACKUP, SnapshotCase

MIB = 1 << 20
REPORT = {"seconds": {"replay": 4.0, "load": 8.0}, "size": 64 * MIB, "segments": 4, "backup": "label", "fetched": MIB}


class TimeMachineCase(SnapshotCase):
    """A tenant of two days with two operations of an agent, an hour and two minutes ago."""

    def setUp(self):
        super().setUp()
        self.now = fields.Datetime.now()
        self.log = [self.operation(2, minutes=2), self.operation(1, hours=1)]
        self.asked, self.error = [], None
        for name, value in (("read", self.read), ("one", self.one), ("count_since", self.count_since)):
            patcher = patch.object(operations, name, value)
            patcher.start()
            self.addCleanup(patcher.stop)
        patcher = patch.object(restore_work.restore_point, "close", self.close)
        patcher.start()
        self.addCleanup(patcher.stop)
        # Audit rows are final: the tenant has been there for as long as its oldest snapshot.
        patcher = patch.object(type(self.tenant), "_born", lambda tenant: self.now - timedelta(days=2))
        patcher.start()
        self.addCleanup(patcher.stop)
        self.backup = self.env["loomworks.base.backup"].create(
            {
                "server_id": self.server.id,
                "label": FIRST_BACKUP.label,
                "backup_type": "full",
                "state": "done",
                "started_at": self.now - timedelta(days=1, minutes=1),
                "finished_at": self.now - timedelta(days=1),
                "lsn_stop": "0/1000200",
                "timeline": 1,
                "system_identifier": str(in_memory.SYSTEM),
            }
        )

    def operation(self, number, lsn="0/2000100", **ago):
        values = {"agent": "robin", "kind": "write", "model": "res.partner", "method": "write", "changes": 3}
        return Operation(number, self.now - timedelta(**ago), "done", lsn, 1, **values)

    def read(self, server, database, since, until, limit):
        if self.error:
            raise self.error
        self.asked.append(database)
        found = [one for one in self.log if since <= one.at <= until]
        return Found(tuple(found[:limit]), len(found) <= limit)

    def one(self, server, database, number):
        return next((one for one in self.log if one.number == number), None)

    def count_since(self, server, database, since):
        return sum(one.at >= since for one in self.log)

    def close(self, server):
        return self.world.take(server, [restore_point.new_name()])[0]

    def as_user(self, user=None):
        return self.tenant.with_user(user or self.customer)

    def work_on(self, restore):
        restore.sudo().reconcile_at = fields.Datetime.now()
        return restore.sudo()._reconcile_step()

    def restore_before(self, number=2, user=None):
        return self.env["loomworks.restore"].browse(self.as_user(user).restore_before_operation(number))

    def make_restore(self, **values):
        values = {"tenant_id": self.tenant.id, "target_kind": "time", "target_value": "x", "moment": self.now, **values}
        return self.env["loomworks.restore"].sudo().create(values)


@tagged("post_install", "-at_install")
class TestPage(TimeMachineCase):
    def test_window_holds_what_happened_in_it_and_nothing_else(self):
        snapshot = self.take_ready()
        data = self.as_user().time_machine(self.now - timedelta(minutes=30), self.now + timedelta(minutes=1))
        self.assertEqual([one["number"] for one in data["operations"]], [2])
        self.assertEqual([one["id"] for one in data["snapshots"]], snapshot.ids)
        self.assertFalse(data["backups"])
        self.assertTrue(data["complete"])
        self.assertFalse(data["notes"])
        self.assertFalse(data["progress"])
        day = self.as_user().time_machine(self.now - timedelta(days=3))
        self.assertEqual([one["label"] for one in day["backups"]], [self.backup.label])
        self.assertEqual(len(day["operations"]), 2)

    def test_restorable_from_the_first_base_backup_until_now(self):
        data = self.as_user().time_machine()
        [span] = data["restorable"]
        self.assertEqual(span["since"], fields.Datetime.to_string(self.backup.finished_at))
        self.assertEqual(span["until"], data["now"])
        self.assertTrue(data["tenant"]["may_restore"])
        self.assertFalse(self.as_user(self.auditor).time_machine()["tenant"]["may_restore"])

    def archive_up_to(self, segment):
        name = f"0000000100000000{segment:08X}"
        self.server.write({"last_archived_wal": name, "last_archived_at": self.now})

    def test_hole_in_the_archive_is_a_gap(self):
        facts = in_memory.MadeBackup("20261121-000000F", 1, in_memory.lsn(1), in_memory.lsn(1, 0x200))
        self.world.store = in_memory.repository([facts])
        stopped = next(iter(in_memory_stops(self.world.store)))
        self.backup.finished_at = stopped
        for number in range(1, 101):
            self.world.store.put_segment(1, number)
        self.archive_up_to(100)
        with patch.object(type(self.tenant), "_born", lambda tenant: stopped):
            whole = self.as_user().time_machine()
            self.assertFalse(whole["gaps"])
            self.world.store.drop_segment(1, 51)
            [gap] = self.as_user().time_machine()["gaps"]
            since = fields.Datetime.to_datetime(gap["since"])
            share = (since - stopped) / (self.now - stopped)
            self.assertAlmostEqual(share, 0.5, places=2)
            middle = since + (self.now - since) / 2
            said = self.as_user().time_machine_at(middle)
            self.assertFalse(said["restorable"])
            self.assertIn("WAL is missing", said["why"])

    def test_repository_that_cannot_be_asked_is_noted_and_rows_have_to_do(self):
        self.archive_up_to(5)
        self.world.repository_error = ServerUnreachable("S3 is away")
        data = self.as_user().time_machine()
        self.assertIn("S3 is away", data["notes"][0])
        self.assertEqual(len(data["restorable"]), 1)

    def test_tenants_database_that_cannot_be_asked_is_noted(self):
        self.error = ServerUnreachable("it is away")
        data = self.as_user().time_machine()
        self.assertIn("it is away", data["notes"][0])
        self.assertFalse(data["operations"])
        with self.assertRaisesRegex(UserError, "it is away"):
            self.as_user().read_operations()

    def test_why_a_restore_went_a_longer_way_is_on_its_row(self):
        restore = self.make_restore(state="done", report={**REPORT, "note": "All WAL was replayed"})
        self.assertEqual(restore.report_text.splitlines()[-1], "All WAL was replayed")

    def test_as_many_queries_for_many_rows_as_for_few(self):
        self.take_ready()

        def queries():
            self.env.invalidate_all()
            before = self.env.cr.sql_log_count
            self.as_user().time_machine(self.now - timedelta(days=3))
            return self.env.cr.sql_log_count - before

        few = queries()
        for _ in range(3):
            self.take_ready(self.tenant | self.make_active(f"more{_}"))
        for number in range(5):
            self.make_restore(state="done", report=REPORT, total_seconds=12, purpose="drill")
            self.backup.copy({"label": f"another{number}", "state": "done"})
        self.assertLessEqual(queries(), few + 2)

    def test_draft_has_no_past(self):
        draft = self.make_tenant("draft").with_user(self.operator)
        data = draft.time_machine()
        self.assertEqual((data["operations"], data["restorable"], data["notes"]), ([], [], []))

    def test_page_opens_on_the_tenant(self):
        action = self.as_user().action_time_machine()
        self.assertEqual((action["tag"], action["context"]["active_id"]), ("loomworks_time_machine", self.tenant.id))


def in_memory_stops(store):
    """Yield when each base backup of the repository ended."""
    from ..models.tenant_past import text
    from ..repository import catalog

    for backup in catalog.read(store).backups:
        yield fields.Datetime.to_datetime(text(float(backup.stopped)))


@tagged("post_install", "-at_install")
class TestMoment(TimeMachineCase):
    def test_what_is_lost_and_how_long_it_takes(self):
        said = self.as_user().time_machine_at(self.now - timedelta(minutes=30))
        self.assertTrue(said["restorable"])
        self.assertEqual(said["lost"]["operations"], 1)
        self.assertAlmostEqual(said["lost"]["seconds"], 1800, delta=5)
        self.assertEqual(said["estimate"]["measured"], 0)
        self.assertGreater(said["estimate"]["high"], said["estimate"]["seconds"])

    def test_estimate_rests_on_measured_restores_of_the_server(self):
        begun = self.now - timedelta(minutes=9)
        placed = {"started_at": begun, "placed_at": begun + timedelta(seconds=32), "total_seconds": 12.0}
        self.make_restore(state="done", report=REPORT, **placed)
        self.make_restore(state="done", report=REPORT, total_seconds=12, purpose="drill")
        self.make_restore(state="failed", report={**REPORT, "seconds": {"load": 9999}})
        self.world.sizes = {self.tenant.database_name: 64 * MIB}
        estimate = self.as_user().time_machine_at(self.now - timedelta(hours=23))["estimate"]
        self.assertEqual((estimate["measured"], estimate["size_bytes"]), (2, 64 * MIB))
        self.assertGreater(estimate["seconds"], 20 + 8)
        self.assertLessEqual(estimate["seconds"], 20 + 12)

    def test_moments_that_cannot_be_restored_say_why(self):
        for moment, why in (
            (self.now + timedelta(hours=1), "future"),
            (self.now - timedelta(days=3), "made later"),
            (self.now - timedelta(days=1, hours=1), "does not go back"),
        ):
            with self.subTest(why):
                said = self.as_user().time_machine_at(moment)
                self.assertFalse(said["restorable"])
                self.assertIn(why, said["why"])
        self.backup.unlink()
        self.assertIn("no base backup", self.as_user().time_machine_at(self.now)["why"])
        with self.assertRaisesRegex(UserError, "Say which"):
            self.as_user().time_machine_at()

    def test_operation_and_snapshot_are_moments(self):
        snapshot = self.take_ready()
        said = self.as_user().time_machine_at(operation_id=1)
        self.assertEqual((said["operation"]["number"], said["moment"]), (1, said["operation"]["at"]))
        self.assertTrue(said["restorable"])
        said = self.as_user().time_machine_at(snapshot_id=snapshot.id)
        self.assertEqual((said["snapshot"]["id"], said["restorable"]), (snapshot.id, True))
        snapshot.state = "creating"
        self.assertFalse(self.as_user().time_machine_at(snapshot_id=snapshot.id)["restorable"])
        self.log = [self.operation(7, lsn="", hours=1)]
        self.assertIn("changed nothing", self.as_user().time_machine_at(operation_id=7)["why"])
        with self.assertRaisesRegex(UserError, "no operation 99"):
            self.as_user().time_machine_at(operation_id=99)

    def test_operations_of_the_same_second_before_it_are_not_lost(self):
        first = self.operation(3, hours=1)
        self.log = [replace(first, number=number, at=first.at + timedelta(milliseconds=number)) for number in (5, 4, 3)]
        self.assertEqual(self.as_user().time_machine_at(operation_id=4)["lost"]["operations"], 2)

    def test_what_users_notice_of_it_is_said(self):
        self.assertIn("held for a moment", self.as_user().time_machine_at(self.now)["held"])
        self.tenant.sudo().plan_id.access_mode = "ReadWriteOncePod"
        self.assertIn("its Odoo stops", self.as_user().time_machine_at(self.now)["held"])

    def test_moment_before_a_restore_was_of_another_database(self):
        hour = timedelta(hours=1)
        self.make_restore(state="done", placed_at=self.now - hour, old_database="before", new_database="after")
        self.tenant.sudo().database_name = "after"
        self.assertIn("another database since", self.as_user().time_machine_at(self.now - 2 * hour)["note"])
        self.assertFalse(self.as_user().time_machine_at(self.now - hour / 2)["note"])


@tagged("post_install", "-at_install")
class TestRestoreBefore(TimeMachineCase):
    def test_begins_as_soon_as_its_snapshot_is_proven(self):
        self.world.archiving = False
        restore = self.restore_before()
        snapshot = restore.snapshot_id
        self.assertEqual((snapshot.snapshot_type, snapshot.state, restore.state), ("pre_ai", "creating", "waiting"))
        self.assertEqual((restore.target_kind, restore.target_value), ("lsn", "0/2000100"))
        self.assertEqual(restore.moment, self.log[0].at)
        for _look in range(3):
            self.run_reconciler()
            self.work_on(restore)
        self.assertEqual((snapshot.state, restore.state), ("creating", "waiting"))
        self.world.segment = 4
        self.world.archiving = True
        self.world.archive_all()
        self.look_now(snapshot)
        self.assertEqual(snapshot.state, "ready")
        self.work_on(restore)
        self.assertEqual((snapshot.state, restore.state), ("restoring", "restoring"))
        self.assertEqual((restore.target_timeline, restore.backup_label), (1, FIRST_BACKUP.label))

    def test_snapshot_that_fails_fails_it_with_its_reason(self):
        restore = self.restore_before()
        restore.snapshot_id.sudo().write({"state": "failed", "verify_message": "a segment is missing"})
        with patch.object(flow, "discard", lambda spec, world: None):
            self.work_on(restore)
        self.assertEqual(restore.state, "failed")
        self.assertIn("a segment is missing", restore.error_message)

    def test_row_is_made_once_and_its_snapshot_used_again(self):
        log = self.env["loomworks.ai.operation.log"]
        restore = self.restore_before()
        row = log.search([("tenant_id", "=", self.tenant.id)])
        self.assertEqual((row.tenant_operation, row.agent_name, row.snapshot_id), (2, "robin", restore.snapshot_id))
        self.assertIn("#2 res.partner write", row.display_name)
        restore.with_user(self.customer).action_cancel()
        self.env.flush_all()
        again = row.with_user(self.operator).action_restore_before()
        self.assertEqual(self.env["loomworks.restore"].browse(again).snapshot_id, restore.snapshot_id)
        self.assertEqual(log.search_count([("tenant_id", "=", self.tenant.id)]), 1)

    def test_same_number_in_a_restored_database_is_another_operation(self):
        log = self.env["loomworks.ai.operation.log"]
        one = log._mirror(self.tenant, self.operation(2, minutes=2))
        other = log._mirror(self.tenant, self.operation(2, lsn="0/9000100", minutes=1))
        self.assertNotEqual(one, other)

    def test_second_restore_leaves_neither_row_nor_snapshot(self):
        self.restore_before()
        with self.assertRaises(IntegrityError), self.env.cr.savepoint():
            self.restore_before(1)
            self.env.flush_all()
        self.assertEqual(len(self.tenant.snapshot_ids), 1)

    def test_operation_without_a_position_is_refused(self):
        self.log = [self.operation(7, lsn="", hours=1)]
        with self.assertRaisesRegex(UserError, "no position was recorded"):
            self.restore_before(7)

    def test_listing_makes_no_rows(self):
        told = self.as_user().read_operations(self.now - timedelta(hours=2))
        self.assertEqual([one["number"] for one in told], [2, 1])
        self.assertEqual(len(self.as_user().read_operations(self.now - timedelta(hours=2), limit=1)), 1)
        self.assertFalse(self.env["loomworks.ai.operation.log"].search([("tenant_id", "!=", False)]))

    def test_operation_of_this_very_second_is_listed(self):
        self.log = [replace(self.operation(9), at=self.now + timedelta(milliseconds=900))]
        self.assertEqual([one["number"] for one in self.as_user().read_operations(until=self.now)], [9])

    def test_odd_words_of_another_version_are_passed_over(self):
        odd = Operation(3, self.now, "a new state", "0/2000100", 1, kind="a new kind")
        row = self.env["loomworks.ai.operation.log"]._mirror(self.tenant, odd)
        self.assertEqual((row.state, row.operation_type), (False, False))


@tagged("post_install", "-at_install")
class TestOperationAccess(TimeMachineCase):
    def setUp(self):
        super().setUp()
        self.logs = self.env["loomworks.ai.operation.log"]
        self.row = self.logs._mirror(self.tenant, self.operation(2, minutes=2))
        self.own = self.logs.create({"model_name": "res.partner", "state": "pending", "started_at": self.now})
        self.manager = new_test_user(self.env, "mona@example.test", groups="loomworks_ai.group_manager")
        both = "loomworks_ai.group_manager,loomworks_tenant.group_tenant_admin"
        self.managing_stranger = new_test_user(self.env, "both@example.test", groups=both)

    def seen(self, user):
        return self.logs.with_user(user).search([]).filtered(lambda log: log in self.row + self.own)

    def test_who_sees_which_operations(self):
        self.assertEqual(self.seen(self.customer), self.row)
        self.assertEqual(self.seen(self.operator), self.row)
        self.assertEqual(self.seen(self.auditor), self.row)
        self.assertEqual(self.seen(self.manager), self.own)
        self.assertEqual(self.seen(self.managing_stranger), self.own)
        self.assertFalse(self.seen(self.stranger))
        with self.assertRaises(AccessError):
            self.row.with_user(self.manager).read(["lsn"])

    def test_nobody_writes_rows_by_hand(self):
        for user in (self.customer, self.operator, self.auditor, self.manager):
            with self.subTest(user.login):
                with self.assertRaises(AccessError):
                    self.logs.with_user(user).create({"tenant_id": self.tenant.id, "lsn": "0/1", "timeline": 1})
                with self.assertRaises(AccessError):
                    self.row.with_user(user).write({"lsn": "0/1"})

    def test_from_the_wrong_side(self):
        for user in (self.stranger, self.managing_stranger):
            tenant = self.tenant.with_user(user)
            for call in (
                tenant.time_machine,
                tenant.time_machine_progress,
                tenant.read_operations,
                tenant.action_time_machine,
                lambda tenant=tenant: tenant.time_machine_at(self.now),
                lambda tenant=tenant: tenant.restore_before_operation(2),
                self.row.with_user(user).action_restore_before,
                self.row.with_user(user).action_time_machine,
            ):
                with self.subTest(f"{user.login} {call}"), self.assertRaises(AccessError):
                    call()

    def test_auditor_reads_and_restores_nothing(self):
        self.as_user(self.auditor).time_machine()
        self.as_user(self.auditor).read_operations()
        with self.assertRaises(AccessError):
            self.restore_before(user=self.auditor)
        with self.assertRaises(AccessError):
            self.row.with_user(self.auditor).action_restore_before()

    def test_snapshot_of_another_tenant_is_no_moment(self):
        other = self.take_ready(self.make_active("other"))
        with self.assertRaisesRegex(UserError, "no such snapshot"):
            self.as_user().time_machine_at(snapshot_id=other.id)

    def test_undo_of_a_tenants_operation_is_refused_with_where_to_do_it(self):
        for action in ("preview_undo", "action_undo", "action_redo", "action_open_undo", "action_open_redo"):
            with self.subTest(action), self.assertRaisesRegex(UserError, "undo or redo it there"):
                getattr(self.row.with_user(self.operator), action)()
        self.assertFalse(self.row.with_user(self.operator).can_undo)

    def test_operation_of_the_control_plane_is_not_restored(self):
        with self.assertRaisesRegex(UserError, "Undo it here"):
            self.own.action_restore_before()

    def test_only_own_operations_are_ended_as_interrupted(self):
        rows = self.row + self.own
        rows.write({"state": "pending", "started_at": self.now - timedelta(days=1)})
        self.logs._end_interrupted()
        self.assertEqual((self.row.state, self.own.state), ("pending", "failed"))

    def test_views_open_for_everybody_who_may_see_them(self):
        for user in (self.operator, self.customer, self.auditor):
            for view in ("form", "list"):
                arch = self.logs.with_user(user).get_view(view_type=view)
                names = {name: {} for name in arch["models"][self.logs._name]}
                self.row.with_user(user).web_read(names)


@tagged("post_install", "-at_install")
class TestProgress(TimeMachineCase):
    def states(self, **values):
        restore = self.make_restore(**values)
        told = self.as_user().time_machine_progress()
        self.assertEqual(told["id"], restore.id)
        restore.unlink()
        return {stage["code"]: stage["state"] for stage in told["stages"] if stage["state"] != "pending"}, told

    def test_stages_of_each_state(self):
        states, told = self.states(state="waiting")
        self.assertEqual((states, told["running"]), ({"waiting": "running"}, True))
        states, told = self.states(state="restoring", stage="fetch", stage_share=0.5)
        self.assertEqual(states, {"waiting": "done", "start": "done", "catalogue": "done", "fetch": "running"})
        self.assertEqual([one["share"] for one in told["stages"] if one["code"] == "fetch"], [0.5])
        states, told = self.states(state="restoring", stage="restored", stage_share=1)
        self.assertEqual(states["placing"], "running")
        states, told = self.states(state="failed", stage="replay", error_message="no")
        self.assertEqual((states["replay"], told["running"], told["error"]), ("failed", False, "no"))
        states, told = self.states(state="failed", stage="restored", report=REPORT, new_database="x")
        self.assertEqual(states["placing"], "failed")
        states, told = self.states(state="done", report=REPORT)
        self.assertEqual(set(states.values()), {"done"})
        self.assertEqual({s["code"]: s["seconds"] for s in told["stages"] if s["seconds"]}, REPORT["seconds"])

    def test_drills_and_cancelled_ones_are_nobodys_progress(self):
        self.make_restore(state="done", purpose="drill")
        self.make_restore(state="cancelled")
        self.assertFalse(self.as_user().time_machine_progress())

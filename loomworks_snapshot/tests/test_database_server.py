from unittest.mock import patch

from odoo.addons.loomworks_tenant.errors import ServerUnreachable
from odoo.addons.loomworks_tenant.tests.common import TenantCase
from odoo.exceptions import AccessError
from odoo.tests import tagged

from ..backup.expiry import Target
from ..backup.schedule import DAY, MIB
from ..backup.watch import Order
from ..models import database_server
from ..models.base_backup import moment
from .looks import LABEL, NOW, info_of, look, work

AWAY = ServerUnreachable("the database server db1:5432 cannot be reached: no route", "Check that it runs.")


@tagged("post_install", "-at_install")
class TestDatabaseServer(TenantCase):
    def record(self, found, server=None):
        server = server or self.server
        server._record_look(found, server._to_order())

    def activities(self):
        return self.server.activity_ids.filtered(lambda one: one.user_id == self.operator)

    def test_look_fills_the_page(self):
        self.record(look(info_of(), work=(work(), work(8, "expire", code=1), work(9, "expire", code=1))))
        self.assertEqual((self.server.archive_lag_seconds, self.server.archive_lag_bytes), (12, 2 << 24))
        self.assertEqual(self.server.unarchived_seconds, 0)
        self.record(look(info_of(), lsn=0xD000100))
        self.assertEqual(self.server.unarchived_seconds, 30)
        self.record(look(info_of(), work=(work(), work(8, "expire", code=1), work(9, "expire", code=1))))
        self.assertEqual((self.server.archive_failed_count, self.server.last_archived_at), (3, moment(NOW - 30)))
        self.assertEqual(self.server.last_backup_at, moment(NOW - 3600 + 40))
        self.assertEqual(self.server.repository_backup_bytes, 3_000_000)
        self.assertEqual(self.server.work_failures["expire"], 2)
        self.assertEqual(self.server.base_backup_ids.filtered("label").label, LABEL)

    def test_backup_of_another_kind_ends_the_failures_of_backups(self):
        self.record(look(info_of(), work=(work(code=82), work(8, code=82), work(9, "verify", code=1))))
        self.assertEqual((self.server.work_failures["full"], self.server.work_failures["verify"]), (2, 1))
        self.record(look(info_of(), work=(work(code=82), work(8, code=82), work(9, "incr"))))
        self.assertEqual(self.server.work_failures["full"], 0)

    def test_policy_and_targets_reach_the_engine(self):
        self.server.write({"full_every_days": 3, "incremental_wal_mib": 512, "window_days": 5})
        with patch.object(type(self.server), "_needed_targets", lambda _self: [Target(1, 5), LABEL]):
            order = self.server._to_order()
        policy = order.policy
        self.assertEqual((policy.full_every, policy.incremental_wal, policy.window), (3 * DAY, 512 * MIB, 5 * DAY))
        self.assertEqual(order.targets, (Target(1, 5), LABEL))

    def test_operator_asks_for_a_backup_and_the_engine_is_told_once(self):
        self.server.with_user(self.operator).action_backup_incremental()
        order = self.server._to_order()
        self.assertEqual(order.requested, "incr")
        self.server._record_look(look(info_of()), order)
        self.assertEqual(self.server._to_order().requested, "")
        entry = self.env["loomworks.audit"].search([("action", "=", "backup_incr")], limit=1)
        self.assertEqual(entry.login, self.operator.login)

    def test_request_survives_a_server_that_could_not_be_asked(self):
        self.server.action_backup_full()
        self.record(AWAY)
        self.assertEqual(self.server.requested_backup, "full")

    def test_request_that_came_meanwhile_is_kept(self):
        order = self.server._to_order()
        self.server.action_backup_full()
        self.server._record_look(look(info_of()), order)
        self.assertEqual(self.server.requested_backup, "full")

    def test_auditor_reads_the_page_and_starts_nothing(self):
        self.record(look(info_of()))
        server = self.server.with_user(self.auditor)
        self.assertEqual(server.read(["backup_state", "archive_lag_seconds"])[0]["backup_state"], "fit")
        server.get_view(view_type="form")
        for action in ("action_backup_full", "action_backup_incremental"):
            with self.subTest(action), self.assertRaises(AccessError):
                getattr(server, action)()

    def test_problem_is_told_to_operators_once_and_taken_back(self):
        self.record(look())
        self.assertEqual(self.server.backup_state, "problem")
        self.assertIn("no base backup", self.server.backup_message)
        self.assertEqual(len(self.activities()), 1)
        self.record(AWAY)
        self.assertEqual(len(self.activities()), 1)
        self.assertIn("cannot be reached", self.server.backup_message)
        self.assertIn("cannot be reached", self.activities().note)
        self.record(look(info_of()))
        self.assertEqual((self.server.backup_state, self.server.backup_message), ("fit", False))
        self.assertFalse(self.activities())

    def test_activity_that_was_done_is_not_raised_again_for_the_same_trouble(self):
        self.record(look())
        self.activities().action_done()
        self.record(look())
        self.assertFalse(self.activities())

    def test_unreachable_server_keeps_what_was_known_and_when(self):
        self.record(look(info_of()))
        before = self.server.backup_checked_at = moment(NOW)
        self.record(AWAY)
        self.assertEqual((self.server.archive_lag_seconds, self.server.backup_checked_at), (12, before))

    def test_one_broken_server_does_not_keep_others_from_being_recorded(self):
        other = self.make_server("db2")
        answers = {"db1": look(info_of()), "db2": look(info_of(), settings={})}

        def attend(repository, _order):
            return answers[repository._server.spec.host]

        with (
            patch.object(database_server, "attend", attend),
            patch.object(self.env.cr, "commit", lambda: None),
            self.assertLogs(database_server._logger, "ERROR"),
        ):
            self.env["loomworks.database.server"]._cron_watch_repositories()
        self.assertEqual((self.server.backup_state, other.backup_state), ("fit", "unknown"))

    def test_inactive_server_with_tenants_is_watched_and_drilled_and_has_figures(self):
        self.make_active()
        self.make_server("empty").active = False
        self.server.active = False
        servers, drilled = self.env["loomworks.database.server"], []
        with (
            patch.object(database_server, "attend", lambda _repository, _order: look(info_of())),
            patch.object(self.env.cr, "commit", lambda: None),
        ):
            servers._cron_watch_repositories()
        self.assertEqual(self.server.backup_state, "fit")
        restores = self.env["loomworks.restore"]
        with patch.object(type(restores), "_drill", lambda _self, server: drilled.append(server.name)):
            restores._cron_drill()
        told = {metric.name: [labels.get("server") for labels, _ in metric.samples] for metric in servers._metrics()}
        self.assertEqual(told["loomworks_archive_lag_seconds"], ["db1"])
        self.assertEqual(drilled, ["db1"])

    def test_server_whose_answer_makes_no_sense_has_a_problem_of_its_own(self):
        other = self.make_server("db2")

        def attend(repository, _order):
            if repository._server.spec.host == "db1":
                raise KeyError("lsn")
            return look(info_of())

        with (
            patch.object(database_server, "attend", attend),
            patch.object(self.env.cr, "commit", lambda: None),
            self.assertLogs(database_server._logger, "ERROR"),
        ):
            self.env["loomworks.database.server"]._cron_watch_repositories()
        self.assertEqual((self.server.backup_state, other.backup_state), ("problem", "fit"))
        self.assertIn("unexpected KeyError", self.server.backup_message)

    def test_work_in_progress_is_followed_closely(self):
        busy = look(info_of(), work=(work(finished=None, exit_code=None),))
        triggers = self.env["ir.cron.trigger"]
        cron = self.env.ref("loomworks_snapshot.cron_watch_repositories")
        for found, wakes in ((look(info_of()), 0), (busy, 1)):
            before = triggers.search_count([("cron_id", "=", cron.id)])
            with (
                patch.object(database_server, "attend", lambda _repository, _order, found=found: found),
                patch.object(self.env.cr, "commit", lambda: None),
            ):
                self.env["loomworks.database.server"]._cron_watch_repositories()
            self.assertEqual(triggers.search_count([("cron_id", "=", cron.id)]) - before, wakes)

    def test_nothing_is_needed_beyond_the_window_by_itself(self):
        self.assertEqual(self.server._needed_targets(), [])
        self.assertEqual(self.server._to_order(), Order(self.server._to_order().policy))

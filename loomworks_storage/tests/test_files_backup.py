"""Backups of files as rows: each state and what leads on from it; Jobs and objects are tested elsewhere."""

from datetime import timedelta

from freezegun import freeze_time
from odoo import fields
from odoo.addons.loomworks_tenant.errors import LoomworksError
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import tagged

from ..files.errors import FilesJobBrokeOff, FilesJobFailed, FilesStoreAway
from ..files.flow import Progress
from ..models import files_work
from ..models.files_backup import AT_ONCE
from .common import FilesCase


@tagged("post_install", "-at_install")
class TestFilesBackup(FilesCase):
    def test_backup_is_done_when_its_job_says_so(self):
        backup = self.ask()
        self.assertEqual(backup.state, "waiting")
        self.assertEqual(self.step(backup), 0)
        self.assertEqual((backup.state, backup.database), ("running", self.tenant.database_name))
        self.step(backup)
        self.assertEqual((backup.stage, backup.stage_share), ("files", 0.5))
        self.finish(backup)
        self.assertEqual((backup.state, backup.files, backup.new_files, backup.whole), ("done", 7, 3, True))
        self.assertEqual(self.events[-1], "clean_up")
        self.assertEqual(self.tenant.last_files_backup_at, backup.began_at)
        request = self.works[0].request
        self.assertEqual((request.tenant, request.manifest), (self.tenant.uuid, backup.manifest))
        self.assertEqual(request.folder, f"/var/lib/odoo/filestore/{self.tenant.database_name}")
        self.assertFalse(request.may_lack)

    def test_what_has_been_sent_is_told_while_it_runs(self):
        backup = self.ask()
        self.step(backup)
        for stage, share, progress in (("files", 0.5, 22.5), ("new files", 0.5, 67.5), ("proof", 1.0, 100)):
            self.progress = Progress(stage, share, uploaded=3, uploaded_bytes=5 * 2**20)
            self.step(backup)
            self.assertEqual((backup.stage, backup.progress), (stage, progress))
            self.assertEqual((backup.new_files, backup.new_size, backup.size), (3, "5Mi", False))
        self.finish(backup)
        self.assertEqual((backup.progress, backup.size), (100, "70"))

    def test_folder_may_lack_while_the_database_names_no_file(self):
        self.has_files = False
        backup = self.ask()
        self.step(backup)
        self.step(backup)
        self.assertTrue(self.works[0].request.may_lack)

    def test_key_is_made_by_the_first_backup_only(self):
        self.finish(self.ask())
        self.assertIn("ensure", self.events)
        self.events.clear()
        self.finish(self.ask())
        self.assertNotIn("ensure", self.events)
        self.assertIn("read", self.events)

    def test_one_waits_for_the_one_that_runs(self):
        first = self.ask()
        self.step(first)
        second = self.ask()
        self.assertNotEqual(first, second)
        self.assertEqual(self.ask(), second)
        self.step(second)
        self.assertEqual(second.state, "waiting")
        self.finish(first)
        self.finish(second)
        self.assertEqual(second.state, "done")

    def to_come(self, tenant, source=None):
        """Have a tenant wait for files, its own or another's."""
        tenant.sudo().write({"files_source_uuid": (source or tenant).uuid, "files_manifest": "of before"})

    def test_volume_that_is_being_filled_is_backed_up_once_it_is_whole(self):
        """What is there meanwhile would count as whole, for every snapshot since the backup before."""
        row = self.tenant.sudo()
        self.to_come(row)
        row.switching = True
        backup = self.ask()
        for change in ({}, {"switching": False}):
            row.write(change)
            self.step(backup)
            self.assertEqual(backup.state, "waiting")
        row.files_restored = row._files_wanted()
        self.step(backup)
        self.assertEqual(backup.state, "running")

    def test_tenant_that_nobody_brings_its_files_has_nothing_to_back_up(self):
        self.to_come(self.tenant)
        self.tenant.sudo().state = "suspended"
        backup = self.ask()
        self.step(backup)
        self.assertEqual((backup.state, backup.error_code), ("failed", "files_to_come"))
        self.assertIn("Resume it", backup.error_message)
        self.tenant.sudo().write({"state": "archived", "archived_at": fields.Datetime.now()})
        self.tenant.sudo()._save_archived()
        self.assertEqual(self.tenant.sudo().files_backup_ids, backup)

    def test_files_that_a_copy_is_still_getting_are_not_erased(self):
        copy = self.make_active("copy")
        self.to_come(copy, self.tenant)
        tenant = self.tenant.with_user(self.operator)
        tenant.action_archive("no longer needed")
        for erase in (lambda: tenant.action_erase("Acme", "as agreed"), tenant.sudo()._end_retention):
            with self.assertRaisesRegex(UserError, "“Copy” has not got its files from “Acme” yet"):
                erase()
        self.assertFalse(tenant.erase_requested)
        copy.sudo().files_restored = copy.sudo()._files_wanted()
        tenant.action_erase("Acme", "as agreed")
        self.assertTrue(tenant.erase_requested)

    def test_permanent_error_ends_it_and_is_told_once(self):
        operators = self.env.ref("loomworks_tenant.group_operator").user_ids.filtered("active")
        for _time in range(2):
            backup = self.ask()
            self.step(backup)
            self.progress = FilesJobFailed("another key", "do this", "wrong_key")
            self.step(backup)
            self.assertEqual((backup.state, backup.error_code), ("failed", "wrong_key"))
            self.assertEqual(self.alarms.user_id, operators)
            self.assertEqual(len(self.alarms), len(operators))
        self.step(backup)
        self.assertFalse(backup.reconcile_at)
        self.finish(self.ask())
        self.assertFalse(self.alarms)

    def test_job_that_keeps_breaking_off_is_given_up(self):
        backup = self.ask()
        self.step(backup)
        self.progress = FilesJobBrokeOff("out of memory")
        for _job in range(files_work.ATTEMPTS):
            self.assertEqual(backup.state, "running")
            self.step(backup)
        self.assertEqual(backup.state, "failed")

    def test_store_that_is_away_is_waited_for(self):
        backup = self.ask()
        self.step(backup)
        for _job in range(2 * files_work.ATTEMPTS):
            self.progress = FilesStoreAway("no answer", "see that it runs", "filestore_unreachable")
            self.step(backup)
            self.assertEqual((backup.state, backup.error_code), ("running", "filestore_unreachable"))
            self.progress = Progress("start")  # of the next Job, which meets the same
            self.step(backup)
            self.assertEqual((backup.error_code, bool(backup.troubled_since)), ("filestore_unreachable", True))
        self.assertEqual(backup.attempts, 0)
        self.progress = Progress("files", 0.2)
        self.step(backup)
        self.assertEqual((backup.error_code, backup.troubled_since), (False, False))
        self.progress = FilesStoreAway("no answer", "see that it runs", "filestore_unreachable")
        self.step(backup)
        self.assertEqual(backup.attempts, 1)
        self.progress = Progress("start")
        self.step(backup)
        self.progress = FilesStoreAway("no answer", "see that it runs", "filestore_unreachable")
        backup.sudo().troubled_since -= timedelta(seconds=files_work.PATIENCE + 1)
        self.step(backup)
        self.assertEqual((backup.state, bool(self.alarms)), ("failed", True))

    def test_passing_errors_are_waited_out(self):
        backup = self.ask()
        self.step(backup)
        self.progress = LoomworksError("the API server is away")
        for _look in range(20):
            self.step(backup)
        self.assertEqual((backup.state, backup.error_message), ("running", "the API server is away"))
        backup.sudo().troubled_since -= timedelta(seconds=files_work.PATIENCE + 1)
        self.step(backup)
        self.assertEqual(backup.state, "failed")

    def test_job_that_waits_for_its_place_is_not_ended_by_the_trouble_before_it(self):
        """An hour after a Job had broken off, the first hiccup ended the next one that was waiting for room."""
        for look in (Progress("start"), Progress("start", message="no place yet", code="unschedulable")):
            with self.subTest(look):
                backup = self.ask()
                self.step(backup)
                self.progress = FilesJobBrokeOff("out of memory")
                self.step(backup)
                self.assertTrue(backup.troubled_since)
                self.progress = look
                self.step(backup)
                with freeze_time(fields.Datetime.now() + timedelta(seconds=files_work.PATIENCE + 60)):
                    self.step(backup)
                    self.progress = LoomworksError("the API server is away")
                    self.step(backup)
                self.assertEqual((backup.state, backup.attempts), ("running", 1))
                self.finish(backup)

    def test_store_that_is_away_is_remembered_while_the_next_job_waits_for_its_place(self):
        backup = self.ask()
        self.step(backup)
        self.progress = FilesStoreAway("no answer", "see that it runs", "filestore_unreachable")
        self.step(backup)
        since = backup.troubled_since
        self.progress = Progress("start", message="no place yet", code="unschedulable")
        self.step(backup)
        self.assertEqual((backup.error_message, backup.troubled_since), ("no place yet", since))

    def test_problem_of_the_pod_is_shown_while_it_lasts(self):
        backup = self.ask()
        self.step(backup)
        self.progress = Progress("start", message="no place yet", code="unschedulable")
        self.step(backup)
        self.assertEqual(backup.error_message, "no place yet")
        self.finish(backup)
        self.assertFalse(backup.error_message)

    def test_damaged_files_are_told(self):
        backup = self.finish(self.ask(), damaged={"ab" * 20: "another content"}, whole=False)
        self.assertEqual((backup.state, backup.damaged, backup.whole), ("done", 1, False))
        self.assertTrue(self.alarms)

    def test_files_that_are_good_in_s3_are_told_and_the_backup_is_whole(self):
        backup = self.finish(self.ask(), mendable={"ab" * 20: "another content"})
        self.assertEqual((backup.damaged, backup.mendable, backup.whole), (0, 1, True))
        self.assertIn("S3 has them", self.alarms[0].summary)
        told, messages = self.alarms, self.tenant.message_ids
        self.finish(self.ask(), damaged={"cd" * 20: "<another> content"}, whole=False)
        self.assertEqual((self.alarms, self.tenant.message_ids), (told, messages))  # nobody is told again
        self.assertIn("no backup has them", self.alarms[0].summary)  # but what is open says what is wrong now
        self.finish(self.ask())
        self.assertFalse(self.alarms)

    def test_cluster_without_a_place_says_so(self):
        self.cluster.files_bucket = False
        backup = self.ask()
        self.step(backup)
        self.assertEqual((backup.state, backup.error_code), ("failed", "files_place_unset"))

    def test_references_have_a_known_form(self):
        with self.assertRaises(ValidationError):
            self.cluster.files_key_reference = "the key itself"

    def test_damaged_objects_are_written_again_by_the_next_backup(self):
        backup = self.finish(self.ask())
        backup.sudo()._record_check(["ab" * 20])
        self.assertTrue(self.alarms)
        self.assertFalse(backup.whole)
        again = self.ask()
        self.finish(again)
        self.assertEqual(self.works[-1].request.replace, ("ab" * 20,))
        self.assertTrue(self.alarms, "nobody has seen yet that they are there again")
        self.assertIn(backup.display_name, self.alarms[0].note)
        again.sudo()._record_check([])
        self.assertTrue(self.alarms)
        backup.sudo()._record_check([])
        self.assertTrue(backup.whole)
        self.assertFalse(self.alarms)

    def test_alarm_of_damaged_files_outlives_a_check_that_finds_an_older_backup_whole(self):
        older = self.finish(self.ask())
        older.sudo().lost = 1
        self.finish(self.ask(), damaged={"ab" * 20: "another content"}, whole=False)
        older.sudo()._record_check([])
        self.assertIn("no backup has them", self.alarms[0].summary)

    def test_alarm_of_lost_objects_ends_with_the_backup_that_needs_them(self):
        backup = self.finish(self.ask())
        backup.sudo().write({"lost": 2, "began_at": fields.Datetime.now() - timedelta(days=90)})
        backup.sudo()._raise_alarm("2 object(s) are missing or damaged in S3.")
        self.finish(self.ask())
        self.assertTrue(self.alarms)
        self.tenant.sudo()._expire_files_backups()
        self.assertEqual((backup.state, bool(self.alarms)), ("expired", False))

    def test_every_file_is_read_once_a_week(self):

        def audited():
            backup = self.finish(self.ask())
            self.assertEqual(self.works[-1].request.audit, backup.audit, "the Job does what the row says")
            return backup

        self.assertFalse(audited().audit)
        second = audited()
        self.assertTrue(second.audit)
        self.assertFalse(audited().audit)
        second.sudo().began_at -= timedelta(days=files_work.AUDIT_DAYS + 1)
        self.assertTrue(audited().audit)

    def test_erased_tenant_is_not_backed_up(self):
        backup = self.ask()
        self.tenant.with_user(self.operator).action_archive()
        self.tenant.with_user(self.operator).action_erase(self.tenant.name, "The test is over.")
        self.step(backup)
        self.assertEqual((backup.state, backup.error_code), ("failed", "tenant_gone"))
        self.assertFalse(self.alarms)

    def test_nobody_backs_up_what_is_not_theirs(self):
        for user in (self.stranger, self.auditor):
            with self.subTest(user.login), self.assertRaises(AccessError):
                self.ask(user)
        backup = self.ask()
        self.assertFalse(self.env["loomworks.files.backup"].with_user(self.stranger).search([]))
        with self.assertRaises(AccessError):
            backup.with_user(self.customer).write({"state": "done"})
        with self.assertRaises(UserError):
            self.tenant.with_user(self.operator).files_manifest = "other"

    def test_cron_asks_for_what_is_due(self):
        rows = self.env["loomworks.files.backup"]
        rows._cron_back_up()
        self.assertFalse(rows.search([]), "a new tenant has an hour")
        self.env.cr.execute("UPDATE loomworks_tenant SET create_date = create_date - interval '2 hours'")
        self.env.invalidate_all()
        rows._cron_back_up()
        backup = rows.search([])
        self.assertEqual((backup.tenant_id, backup.state), (self.tenant, "waiting"))
        rows._cron_back_up()
        self.assertEqual(rows.search([]), backup)
        self.finish(backup)
        rows._cron_back_up()
        self.assertEqual(rows.search([]), backup)
        backup.sudo().started_at -= timedelta(hours=25)
        rows._cron_back_up()
        self.assertEqual(len(rows.search([])), 2)

    def test_suspended_tenant_is_backed_up_once_more_when_nobody_writes_any_more(self):
        """What was written since the last backup stayed out of S3 until the archiving, for 60 days."""
        rows = self.env["loomworks.files.backup"].sudo()
        backup = self.finish(self.ask())
        backup.began_at -= timedelta(minutes=10)

        def asked(hours):
            with freeze_time(fields.Datetime.now() + timedelta(hours=hours)):
                rows._cron_back_up()
            return rows.search([]) - backup

        tenant = self.tenant.with_user(self.operator)
        tenant.action_suspend("not paid")
        self.assertFalse(asked(2), "its pods may be there still")
        self.finish_steps(self.tenant)
        self.assertFalse(asked(0.9), "who is resumed soon needs none")
        self.assertEqual(len(asked(1.1)), 1)
        self.step(asked(0))
        self.progress = FilesJobFailed("another key", "do this", "wrong_key")
        self.step(asked(0))
        self.assertEqual(len(asked(30)), 2, "a failed one is none")
        self.assertEqual(len(asked(30)), 2)
        self.finish(asked(0)[:1])
        for days in (1, 10, 50):
            self.assertEqual(len(asked(24 * days)), 2)
        self.assertEqual(self.works[-1].tenant.goal, "suspended")
        tenant.action_resume("paid")
        self.finish_steps(self.tenant)
        tenant.action_suspend("not paid again")
        self.finish_steps(self.tenant)
        asked(0)[:1].began_at -= timedelta(minutes=10)
        self.assertEqual(len(asked(3)), 3, "it has served meanwhile")

    def test_suspended_tenant_without_files_is_left_alone(self):
        """One that was never provisioned to its end failed each hour, with an alarm; so did one that awaits files."""
        rows = self.env["loomworks.files.backup"].sudo()
        never = self.make_tenant("never")
        never.action_provision()
        self.tenant.sudo().write({"files_source_uuid": self.tenant.uuid, "files_manifest": "m1"})
        for one in never | self.tenant:
            one.with_user(self.operator).action_suspend("not paid")
            self.finish_steps(one)
            self.finish_steps(one)
        with freeze_time(fields.Datetime.now() + timedelta(hours=2)):
            rows._cron_back_up()
            self.assertFalse(rows.search([]))
            self.tenant.sudo().files_restored = self.tenant.sudo()._files_wanted()
            rows._cron_back_up()
            self.assertEqual(rows.search([]).tenant_id, self.tenant)

    def many(self, count):
        """Return as many more active tenants, each with a backup that somebody has asked for."""
        others = [self.make_active(f"other{number}") for number in range(count)]
        return [other.with_user(self.operator)._request_files_backup().sudo() for other in others]

    def test_cron_leaves_a_cluster_alone_that_has_enough_to_do(self):
        rows = self.env["loomworks.files.backup"]
        self.many(AT_ONCE)
        rows.search([]).sudo().scheduled = True
        self.env.cr.execute("UPDATE loomworks_tenant SET create_date = create_date - interval '2 hours'")
        self.env.invalidate_all()
        rows._cron_back_up()
        self.assertEqual(len(rows.search([])), AT_ONCE)

    def test_what_people_ask_for_takes_no_plans_turn(self):
        """While many snapshots were being taken, nobody's turn came."""
        rows = self.env["loomworks.files.backup"].sudo()
        asked = self.many(AT_ONCE + 1)
        self.env.cr.execute("UPDATE loomworks_tenant SET create_date = create_date - interval '2 hours'")
        self.env.invalidate_all()
        for backup in asked:
            self.step(backup)
        rows._cron_back_up()
        planned = rows.search([("scheduled", "=", True)])
        self.assertEqual(planned.tenant_id, self.tenant)
        self.step(planned)
        self.assertEqual(planned.state, "running")

    def test_as_many_run_at_once_as_the_cluster_may_have_the_oldest_first(self):
        """500 snapshots by hand started 500 Jobs at once."""
        backups = self.many(AT_ONCE + 2)
        *_first, younger, youngest = backups
        self.assertGreater(self.step(youngest), 0)
        for backup in backups:
            self.step(backup)
        running = [backup.state for backup in backups].count("running")
        self.assertEqual((running, younger.state, youngest.state), (AT_ONCE, "waiting", "waiting"))
        self.finish(backups[0])
        self.step(youngest)
        self.assertEqual(youngest.state, "waiting", "its turn comes after that of the older one")
        self.step(younger)
        self.assertEqual(younger.state, "running")

    def test_who_cannot_begin_keeps_nobody_from_it(self):
        backups = self.many(AT_ONCE + 1)
        for backup in backups[:-1]:
            backup.reconcile_at = fields.Datetime.add(fields.Datetime.now(), hours=1)
        self.step(backups[-1])
        self.assertEqual(backups[-1].state, "running")

    def test_tenant_that_is_reset_waits_in_no_queue(self):
        for backup in self.many(AT_ONCE):
            self.step(backup)
        backup = self.ask()
        self.step(backup)
        self.assertEqual(backup.state, "waiting")
        self.tenant.with_user(self.operator).action_reset("Acme")
        self.step(backup)
        self.assertEqual(backup.state, "running")

    def test_manifest_of_a_moment_is_the_first_that_began_after_it(self):
        now = fields.Datetime.now()
        self.a_backup(now - timedelta(days=3))
        self.a_backup(now - timedelta(days=2), damaged=1)
        second = self.a_backup(now - timedelta(days=1))
        self.a_backup(now, state="failed")
        find = self.tenant._files_manifest_for
        self.assertEqual(find(now - timedelta(days=2, hours=12)), second.manifest, "a whole one is preferred")
        self.assertEqual(find(now - timedelta(days=1, hours=1)), second.manifest)
        self.assertIsNone(find(now - timedelta(days=1)))
        self.assertIsNone(find(now - timedelta(days=30)), "its files may have been removed before the next backup")
        second.lost = 1
        self.assertEqual(find(now - timedelta(days=1, hours=1)), second.manifest)

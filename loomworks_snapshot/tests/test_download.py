"""Files for customers as rows: who may have them made, what they wait for, and what becomes of them."""

import os
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from unittest.mock import patch

from odoo import fields
from odoo.addons.loomworks_storage.files import keys
from odoo.addons.loomworks_storage.filestore.key import Key
from odoo.addons.loomworks_storage.tests.common import PLACE
from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged
from odoo.tools import mute_logger

from ..restoring import download, flow
from .common import SnapshotCase

EXPORT = {"size": 5000, "sha256": "ab" * 32, "dump": 9000, "files": 2, "files_size": 30}
EXPORT |= {"missing": {}, "missing_count": 0}
REPORT = {"backup": "label", "fetched": 1, "segments": 2, "tables": 3, "rows": 4}
REPORT |= {"seconds": {"replay": 1.5, "files": 2}}
QUIET = ("odoo.http", "odoo.addons.base.models.ir_rule")


class DownloadCase(SnapshotCase):
    """A tenant whose cluster has a place for files; Jobs and S3 are known by what was asked of them."""

    def setUp(self):
        super().setUp()
        self.cluster.write(PLACE)
        self.startPatcher(patch.dict(os.environ, {"FILES_KEY": "key", "FILES_SECRET": "secret"}))
        self.progress, self.events, self.pods = flow.Progress("start"), [], False
        for target, name, value in (
            (flow, "advance", self._advance),
            (flow, "clean_up", self._noting("clean_up")),
            (flow, "discard", self._noting("discard")),
            (keys, "ensure", lambda kube, cluster, uuid: Key(bytes(32))),
            (keys, "read", lambda kube, uuid: Key(bytes(32))),
            (download, "delete", self._delete),
            (download, "still_runs", lambda spec, world: self.pods),
            (type(self.env["loomworks.restore"]), "_world", lambda row: SimpleNamespace(kube=None)),
            (type(self.env["loomworks.database.server"]), "_repository_location", lambda server: None),
        ):
            patcher = patch.object(target, name, value)
            patcher.start()
            self.addCleanup(patcher.stop)
        self.env.cr.execute("UPDATE loomworks_tenant SET create_date = create_date - interval '2 days'")
        self.tenant.invalidate_recordset(["create_date"])
        self.moment = fields.Datetime.now() - timedelta(hours=1)

    def _advance(self, spec, world):
        self.events.append(("advance", spec.request.download, spec.request.loads, bool(spec.files)))
        if isinstance(self.progress, Exception):
            raise self.progress
        return self.progress

    def _delete(self, place, uuid, number):
        self.events.append("delete")

    def _noting(self, kind):
        return lambda spec, world: self.events.append(kind)

    def ask(self, user=None, tenant=None, moment=None):
        tenant = (tenant or self.tenant).with_user(user or self.customer)
        number = tenant.action_export(fields.Datetime.to_string(moment or self.moment))
        return self.env["loomworks.restore"].browse(number)

    def step(self, restore):
        restore.reconcile_at = fields.Datetime.now()
        restore._reconcile_step()
        return restore

    def begin(self, **values):
        """Return a download that only has to be made."""
        restore = self.ask(**values)
        restore.write({"state": "restoring", "stage": "start"})
        return restore

    def back_up_files(self, minutes=-30, **values):
        began = fields.Datetime.now() + timedelta(minutes=minutes)
        values = {"tenant_id": self.tenant.id, "state": "done", "manifest": f"m{minutes}", "began_at": began, **values}
        return self.env["loomworks.files.backup"].sudo().create(values)

    def make(self, user=None, **export):
        """Return a download that is done."""
        self.back_up_files()
        restore = self.begin(user=user)
        self.progress = flow.Progress("restored", 1.0, {**REPORT, "export": {**EXPORT, **export}})
        return self.step(restore)


@tagged("post_install", "-at_install")
class TestDownload(DownloadCase):
    def test_file_is_made_of_the_moment_and_told(self):
        restore = self.make()
        name = f"{self.tenant.uuid}/{restore.id}"
        self.assertEqual(self.events, [("advance", name, False, True), "clean_up"])
        self.assertEqual((restore.state, restore.file_size, restore.file_sha256), ("done", 5000, "ab" * 32))
        self.assertEqual((restore.moment, restore.progress, restore.downloadable), (self.moment, 100, True))
        kept = restore.expires_at - fields.Datetime.now()
        self.assertAlmostEqual(kept.total_seconds(), 7 * 86400, delta=60)
        self.assertFalse(restore.missing_text)
        self.assertIn("2 files", restore.report_text)
        self.assertEqual(self.tenant.sudo().message_ids[0].partner_ids, self.customer.partner_id)
        self.assertEqual(self.audited(self.tenant)[-2:], ["export", "export_done"])

    def test_file_of_now_has_what_was_saved_in_this_second(self):
        before = datetime.now(UTC)
        restore = self.env["loomworks.restore"].browse(self.tenant.with_user(self.customer).action_export())
        self.assertTrue(before <= datetime.fromisoformat(restore.target_value) <= datetime.now(UTC))
        self.assertEqual(
            restore.moment, datetime.fromisoformat(restore.target_value).replace(microsecond=0, tzinfo=None)
        )

    def test_missing_files_are_told_in_words(self):
        missing = {"ab/abc": "not in S3"}
        restore = self.make(missing=missing, missing_count=12)
        self.assertIn("12 file(s)", restore.missing_text)
        self.assertIn("ab/abc (not in S3), …", restore.missing_text)
        self.assertIn("12 file(s)", self.tenant.sudo().message_ids[0].body)

    def test_progress_goes_forward_through_the_stages(self):
        self.back_up_files()
        restore, seen = self.begin(), []
        for stage in ("start", "catalogue", "fetch", "restore", "replay", "check", "dump", "files"):
            for share in (0.0, 1.0):
                self.progress = flow.Progress(stage, share)
                seen.append(self.step(restore).progress)
        self.assertEqual(seen, sorted(seen))
        self.assertEqual((seen[0], seen[-1], restore.stage), (0, 100, "files"))

    def test_backup_of_files_is_asked_for_once_and_awaited(self):
        restore = self.begin()
        self.step(restore)
        backup = self.tenant.sudo().files_backup_ids
        self.assertEqual((backup.state, restore.files_manifest), ("waiting", False))
        self.step(restore)
        self.assertEqual((self.tenant.sudo().files_backup_ids, self.events), (backup, []))
        backup.write({"state": "done", "manifest": "mine", "began_at": fields.Datetime.now()})
        self.step(restore)
        self.assertEqual(restore.files_manifest, "mine")
        self.assertEqual(self.events[0][0], "advance")
        self.assertIn("mine", self.tenant.sudo()._needed_manifests())

    def test_moment_of_now_waits_for_a_backup_after_it(self):
        self.back_up_files()
        restore = self.begin(moment=fields.Datetime.now())
        self.step(restore)
        self.assertFalse(restore.files_requested_at)  # a backup that begins now could have begun before the moment
        restore.moment -= timedelta(seconds=5)
        self.step(restore)
        self.assertTrue(restore.files_requested_at)

    def test_failed_backup_of_files_does_not_stop_it(self):
        restore = self.begin()
        self.step(restore)
        self.tenant.sudo().files_backup_ids.write({"state": "failed", "began_at": fields.Datetime.now()})
        self.step(restore)
        self.assertEqual((self.events[0][0], restore.files_manifest), ("advance", False))

    def test_old_moment_takes_the_files_that_there_are(self):
        self.env.cr.execute("UPDATE loomworks_tenant SET create_date = create_date - interval '40 days'")
        self.tenant.invalidate_recordset(["create_date"])
        restore = self.begin(moment=fields.Datetime.now() - timedelta(days=30))
        self.step(restore)
        self.assertEqual(self.events[0][0], "advance")
        self.assertFalse(self.tenant.sudo().files_backup_ids)

    def test_cluster_without_a_place_for_files_is_an_error_with_a_hint(self):
        self.cluster.files_bucket = False
        restore = self.step(self.begin())
        self.assertEqual((restore.state, restore.error_code), ("failed", "files_place_unset"))

    def test_failed_download_can_be_tried_again(self):
        self.back_up_files()
        restore = self.begin()
        self.progress = flow.RestoreFailed("a page is damaged", code="damaged")
        self.step(restore)
        self.assertEqual((restore.state, restore.error_message), ("failed", "a page is damaged"))
        restore.with_user(self.customer).action_retry()
        self.assertEqual(restore.state, "waiting")

    # --- its end ----------------------------------------------------------------------------------------

    def test_cancelled_download_is_deleted_when_its_job_has_ended(self):
        self.back_up_files()
        restore = self.begin()
        restore.with_user(self.customer).action_cancel()
        self.pods = True
        self.step(restore)
        self.assertEqual((self.events, bool(restore.reconcile_at)), (["discard"], True))
        self.pods = False
        self.step(restore)
        self.assertEqual((self.events, restore.reconcile_at), (["discard", "discard", "delete"], False))

    def test_file_is_deleted_at_its_time(self):
        restore = self.make()
        self.events.clear()
        self.env["loomworks.restore"]._cron_forget()
        self.assertFalse(restore.reconcile_at)
        restore.expires_at = fields.Datetime.now()
        self.env["loomworks.restore"]._cron_forget()
        restore._reconcile_step()
        self.assertEqual((restore.state, restore.downloadable, self.events), ("expired", False, []))
        self.step(restore)
        self.assertEqual((self.events, restore.reconcile_at, restore.progress), (["delete"], False, 100))

    def test_customer_deletes_the_file(self):
        restore = self.make()
        restore.with_user(self.customer).action_delete_file()
        self.assertEqual(restore.state, "expired")
        self.assertEqual(self.audited(self.tenant)[-1], "export_delete")
        with self.assertRaisesRegex(UserError, "There is no file"):
            restore.with_user(self.customer).action_delete_file()

    def test_erased_tenant_leaves_no_file(self):
        restore = self.make()
        self.tenant.with_user(self.operator).action_archive()
        running = self.begin(user=self.operator)
        self.tenant.with_user(self.operator).action_erase(self.tenant.name, "The test is over.")
        self.assertEqual((restore.state, running.state), ("expired", "cancelled"))
        self.assertTrue(restore.reconcile_at)

    def test_tenant_that_is_being_erased_gets_no_file(self):
        restore = self.begin()
        self.tenant.sudo().erase_requested = True
        self.step(restore)
        self.assertEqual((restore.state, restore.error_code), ("failed", "tenant_gone"))

    # --- who --------------------------------------------------------------------------------------------

    def test_others_neither_ask_nor_see_nor_get(self):
        restore = self.make()
        for user in (self.stranger, self.auditor):
            for action in ("action_download_link", "action_show_download_link", "action_delete_file", "action_cancel"):
                with self.subTest(user=user.login, action=action), mute_logger(*QUIET), self.assertRaises(AccessError):
                    getattr(restore.with_user(user), action)()
            with mute_logger(*QUIET), self.assertRaises(AccessError):
                self.ask(user)
            with mute_logger(*QUIET), self.assertRaises(AccessError):
                self.snapshots.browse(self.take_ready().id).with_user(user).action_export()
        self.assertFalse(self.env["loomworks.restore"].with_user(self.stranger).search([("id", "=", restore.id)]))
        for values in ({"expires_at": "2099-01-01"}, {"state": "done"}, {"missing_files": 0}):
            with mute_logger(*QUIET), self.assertRaises(AccessError):
                restore.with_user(self.operator).write(values)

    def test_one_at_a_time_and_a_few_a_day(self):
        first = self.ask()
        for user in (self.customer, self.operator):
            with self.assertRaisesRegex(UserError, "being made already"):
                self.ask(user)
        first.with_user(self.customer).action_cancel()
        self.tenant.plan_id.sudo().downloads_daily = 1
        with self.assertRaisesRegex(UserError, "may have 1 files made in a day"):
            self.ask()
        self.ask(self.operator).with_user(self.operator).action_cancel()
        first.started_at -= timedelta(days=2)
        self.env["loomworks.restore"].search([("requested_by_id", "=", self.operator.id)]).started_at = first.started_at
        self.ask().with_user(self.customer).action_cancel()
        self.tenant.plan_id.sudo().downloads_daily = 0
        with self.assertRaisesRegex(UserError, "no downloads"):
            self.ask()

    def test_snapshot_gives_its_own_moment(self):
        snapshot = self.take_ready()
        number = snapshot.with_user(self.customer).action_export()
        restore = self.env["loomworks.restore"].browse(number)
        self.assertEqual((restore.snapshot_id, restore.moment), (snapshot, snapshot.created_at))
        self.assertEqual((restore.purpose, snapshot.state), ("download", "restoring"))

    def test_moments_that_never_were_are_refused(self):
        for moment in (fields.Datetime.now() + timedelta(days=1), fields.Datetime.now() - timedelta(days=9)):
            with self.assertRaises(UserError):
                self.ask(moment=moment)

    def test_archived_tenant_is_taken_along_and_a_draft_is_not(self):
        self.tenant.with_user(self.operator).action_archive()
        self.assertEqual(self.ask().state, "waiting")
        draft = self.make_tenant("draft")
        with self.assertRaisesRegex(UserError, "neither active"):
            self.ask(self.operator, draft, fields.Datetime.now())

    def test_wizard_says_what_and_begins(self):
        wizards = self.env["loomworks.tenant.export"].with_user(self.customer)
        snapshot = self.take_ready()
        wizard = wizards.with_context(default_snapshot_id=snapshot.id).create({})
        self.assertEqual((wizard.tenant_id, wizard.moment), (self.tenant, snapshot.created_at))
        action = wizard.action_confirm()
        self.assertEqual(self.env["loomworks.restore"].browse(action["res_id"]).purpose, "download")

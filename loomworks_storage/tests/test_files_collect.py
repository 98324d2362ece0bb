"""Which backups of files expire, and when S3 is asked to forget them."""

from datetime import timedelta
from types import SimpleNamespace
from unittest.mock import patch

from odoo import fields
from odoo.addons.loomworks_tenant.errors import LoomworksError
from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged

from ..filestore.errors import ObjectDamaged
from ..models import files_crons, files_work
from .common import PLACE, FilesCase


@tagged("post_install", "-at_install")
class TestFilesCollect(FilesCase):
    def setUp(self):
        super().setUp()
        self.runs, self.error, self.finished, self.removed = [], None, True, []
        case = self

        class Collector:
            def __init__(self, vault):
                pass

            def run(self, expired):
                if case.error:
                    raise case.error
                case.runs.append(set(expired))
                return SimpleNamespace(finished=case.finished)

        for name, value in (
            ("Collector", Collector),
            ("remove_all", self.removed.append),
            ("Store", lambda location: location.tenant),
        ):
            patcher = patch.object(files_crons, name, value)
            patcher.start()
            self.addCleanup(patcher.stop)
        self.startPatcher(patch.dict("os.environ", {"FILES_KEY": "account", "FILES_SECRET": "secret"}))
        self.startPatcher(patch.object(type(self.env["ir.cron"]), "_commit_progress", lambda *args, **options: 1.0))
        self.vault_of = type(self.tenant)._files_vault
        self.startPatcher(patch.object(type(self.tenant), "_files_vault", lambda tenant: None))
        now = fields.Datetime.now()
        self.old, self.young = (self.a_backup(now - timedelta(days=days)) for days in (16, 14))
        self.tenant.sudo().files_collected_at = now

    def collect(self):
        self.env["loomworks.files.backup"].sudo()._cron_collect()

    def test_backup_expires_by_the_plan_and_is_removed_once(self):
        self.collect()
        self.assertEqual((self.old.state, self.old.removed, self.young.state), ("expired", True, "done"))
        self.assertEqual(self.runs, [{self.old.manifest}])
        self.collect()
        self.assertEqual(len(self.runs), 1)

    def test_backup_that_cannot_be_read_is_told_once_and_the_next_looks_at_every_file(self):
        older, newest = self.old, self.young
        why = ObjectDamaged("a manifest's base is not there")

        class Vault:
            def manifest(self, name):
                if name == newest.manifest:
                    raise why
                return name

        report = SimpleNamespace(missing=[], damaged={})
        self.startPatcher(patch.object(type(self.tenant), "_files_vault", lambda tenant: Vault()))
        self.startPatcher(patch.object(files_crons, "check", lambda vault, manifest, sample: report))
        newest.sudo().write({"audit": True, "began_at": fields.Datetime.now()})
        self.assertFalse(newest._is_audit_due(fields.Datetime.now()))
        for _ in range(2):
            self.tenant.sudo().files_checked_at = False
            self.env["loomworks.files.backup"].sudo()._cron_check()
        self.assertEqual((newest.whole, newest.lost, older.whole), (False, max(1, newest.files), True))
        self.assertTrue(newest.checked_at)
        self.assertTrue(older.checked_at)
        alarm = self.env.ref(files_work.ALARM)
        told = self.tenant.sudo().activity_ids.filtered(lambda one: one.activity_type_id == alarm)
        self.assertEqual(len(told.filtered(lambda one: one.user_id == self.operator)), 1)
        self.assertIn("base is not there", told[0].note)
        self.assertTrue(newest._is_audit_due(fields.Datetime.now()))

    def test_operator_has_a_backup_checked_now(self):
        report = SimpleNamespace(missing=["ab" * 20], damaged={})
        self.startPatcher(patch.object(type(self.tenant), "_files_vault", lambda tenant: SimpleNamespace(manifest=str)))
        self.startPatcher(patch.object(files_crons, "check", lambda vault, manifest, sample: report))
        with self.assertRaises(AccessError):
            self.young.with_user(self.auditor).action_check()
        self.young.with_user(self.operator).action_check()
        self.assertEqual((self.young.lost, self.old.lost), (1, 0))

        def away(tenant):
            raise LoomworksError("S3 is away")

        self.startPatcher(patch.object(type(self.tenant), "_files_vault", away))
        with self.assertRaisesRegex(UserError, "S3 is away"):
            self.young.with_user(self.operator).action_check()

    def test_checks_go_on_where_the_last_run_ended_and_one_that_breaks_stops_no_other(self):
        other = self.make_active("other")
        self.a_backup(fields.Datetime.now(), tenant_id=other.id)
        checked, left = [], [1.0, 1.0, 0.0]

        def vault(tenant):
            checked.append(tenant)
            if tenant == self.tenant:
                raise KeyError("something nobody thought of")
            return SimpleNamespace(manifest=str)

        report = SimpleNamespace(missing=[], damaged={})
        self.startPatcher(patch.object(type(self.tenant), "_files_vault", vault))
        self.startPatcher(patch.object(files_crons, "check", lambda vault, manifest, sample: report))
        self.startPatcher(patch.object(type(self.env["ir.cron"]), "_commit_progress", lambda *_, **__: left.pop(0)))
        check = self.env["loomworks.files.backup"].sudo()._cron_check
        with self.assertLogs(files_crons._logger, "ERROR"):
            check()  # its time is over after the first
        left += [1.0, 1.0, 1.0]
        check()
        self.assertEqual(checked, [self.tenant, other])
        left += [1.0]
        check()
        self.assertEqual(len(checked), 2, "each has had its check of the day")
        self.tenant.sudo().files_checked_at -= timedelta(days=1)
        left += [1.0, 1.0, 1.0]
        with self.assertLogs(files_crons._logger, "ERROR"):
            check()
        self.assertEqual(checked[2:], [self.tenant])

    def test_newest_backup_stays_however_old(self):
        self.young.began_at = self.old.began_at
        self.collect()
        self.assertEqual((self.old.state, self.young.state), ("expired", "done"))

    def test_backup_that_a_restore_needs_stays(self):
        values = {"files_source_uuid": self.tenant.uuid, "files_manifest": self.old.manifest}
        self.make_active("clone").sudo().write(values)
        self.collect()
        self.assertEqual(self.old.state, "done")
        self.assertFalse(self.runs)

    def test_nothing_is_removed_while_a_backup_is_made(self):
        self.ask()
        self.collect()
        self.assertEqual((self.old.state, self.old.removed), ("expired", False))
        self.assertFalse(self.runs)

    def test_what_was_not_removed_is_tried_again(self):
        self.error = LoomworksError("S3 is away")
        with self.assertLogs(files_crons._logger, "WARNING"):
            self.collect()
        self.assertFalse(self.old.removed)
        self.error, self.finished = None, False
        self.collect()
        self.assertFalse(self.old.removed)
        self.finished = True
        self.collect()
        self.assertTrue(self.old.removed)

    def test_cluster_without_a_place_stops_nobody_elses_check_or_collection(self):
        """Nothing was collected or checked behind the first tenant of a cluster whose place was cleared."""
        elsewhere = self.cluster.copy({"name": "elsewhere", **PLACE})
        server = self.make_server("db2", cluster_id=elsewhere.id)
        other = self.make_active("other", cluster_id=elsewhere.id)
        self.assertEqual(other.server_id, server)
        now = fields.Datetime.now()
        theirs = self.a_backup(now - timedelta(days=16), tenant_id=other.id)
        newest = self.a_backup(now, tenant_id=other.id)
        self.cluster.files_bucket = False
        self.startPatcher(patch.object(type(self.tenant), "_files_vault", self.vault_of))
        self.startPatcher(patch.object(type(self.cluster), "_client", lambda cluster: None))
        self.startPatcher(patch.object(files_crons, "Vault", lambda store, key: SimpleNamespace(manifest=str)))
        report = SimpleNamespace(missing=[], damaged={})
        self.startPatcher(patch.object(files_crons, "check", lambda vault, manifest, sample: report))
        with self.assertLogs(files_crons._logger, "WARNING") as logs:
            self.collect()
            self.env["loomworks.files.backup"].sudo()._cron_check()
        self.assertEqual((self.old.removed, theirs.removed), (False, True))
        self.assertEqual((bool(self.young.checked_at), bool(newest.checked_at)), (False, True))
        self.assertEqual(sum("does not say where files are" in line for line in logs.output), 2)

    def test_leftovers_of_killed_backups_go_once_a_week(self):
        self.old.began_at = fields.Datetime.now()
        self.collect()
        self.assertFalse(self.runs)
        self.tenant.sudo().files_collected_at -= timedelta(days=8)
        self.collect()
        self.collect()
        self.assertEqual(self.runs, [set()])

    def test_objects_of_an_erased_tenant_go(self):
        self.tenant.with_user(self.operator).action_archive()
        self.tenant.with_user(self.operator).action_erase(self.tenant.name, "The test is over.")
        self.tenant.sudo()._settle()
        self.assertEqual(set((self.old | self.young).mapped("state")), {"expired"})
        self.collect()
        self.collect()
        self.assertEqual(self.removed, [self.tenant.uuid])
        self.assertFalse(self.runs)

    def test_objects_of_an_erased_tenant_go_when_all_its_backups_failed(self):
        """A failed backup may have left objects; its row kept the sweep from ever listing them."""
        (self.old | self.young).sudo().state = "failed"
        self.tenant.with_user(self.operator).action_archive()
        self.tenant.with_user(self.operator).action_erase(self.tenant.name, "The test is over.")
        self.tenant.sudo()._settle()
        self.assertIn(self.tenant.uuid, self.env["loomworks.orphan"].sudo()._known().files)
        self.collect()
        self.collect()
        self.assertEqual(self.removed, [self.tenant.uuid])
        self.assertEqual(set((self.old | self.young).mapped("removed")), {True})
        self.assertNotIn(self.tenant.uuid, self.env["loomworks.orphan"].sudo()._known().files)

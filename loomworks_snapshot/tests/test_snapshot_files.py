"""Which backup has a snapshot's files, and what is said of it."""

from datetime import timedelta

from odoo import fields
from odoo.tests import tagged

from .common import SnapshotCase

REPORT = {"files": 7, "bytes": 70, "uploaded": 3, "uploaded_bytes": 30, "damaged": {}, "whole": True}


@tagged("post_install", "-at_install")
class TestSnapshotFiles(SnapshotCase):
    def setUp(self):
        super().setUp()
        self.snapshot = self.take_ready()
        self.backups = self.env["loomworks.files.backup"].sudo()

    def finished(self, **values):
        """Return a backup that began a minute after the snapshot, and has come to its end."""
        began = self.snapshot.created_at + timedelta(minutes=1)
        row = {
            "tenant_id": self.tenant.id,
            "state": "running",
            "began_at": began,
            "manifest": f"m{len(self.backups.search([]))}",
        }
        backup = self.backups.create({**row, **values})
        backup._finish(REPORT)
        return backup

    def test_snapshot_is_ready_before_its_files_are_in_s3(self):
        self.assertEqual((self.snapshot.state, self.snapshot.files_state), ("ready", "waiting"))
        self.assertIn("Not in S3 yet", self.snapshot.files_text)

    def test_backup_that_ends_has_the_files_of_earlier_snapshots(self):
        later = self.take_ready(created_at=self.snapshot.created_at + timedelta(hours=1))
        backup = self.finished()
        self.assertEqual((self.snapshot.files_backup_id, self.snapshot.filestore_manifest), (backup, backup.manifest))
        self.assertEqual((self.snapshot.files_state, later.files_state), ("whole", "waiting"))
        self.assertIn("Whole in S3", self.snapshot.files_text)

    def test_damaged_objects_are_told_and_another_backup_taken(self):
        backup = self.finished()
        backup._record_check(["ab" * 20])
        self.assertEqual((self.snapshot.state, self.snapshot.files_state), ("ready", "damaged"))
        self.assertIn("1 of the files", self.snapshot.files_text)
        again = self.finished()
        self.assertEqual((self.snapshot.files_backup_id, self.snapshot.files_state), (again, "whole"))

    def asked_for(self):
        return self.backups.search([("tenant_id", "=", self.tenant.id), ("state", "=", "waiting")])

    def with_a_place(self):
        values = {"endpoint": "s3.test", "bucket": "files", "region": "here"}
        references = dict.fromkeys(("key_reference", "key_secret_reference"), "env:NO_SUCH_SECRET")
        self.cluster.write({f"files_{name}": value for name, value in (values | references).items()})

    def test_files_of_a_moment_that_somebody_asked_for_are_saved_at_once(self):
        self.assertFalse(self.asked_for())  # this cluster does not say where to
        self.with_a_place()
        snapshot = self.take_ready()
        backup = self.asked_for()
        self.assertGreater(backup.reconcile_at, snapshot.created_at + timedelta(seconds=2))
        self.look_now(snapshot)
        self.assertEqual(self.asked_for(), backup)
        backup.write({"state": "running", "began_at": backup.reconcile_at, "manifest": "m"})
        backup._finish(REPORT)
        self.assertEqual((snapshot.files_state, snapshot.filestore_manifest), ("whole", "m"))
        self.look_now(snapshot)
        self.assertFalse(self.asked_for())

    def test_backup_that_began_before_the_moment_will_not_do(self):
        self.with_a_place()
        self.snapshot.write({"snapshot_type": "auto"})
        began = fields.Datetime.now() - timedelta(minutes=1)
        self.backups.create({"tenant_id": self.tenant.id, "state": "running", "began_at": began, "manifest": "m"})
        self.look_now(self.snapshot)
        self.assertFalse(self.asked_for())  # a plan's own snapshots have its backups of files
        self.take_ready()
        self.assertEqual(len(self.asked_for()), 1)

    def test_snapshot_that_is_taken_later_than_asked_for_waits_for_a_backup_behind_its_moment(self):
        late = self.take()
        late.created_at -= timedelta(hours=1)
        early = self.finished(began_at=late.created_at + timedelta(minutes=30))
        self.assertEqual((late.wal_position, late.files_backup_id.ids), (False, []))
        late.write({"files_backup_id": early.id, "filestore_manifest": early.manifest})  # as of a moment before this
        self.look_now(late)
        self.assertEqual((late.state, late.files_state, late.filestore_manifest), ("ready", "waiting", False))
        backup = self.finished()
        self.assertEqual((late.files_state, late.files_backup_id), ("whole", backup))

    def test_backup_of_a_stopped_tenant_has_the_files_of_every_moment_of_its_reset(self):
        self.with_a_place()
        now = fields.Datetime.now()
        stopped, began = now - timedelta(minutes=5), now - timedelta(minutes=4)
        reset = self.env["loomworks.reset"].sudo().create({"tenant_id": self.tenant.id, "stopped_at": stopped})
        backup = self.backups.create(
            {"tenant_id": self.tenant.id, "state": "running", "began_at": began, "manifest": "of-reset"}
        )
        snapshot = self.take_ready(created_at=now - timedelta(minutes=3))
        self.assertFalse(self.asked_for())
        backup._finish(REPORT)
        self.assertEqual((snapshot.files_state, snapshot.filestore_manifest), ("whole", "of-reset"))
        reset.write({"state": "done", "replaced_at": now - timedelta(minutes=2), "finished_at": now})
        find = self.tenant._files_manifest_for
        self.assertEqual(find(now - timedelta(minutes=3)), "of-reset")
        self.assertIsNone(find(now - timedelta(minutes=2)), "its Odoo may have started by the server's clock")

    def test_proof_notes_what_was_missed(self):
        backup = self.finished()
        self.snapshot.write({"files_backup_id": False, "filestore_manifest": False})
        self.look_now(self.snapshot)
        self.assertEqual((self.snapshot.state, self.snapshot.files_backup_id), ("ready", backup))

    def test_moment_long_ago_has_no_backup(self):
        self.snapshot.created_at = fields.Datetime.now() - timedelta(days=15)
        self.assertEqual(self.snapshot.files_state, "absent")
        self.backups.create(
            {"tenant_id": self.tenant.id, "state": "done", "began_at": fields.Datetime.now(), "manifest": "m"}
        )
        self.snapshot._note_files()
        self.assertFalse(self.snapshot.files_backup_id)

    def test_manifest_of_a_living_snapshot_is_needed(self):
        manifest = self.finished().manifest
        self.backups.create(
            {"tenant_id": self.tenant.id, "state": "done", "began_at": fields.Datetime.now(), "manifest": "newest"}
        )
        self.assertEqual(self.tenant.sudo()._needed_manifests(), {manifest, "newest"})
        self.snapshot.with_user(self.operator).action_delete()
        self.assertEqual(self.tenant.sudo()._needed_manifests(), {"newest"})

    def test_figures(self):
        def figures():
            self.env.flush_all()
            found = self.env["loomworks.database.server"].sudo()._metrics()
            named = {one.name: one for one in found}
            return [
                {labels["cluster"]: value for labels, value in named[f"loomworks_files_{name}"].samples}[
                    self.cluster.name
                ]
                for name in ("backup_overdue", "backup_failing", "damaged", "unchecked")
            ]

        self.assertEqual(figures(), [0, 0, 0, 0])
        backup = self.finished()
        backup.began_at -= timedelta(days=3)
        backup.lost = 1
        self.assertEqual(figures(), [1, 0, 1, 0])
        self.backups.create({"tenant_id": self.tenant.id, "state": "failed"})
        self.assertEqual(figures(), [1, 1, 1, 0])
        self.backups.create(
            {"tenant_id": self.tenant.id, "state": "done", "began_at": fields.Datetime.now(), "manifest": "newest"}
        )
        self.assertEqual(figures(), [0, 0, 1, 0], "a newer backup does not have what is lost of an older one")
        backup.finished_at = fields.Datetime.now() - timedelta(days=4)
        self.assertEqual(figures(), [0, 0, 1, 1])
        self.tenant.sudo().files_checked_at = fields.Datetime.now()
        backup.state = "expired"
        self.assertEqual(figures(), [0, 0, 0, 0])

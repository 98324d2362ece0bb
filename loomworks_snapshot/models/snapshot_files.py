"""The files of a snapshot's moment: proven by themselves, so that nobody waits for them who wants a snapshot."""

from odoo import api, fields, models
from odoo.addons.loomworks_storage.models.files_backup import UNFINISHED
from odoo.addons.loomworks_storage.models.tenant_files import BACKED_UP_IN

LIVE = ("creating", "ready", "restoring", "failed")
FILES_STATES = [
    ("waiting", "Not in S3 yet"),
    ("whole", "Whole"),
    ("damaged", "Damaged"),
    ("absent", "Not backed up in time"),
]


class SnapshotFiles(models.Model):
    """A snapshot that knows which backup has its files."""

    _inherit = "loomworks.snapshot"

    files_backup_id = fields.Many2one(
        "loomworks.files.backup", "Backup of the files", readonly=True, ondelete="set null", index="btree_not_null"
    )
    files_state = fields.Selection(FILES_STATES, "Files", compute="_compute_files")
    files_text = fields.Char("Files in S3", compute="_compute_files")

    @api.depends("created_at", "files_backup_id.whole", "files_backup_id.checked_at")
    def _compute_files(self):
        now = fields.Datetime.now()
        for snapshot in self:
            backup = snapshot.files_backup_id.sudo()
            if not backup:
                late = snapshot.created_at and snapshot.created_at + self.env["loomworks.tenant"]._files_kept() < now
                snapshot.files_state = "absent" if late else "waiting"
            else:
                snapshot.files_state = "whole" if backup.whole else "damaged"
            snapshot.files_text = snapshot._files_words(backup)

    def _files_words(self, backup):
        if self.files_state == "waiting":
            return self.env._("Not in S3 yet: they are on the tenant's volume, and come with its next backup of files.")
        if self.files_state == "absent":
            return self.env._("No backup was made in time: files removed soon after this moment may be missing.")
        began = fields.Datetime.to_string(backup.began_at)
        if self.files_state == "damaged":
            count = backup.damaged + backup.lost
            return self.env._(
                "%(count)s of the files in the backup of %(began)s UTC are damaged.", count=count, began=began
            )
        checked = fields.Datetime.to_string(backup.checked_at or backup.finished_at)
        return self.env._(
            "Whole in S3 since %(began)s UTC; last seen whole at %(checked)s.", began=began, checked=checked
        )

    def _prove_files(self):
        """Note the backup that has the files; what it lacks is told beside the verdict on the database."""
        if self.state != "creating":
            self._note_files()
        return getattr(super(), "_prove_files", lambda: None)()

    def write(self, vals):
        """Have the files saved, too, of each moment that somebody has asked for; a plan's own have its backups."""
        result = super().write(vals)
        if vals.get("state") == "ready":
            self.filtered(lambda one: one.snapshot_type != "auto")._save_files()
        return result

    def _save_files(self):
        """Ask for a backup of the files of each moment that has none, and that none will have that was asked for."""
        backups, now = self.env["loomworks.files.backup"].sudo(), fields.Datetime.now()
        for snapshot in self.filtered(lambda one: one.files_state == "waiting"):
            tenant = snapshot.tenant_id.sudo()
            since = tenant._files_since(snapshot.created_at)
            asked = [("tenant_id", "=", tenant.id), ("state", "in", UNFINISHED)]
            coming = backups.search(asked).filtered(lambda one: (one.began_at or now) >= since)  # noqa: B023
            if tenant.cluster_id._files_place() and tenant.state in BACKED_UP_IN and not coming:
                tenant._request_files_backup().sudo().reconcile_at = max(now, since)

    def _note_files(self):
        """Note which backup has the files of each moment, as soon as there is one, and a whole one rather."""
        for snapshot in self.filtered(lambda one: not one.files_backup_id.whole):
            found = snapshot.tenant_id._files_backup_for(snapshot.created_at)
            if found and found != snapshot.files_backup_id:
                snapshot.write({"files_backup_id": found.id, "filestore_manifest": found.manifest})


class FilesBackup(models.Model):
    """A backup of files that snapshots have waited for."""

    _inherit = "loomworks.files.backup"

    def _finish(self, report):
        """Tell the snapshots that were taken before it: the moment of one that is not taken yet is to come."""
        result = super()._finish(report)
        self.tenant_id.snapshot_ids.filtered(lambda one: one.state in LIVE and one.wal_position)._note_files()
        return result


class Tenant(models.Model):
    """A tenant whose snapshots need manifests."""

    _inherit = "loomworks.tenant"

    def _needed_manifests(self):
        """Add those of living snapshots."""
        domain = [("tenant_id", "=", self.id), ("state", "in", LIVE), ("filestore_manifest", "!=", False)]
        snapshots = self.env["loomworks.snapshot"].sudo().search(domain)
        return super()._needed_manifests() | set(snapshots.mapped("filestore_manifest"))

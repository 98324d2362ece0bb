"""The reconciler's work on a copy: another tenant's database gets the data, and the files of the same moment."""

from datetime import timedelta

from odoo import fields, models
from odoo.addons.loomworks_storage.models.files_backup import UNFINISHED

from ..restoring import flow

CLOCKS = timedelta(seconds=3)  # a backup of files that begins so long after the moment has all of its files


class RestoreCopy(models.Model):
    """A restore whose database is a new tenant's."""

    _inherit = "loomworks.restore"

    def _step_copying(self):
        """Hand the database over with its files; wait for those as long as they are not in S3."""
        if not self.copy_id:
            raise flow.RestoreFailed("the new tenant is gone", code="tenant_gone")
        manifest = self._manifest_for_copy()
        if not manifest:
            return self._pause(flow.LOOK)
        self.copy_id.write({"files_source_uuid": self.tenant_id.uuid, "files_manifest": manifest})
        self._end_with({})
        return self.copy_id._request_reconcile()

    def _step_cancelled(self):
        """Take the new tenant away as well: here, where whoever else works on its row is waited for."""
        self.copy_id._abandon_copy()
        return super()._step_cancelled()

    def _manifest_for_copy(self):
        """Return the manifest that has the files of the moment; None while it is being made, which this begins.

        :raises RestoreFailed: when there is none, and none can be made any more
        """
        tenant, now = self.tenant_id, fields.Datetime.now()
        if manifest := tenant._files_manifest_for(self.moment):
            return manifest
        if tenant.files_backup_ids.filtered(lambda one: one.state in UNFINISHED) or now <= self.moment + CLOCKS:
            return None
        tried = tenant.files_backup_ids.filtered(
            lambda one: one.state == "failed" and one.started_at >= self.started_at
        )
        if tried:
            raise flow.RestoreFailed(
                f"the files of the original could not be backed up: {tried[:1].error_message}",
                "See its backups of files, then try again.",
                code="no_files",
            )
        if now > self.moment + tenant._files_kept():
            raise flow.RestoreFailed(
                "there is no backup of the files of that time", "Copy a snapshot, or a later moment.", code="no_files"
            )
        tenant._request_files_backup()
        return None

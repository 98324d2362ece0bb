"""Files for customers: a tenant as of a moment as one zip, made by a restore that ends in S3 instead of the server."""

from dataclasses import replace
from datetime import UTC, timedelta

from odoo import api, fields, models
from odoo.addons.loomworks_storage.files import keys
from odoo.addons.loomworks_storage.models.files_backup import UNFINISHED
from odoo.addons.loomworks_storage.models.tenant_files import CLOCKS
from odoo.exceptions import AccessError, UserError
from odoo.tools.misc import hash_sign, human_size, verify_hash_signed

from ..restoring import download, flow
from ..restoring.spec import FilesAccess

KEPT_DAYS = 7  # a file
LINK_HOURS = 24  # a link, and never longer than the file
SCOPE = "loomworks_download"
PATH = "/loomworks/download"
FILES_LOOK = 1.0  # seconds between two looks for the backup of the files
END_LOOK = 2.0  # seconds between two looks for the end of a Job's pod
SHARES = {  # of the whole, roughly, in percent
    "start": 5,
    "catalogue": 5,
    "fetch": 10,
    "restore": 10,
    "replay": 20,
    "check": 10,
    "dump": 20,
    "files": 20,
}


class RestoreDownload(models.Model):
    """A restore whose outcome is a file."""

    _inherit = "loomworks.restore"

    purpose = fields.Selection(selection_add=[("download", "Download")], ondelete={"download": "cascade"})
    state = fields.Selection(selection_add=[("expired", "File deleted")], ondelete={"expired": "cascade"})
    expires_at = fields.Datetime("Can be downloaded until", readonly=True)
    file_size = fields.Float("Bytes", digits=(20, 0), readonly=True)
    file_size_text = fields.Char("Size", compute="_compute_file_text")
    file_sha256 = fields.Char("SHA-256", readonly=True)
    missing_files = fields.Integer(
        readonly=True, help="Files that the database names, and that are not in the archive."
    )
    missing_text = fields.Text(compute="_compute_file_text")
    files_manifest = fields.Char(readonly=True, help="The backup that has the files of the moment.")
    files_requested_at = fields.Datetime(readonly=True)
    downloadable = fields.Boolean(compute="_compute_downloadable")

    _one_download = models.UniqueIndex(
        "(tenant_id) WHERE purpose = 'download' AND state IN ('waiting', 'restoring')",
        "A file of this tenant is being made already. Wait for its end, or cancel it.",
    )

    @api.depends("purpose", "state", "expires_at")
    def _compute_downloadable(self):
        now = fields.Datetime.now()
        for restore in self:
            restore.downloadable = (
                restore.purpose == "download" and restore.state == "done" and bool(restore.expires_at > now)
            )

    @api.depends("file_size", "missing_files", "report")
    def _compute_file_text(self):
        for restore in self:
            restore.file_size_text = human_size(restore.file_size) if restore.file_size else False
            restore.missing_text = restore._missing_words() if restore.missing_files else False

    def _missing_words(self):
        missing = (self.report or {}).get("export", {}).get("missing", {})
        named = ", ".join(f"{name} ({why})" for name, why in missing.items())
        return self.env._(
            "%(count)s file(s) that the database names are not in the archive, since no backup of the tenant's files "
            "has them: %(named)s. The archive's “missing-files.txt” lists all of them.",
            count=self.missing_files,
            named=named if len(missing) == self.missing_files else f"{named}, …",
        )

    @api.depends("purpose")
    def _compute_progress(self):
        downloads = self.filtered(lambda one: one.purpose == "download")
        result = super(RestoreDownload, self - downloads)._compute_progress()
        stages = list(SHARES)
        for one in downloads:
            before = sum(SHARES[stage] for stage in stages[: stages.index(one.stage)]) if one.stage in SHARES else 0
            running = before + SHARES.get(one.stage, 0) * one.stage_share
            one.progress = 100 if one.state in ("done", "expired") else round(running)
        return result

    @api.depends("purpose")
    def _compute_report_text(self):
        result = super()._compute_report_text()
        for restore in self.filtered("file_size"):
            export = restore.report["export"]
            text = self.env._(
                "Database %(dump)s, %(files)s files of %(size)s",
                dump=human_size(export["dump"]),
                files=export["files"],
                size=human_size(export["files_size"]) or 0,
            )
            restore.report_text = f"{restore.report_text}\n{text}"
        return result

    @api.model
    def _requested_in(self, purpose):
        """Whoever has left takes the data along: an archived tenant can be downloaded, too."""
        return (*super()._requested_in(purpose), *(["archived"] if purpose == "download" else []))

    # --- actions --------------------------------------------------------------------------------------

    def action_download_link(self):
        """Return a link to the file: ``url``, and ``expires_at`` (UTC), a day from now or the file's end.

        Whoever has the link can download the file, as often as he likes, for as long as the one who asked for it may.

        :raises UserError: while there is no file
        """
        url, until = self._link()
        return {
            "type": "ir.actions.act_url",
            "url": url,
            "target": "self",
            "expires_at": fields.Datetime.to_string(until),
        }

    def action_show_download_link(self):
        """Show such a link, to be handed on."""
        url, until = self._link()
        message = self.env._(
            "Whoever has this link can download all data of “%(name)s” until %(until)s UTC: %%s",
            name=self.tenant_id.name,
            until=fields.Datetime.to_string(until),
        )
        params = {"title": self.env._("Download"), "message": message, "links": [{"label": url, "url": url}]}
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {**params, "sticky": True, "type": "info"},
        }

    def action_delete_file(self):
        """Delete the file now; its links are dead."""
        self.ensure_one()
        self.tenant_id._check_admin()
        self._check_downloadable()
        self._expire_file()
        return True

    def _link(self):
        self.ensure_one()
        self.tenant_id._check_admin()
        self._check_downloadable()
        until = min(fields.Datetime.now() + timedelta(hours=LINK_HOURS), self.expires_at)
        values = [self.id, self.env.uid, int(until.replace(tzinfo=UTC).timestamp())]
        token = hash_sign(self.sudo().env, SCOPE, values)
        self.env["loomworks.audit"]._record("export_link", self.tenant_id, self.display_name)
        return f"{self.get_base_url()}{PATH}/{token}", until

    def _check_downloadable(self):
        if not self.downloadable:
            raise UserError(
                self.env._(
                    "There is no file: it is not made yet, or deleted. “Download” on the tenant makes a new one."
                )
            )

    def _expire_file(self):
        """Have the files deleted after the commit; from then on nobody gets them."""
        done = self.sudo().filtered(lambda one: one.purpose == "download" and one.state == "done")
        done.write({"state": "expired"})
        done._request_reconcile()
        for restore in done:
            self.env["loomworks.audit"]._record("export_delete", restore.tenant_id, restore.display_name)

    @api.model
    def _of_link(self, token):
        """Return the restore (as superuser) whose file ``token`` gives, who made the link, and until when it is valid.

        :raises ValueError: when it is no token of ours
        """
        signed = verify_hash_signed(self.sudo().env, SCOPE, token)
        if not signed:
            raise ValueError("not signed here")
        number, user, until = signed
        maker = self.env["res.users"].sudo().browse(user).exists()
        return self.sudo().browse(number).exists(), maker, until

    def _may_hand_out(self, maker):
        """Tell whether there is a file, and ``maker`` may still have it."""
        if not self.downloadable or not maker.active:
            return False
        try:
            self.tenant_id.with_user(maker)._check_admin()
        except AccessError:
            return False
        return True

    def _file_name(self):
        """Return the name that Odoo's own database manager would give, with the tenant's in it."""
        return f"{self.tenant_id.subdomain}_{self.moment:%Y-%m-%d_%H-%M-%S}.zip"

    def _file(self):
        """Return the file in S3.

        :raises LoomworksError: when key or account cannot be read
        """
        tenant = self.tenant_id
        key = keys.read(tenant.cluster_id._client(), tenant.uuid)
        return download.opened(self.tenant_id.cluster_id._require_files_place(), key, tenant.uuid, self.id)

    # --- the work ---------------------------------------------------------------------------------------

    def _step_restoring(self):
        if self.purpose != "download":
            return super()._step_restoring()
        if self.tenant_id.erase_requested or self.tenant_id.erased_at:
            raise flow.RestoreFailed("the tenant is being erased", code="tenant_gone")
        if not self._has_files_backup():
            return self._pause(FILES_LOOK)
        world = self._world()
        spec = replace(self._restore_spec(), files=self._files_access(world))
        found = flow.advance(spec, world)
        self._note_progress(found)
        if not found.done:
            return self._pause(flow.LOOK)
        flow.clean_up(spec, world)
        return self._finish_file(found.report)

    def _has_files_backup(self):
        """Tell whether a backup has the files of the moment, or will not have them by any waiting.

        One is asked for where it helps. When that fails, the file is made of what there is, and names what is missing.
        """
        if self.files_manifest:
            return True
        tenant, now = self.tenant_id, fields.Datetime.now()
        self.tenant_id.cluster_id._require_files_place()
        self.files_manifest = tenant._files_manifest_for(self.moment)
        if self.files_manifest or now > self.moment + tenant._files_kept():
            return True
        since = self.moment + CLOCKS
        if now <= since:
            return False
        if not self.files_requested_at:
            tenant._request_files_backup()
            self.files_requested_at = now
            return False
        backups = tenant.files_backup_ids.filtered(lambda one: (one.began_at or now) > since)
        return not backups.filtered(lambda one: one.state in UNFINISHED)

    def _finish_file(self, report):
        export, now = report["export"], fields.Datetime.now()
        values = {"report": report, "total_seconds": sum(report["seconds"].values())}
        values |= {"file_size": export["size"], "file_sha256": export["sha256"]}
        values |= {"missing_files": export["missing_count"], "expires_at": now + timedelta(days=KEPT_DAYS)}
        self._end_with(values)
        self.env["loomworks.audit"]._record("export_done", self.tenant_id, f"{export['size']} bytes")
        self._tell_requester()

    def _tell_requester(self):
        body = self.env._(
            "The file of “%(restore)s” can be downloaded until %(until)s UTC.",
            restore=self.display_name,
            until=fields.Datetime.to_string(self.expires_at),
        )
        if self.missing_text:
            body = f"{body} {self.missing_text}"
        self.tenant_id.message_post(body=body, partner_ids=self.requested_by_id.partner_id.ids)

    def _clear_away(self):
        if self.purpose != "download":
            return super()._clear_away()
        spec, world = self._restore_spec(), self._world()
        flow.discard(spec, world)
        if download.still_runs(spec, world):
            return self._pause(END_LOOK)
        return self._delete_file()

    def _step_done(self):
        if self.purpose != "download":
            return super()._step_done()
        if self.expires_at > fields.Datetime.now():
            return self._rest()
        self._expire_file()
        return 0

    def _step_expired(self):
        return self._delete_file()

    def _delete_file(self):
        if place := self.tenant_id.cluster_id._files_place():
            download.delete(place, self.tenant_id.uuid, self.id)
        return self._rest()

    def _to_request(self):
        request = super()._to_request()
        if self.purpose != "download":
            return request
        return replace(request, download=f"{self.tenant_id.uuid}/{self.id}")

    def _files_access(self, world):
        """Return the way to the tenant's files and their key; one without backups gets a key now."""
        tenant = self.tenant_id
        if tenant.files_backup_ids.filtered(lambda one: one.state in ("done", "expired")):
            key = keys.read(world.kube, tenant.uuid)
        else:
            key = keys.ensure(world.kube, tenant.cluster_id._to_spec(), tenant.uuid)
        return FilesAccess(self.tenant_id.cluster_id._require_files_place().location(tenant.uuid), key)

    @api.model
    def _cron_forget(self):
        """Have files deleted, too, whose time is over."""
        result = super()._cron_forget()
        over = [("purpose", "=", "download"), ("state", "=", "done"), ("expires_at", "<=", fields.Datetime.now())]
        self.search(over)._request_reconcile()
        return result

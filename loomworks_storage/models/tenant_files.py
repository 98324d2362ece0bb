"""A tenant's files in S3: backups of them, and which of them its database is to have."""

from datetime import timedelta

from odoo import api, fields, models
from odoo.addons.loomworks_tenant.reconciler.engine import StepState
from odoo.exceptions import UserError

from ..files.spec import FilesSpec
from ..reconciler.files import Files
from .files_backup import UNFINISHED

KEPT = timedelta(days=14)  # a deleted attachment's file stays on the volume for a day more
CLOCKS = timedelta(seconds=2)  # between the clocks of the database server and the control plane
FILES_FIELDS = frozenset({"files_source_uuid", "files_manifest", "files_restored"})
BACKED_UP_IN = {"active", "suspended", "archived"}  # states in which the volume is there


class Tenant(models.Model):
    """A tenant whose files are backed up."""

    _inherit = "loomworks.tenant"

    files_source_uuid = fields.Char(readonly=True, copy=False, help="Whose files the database is to have: a UUID.")
    files_manifest = fields.Char(readonly=True, copy=False, help="The backup whose files the database is to have.")
    files_restored = fields.Char(readonly=True, copy=False, help="For what the files were restored.")
    files_backup_ids = fields.One2many("loomworks.files.backup", "tenant_id", "Backups of files", readonly=True)
    files_backup_count = fields.Integer("Backups of the files", compute="_compute_files_backups")
    last_files_backup_at = fields.Datetime("Files backed up", compute="_compute_files_backups")

    @api.depends("files_backup_ids.state", "files_backup_ids.began_at")
    def _compute_files_backups(self):
        domain = [("tenant_id", "in", self.ids), ("state", "=", "done")]
        groups = self.env["loomworks.files.backup"]._read_group(domain, ["tenant_id"], ["__count", "began_at:max"])
        found = {tenant.id: (count, last) for tenant, count, last in groups}
        for tenant in self:
            tenant.files_backup_count, tenant.last_files_backup_at = found.get(tenant.id, (0, False))

    # --- actions --------------------------------------------------------------------------------------

    def action_back_up_files(self):
        """Back the tenants' files up to S3, and return the ids of the rows."""
        self._check_admin()
        self._check_state(BACKED_UP_IN, "back_up_files")
        made = self._request_files_backup()
        self.env["loomworks.audit"]._record("files_backup", self)
        return made.ids

    def action_files_backups(self):
        """Show this tenant's backups of files."""
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id("loomworks_storage.action_files_backup")
        return {**action, "domain": [("tenant_id", "=", self.id)]}

    def action_start_without_files(self):
        """Give up files that cannot be restored, and let the tenant's Odoo start."""
        self._check_operator()
        for tenant in self.sudo():
            lost = tenant.step_ids.filtered(lambda one: one.code == Files.code and one.state == StepState.FAILED.value)
            if not lost:
                raise UserError(self.env._("“%s” does not wait for its files.", tenant.name))
            self.env["loomworks.audit"]._record("start_without_files", tenant, lost.message or "")
            tenant.write({**self._no_files(), "error_message": False, "error_code": False})
            tenant._reconcile_if_changed()
            tenant._request_reconcile()
        return True

    def _request_files_backup(self, scheduled=False):
        """Have the tenants' files backed up after the commit, and return the rows; one that waits already will do.

        :param scheduled: by the plan, which waits in another queue than what is asked for
        """
        backups = self.env["loomworks.files.backup"].sudo()
        waiting = backups.search([("tenant_id", "in", self.ids), ("state", "=", "waiting")])
        wanted = self - waiting.tenant_id
        asked = {"requested_by_id": self.env.uid, "scheduled": scheduled}
        made = backups.create([{"tenant_id": tenant.id, **asked} for tenant in wanted])
        (made | waiting)._request_reconcile()
        return (made | waiting).with_env(self.env)

    # --- which backup has what ------------------------------------------------------------------------

    def _files_backup_for(self, moment):
        """Return the backup that has all files of ``moment`` (UTC), a whole one if there is; else an empty record.

        The first that began after it has them: files of attachments deleted since stay on the volume for longer than
        any backup that counts here has waited.
        """
        domain = [("tenant_id", "=", self.id), ("state", "=", "done")]
        domain += [("began_at", ">=", self._files_since(moment)), ("began_at", "<=", moment + KEPT)]
        found = self.env["loomworks.files.backup"].sudo().search(domain, order="began_at, id")
        return found.filtered("whole")[:1] or found[:1]

    def _files_since(self, moment):
        """Return from when on a backup begins late enough to have all files of ``moment`` (UTC, the server's clock).

        While Odoo is stopped for a reset nobody writes: what began before the moment has the same files.
        """
        self.ensure_one()
        over = moment + CLOCKS
        domain = [("tenant_id", "=", self.id), ("stopped_at", "<=", moment)]
        for reset in self.env["loomworks.reset"].sudo().search(domain):
            ended = reset.replaced_at or reset.finished_at
            if not ended or over <= ended:
                return reset.stopped_at
        return over + timedelta(seconds=1)

    def _files_manifest_for(self, moment):
        """Return the name of a manifest with all files of ``moment`` (UTC); None while there is none.

        Then have one made (``_request_files_backup``), and look again.
        """
        return self._files_backup_for(moment).manifest or None

    @api.model
    def _files_kept(self):
        """Return for how long after a moment a backup still has all of its files."""
        return KEPT

    def _files_values(self, moment):
        """Return the values by which this tenant's next database gets its own files of ``moment``; None: no such."""
        manifest = moment and self._files_manifest_for(moment)
        return {"files_source_uuid": self.uuid, "files_manifest": manifest} if manifest else self._no_files()

    @api.model
    def _no_files(self):
        return {"files_source_uuid": False, "files_manifest": False}

    def _needed_manifests(self):
        """Return the names of this tenant's manifests that stay whatever the plan says; addons add theirs."""
        self.ensure_one()
        newest = self.env["loomworks.files.backup"].search(
            [("tenant_id", "=", self.id), ("state", "=", "done")], limit=1
        )
        takers = self.search([("files_source_uuid", "=", self.uuid), ("files_manifest", "!=", False)])
        unfinished = takers.filtered(lambda one: one.files_restored != one._files_wanted())
        return {*newest.mapped("manifest"), *unfinished.mapped("files_manifest")}

    # --- bringing them back ---------------------------------------------------------------------------

    def _files_wanted(self):
        return f"{self.database_name} {self.files_source_uuid} {self.files_manifest}"

    def _awaits_files(self):
        """Tell whether the database is to have files that its volume does not have yet."""
        return bool(self.files_manifest and self.files_restored != self._files_wanted())

    def _is_being_filled(self):
        """Tell whether files are still being brought to the volume, or are to be."""
        return bool(self.switching or self.reset_id.state == "replacing" or self._awaits_files())

    def _check_nobody_takes_files(self):
        """See whether all that get files of these tenants, as copies, have them.

        :raises UserError: when one has not: with the key of the files they would be lost to it
        """
        domain = [("files_source_uuid", "in", self.mapped("uuid")), ("id", "not in", self.ids)]
        others = self.sudo().search([*domain, ("erased_at", "=", False), ("erase_requested", "=", False)])
        if takers := others.filtered(lambda one: one._awaits_files()):
            raise UserError(
                self.env._(
                    "“%(taker)s” has not got its files from “%(name)s” yet. Wait for that, and resume it where it is "
                    "suspended; or erase it first.",
                    taker=takers[0].name,
                    name=self.filtered(lambda one: one.uuid == takers[0].files_source_uuid).name,
                )
            )

    def _end_retention(self):
        """As before; not while others are still getting these tenants' files."""
        self._check_nobody_takes_files()
        return super()._end_retention()

    def _files_spec(self):
        if not self.files_manifest or not self.files_source_uuid:
            return None
        restored = self.files_restored == self._files_wanted()
        return FilesSpec(self.cluster_id._files_place(), self.files_source_uuid, self.files_manifest, restored)

    def _record(self, row, line, outcome):
        """Remember in the row, too, what was restored: steps are laid out anew, files need not be."""
        result = super()._record(row, line, outcome)
        if row.code == Files.code and outcome.state == StepState.DONE:
            self.files_restored = self._files_wanted()
        return result

    @api.model
    def _guarded_fields(self):
        return super()._guarded_fields() | FILES_FIELDS

    def _settle(self):
        """What is erased has no backup that could be read."""
        result = super()._settle()
        if self.erased_at:
            backups = self.sudo().files_backup_ids
            backups.filtered(lambda one: one.state in ("done", *UNFINISHED)).write({"state": "expired"})
        return result

"""Resets: a tenant's volume is replaced by a fresh one, after everything on it has been saved."""

import json

from odoo import api, fields, models
from odoo.addons.loomworks_tenant.errors import LoomworksError
from odoo.addons.loomworks_tenant.kube import names, tenant_pods
from odoo.addons.loomworks_tenant.reconciler import backoff
from odoo.exceptions import UserError

STATES = [
    ("saving", "Saving"),
    ("replacing", "Fresh volume"),
    ("done", "Done"),
    ("cancelled", "Cancelled"),
]
RUNNING = ("saving", "replacing")
STOP_LOOK = 1.0  # seconds between two looks whether nobody writes any more
SAVED_LOOK = 2.0  # seconds between two looks whether everything is saved
QUIET = {"error_message": False, "error_code": False, "attempts": 0}


class Reset(models.Model):
    """One reset. Rows are made and changed by actions and the reconciler only.

    Killed anywhere, it goes on: until everything is saved nothing is taken away, and what was saved is named by the
    tenant's row before the old claim goes.
    """

    _name = "loomworks.reset"
    _inherit = ["loomworks.reconcilable"]
    _description = "Reset of a volume"
    _order = "id desc"

    tenant_id = fields.Many2one("loomworks.tenant", required=True, readonly=True, ondelete="cascade", index=True)
    state = fields.Selection(STATES, required=True, readonly=True, default="saving", index=True)
    requested_by_id = fields.Many2one("res.users", "By", readonly=True, ondelete="set null")
    started_at = fields.Datetime("Asked for", required=True, readonly=True, default=fields.Datetime.now)
    stopped_at = fields.Datetime("Odoo stopped", readonly=True, help="Nobody has written to the volume since.")
    replaced_at = fields.Datetime("Everything saved", readonly=True)
    finished_at = fields.Datetime("Finished", readonly=True)
    keep_files = fields.Boolean("With its files", readonly=True, default=True)
    without_saving = fields.Boolean("Went on without", readonly=True, help="An operator did not wait for the saving.")
    waits_for = fields.Char("Waits for", readonly=True)
    configuration = fields.Json(readonly=True, help="The tenant's row and claim as they were; nothing secret is in it.")
    configuration_text = fields.Text("Configuration before", compute="_compute_configuration_text")
    old_claim = fields.Char("Old claim (UID)", readonly=True)
    files_backup_id = fields.Many2one("loomworks.files.backup", "Files from", readonly=True, ondelete="set null")
    attempts = fields.Integer(readonly=True)
    working = fields.Boolean("In progress", compute="_compute_working")

    _one_a_tenant = models.UniqueIndex(
        "(tenant_id) WHERE state IN ('saving', 'replacing')", "A reset of this tenant is going on already."
    )

    @api.depends("state")
    def _compute_working(self):
        for reset in self:
            reset.working = reset.state in RUNNING

    @api.depends("configuration")
    def _compute_configuration_text(self):
        for reset in self:
            reset.configuration_text = json.dumps(reset.configuration, indent=2) if reset.configuration else False

    @api.depends("tenant_id.name", "started_at")
    def _compute_display_name(self):
        for reset in self:
            moment = fields.Datetime.to_string(reset.started_at)
            reset.display_name = self.env._(
                "Reset of %(tenant)s, %(moment)s UTC", tenant=reset.tenant_id.name, moment=moment
            )

    # --- actions --------------------------------------------------------------------------------------

    def action_go_on(self):
        """Replace the volume although not everything is saved: what is not, is lost."""
        self.ensure_one()
        self._check_saving()
        self.sudo().write({"without_saving": True, **QUIET})
        self.env["loomworks.audit"]._record("reset_without_saving", self.tenant_id, self.waits_for or "")
        self.sudo()._request_reconcile()
        return True

    def action_cancel(self):
        """Leave the volume as it is, and let the tenant's Odoo start again."""
        self.ensure_one()
        self._check_saving()
        self.env["loomworks.audit"]._record("reset_cancel", self.tenant_id)
        self.sudo()._end("cancelled")
        return True

    def _check_saving(self):
        self.tenant_id._check_operator()
        if self.state != "saving":
            raise UserError(
                self.env._("It is too late: “%s” has its fresh volume, or is getting it.", self.tenant_id.name)
            )

    def _end(self, state):
        tenant = self.tenant_id
        self.write({"state": state, "finished_at": fields.Datetime.now(), "waits_for": False, **QUIET})
        tenant.reset_id = False
        if tenant._lay_out_steps():
            tenant._request_reconcile()

    # --- the reconciler's work ------------------------------------------------------------------------

    def _reconcile_step(self):
        reset = self.try_lock_for_update(allow_referencing=True)
        if not reset or not reset.reconcile_at:
            return None
        try:
            return reset._save() if reset.state == "saving" else reset._rest()
        except LoomworksError as error:
            reset.write({"error_message": str(error), "error_code": error.code, "attempts": reset.attempts + 1})
            return reset._pause(backoff.delay(reset.attempts))

    def _rest(self):
        self.reconcile_at = False  # from here on it is the tenant's steps that go on

    def _save(self):
        """Stop, save, and only then let the volume be replaced; each look goes on where the last one came to."""
        if not self.stopped_at:
            pods = self._pods()
            if pods and not self.without_saving:
                return self._wait(self.env._("%s pod(s) to stop", pods), STOP_LOOK)
            self._note_configuration()
            self._begin_saving()
            return 0
        unsaved = self._unsaved()
        if unsaved and not self.without_saving:
            return self._wait("; ".join(unsaved), SAVED_LOOK)
        if not self._end_backups():
            return self._wait(self.env._("a backup of the files that is being looked at"), STOP_LOOK)
        return self._replace()

    def _pods(self):
        tenant = self.tenant_id
        return len(tenant_pods.living(tenant.cluster_id._client(), tenant.uuid))

    def _note_configuration(self):
        """Keep what the tenant was, and which claim is to be replaced: another one never is."""
        tenant = self.tenant_id
        found = tenant.cluster_id._client().get(
            "PersistentVolumeClaim", names.volume_claim(tenant.uuid), names.namespace(tenant.uuid)
        )
        claim = found and {
            "metadata": {name: found["metadata"].get(name) for name in ("name", "uid", "labels", "annotations")},
            "spec": found["spec"],
            "status": found.get("status", {}),
        }
        self.write(
            {
                "stopped_at": fields.Datetime.now(),
                "old_claim": found["metadata"]["uid"] if found else False,
                "configuration": {"tenant": tenant._configuration(), "claim": claim or {}},
                **QUIET,
            }
        )

    def _begin_saving(self):
        """Have everything saved that is on the volume; addons add theirs."""
        tenant = self.tenant_id
        if self.keep_files and self.old_claim and tenant.cluster_id._files_place():
            tenant._request_files_backup()

    def _unsaved(self):
        """Return what is not saved yet, in words; addons add theirs."""
        if not self.keep_files:
            return []
        if not self.old_claim:  # what was on it is gone: what S3 has is all there is
            return (
                []
                if self._newest_files()
                else [self.env._("a backup of the files: the claim is gone, and S3 has none")]
            )
        working = self.tenant_id.files_backup_ids.filtered("working")
        return [] if self._find_files().whole and not working else [self._files_unsaved()]

    def _end_backups(self):
        """End the backups that would be made of the fresh volume while it is being filled; tell whether all have ended.

        One of a Job that runs has the old volume until then: the claim goes when nobody has it any more.
        """
        unfinished = self.tenant_id.files_backup_ids.filtered("working")
        locked = unfinished.try_lock_for_update(allow_referencing=True)
        locked._give_up(self.env._("the volume is being replaced"))
        return locked == unfinished

    def _find_files(self):
        """Return the backup with the files as they were when nobody wrote any more; empty while there is none."""
        domain = [("tenant_id", "=", self.tenant_id.id), ("state", "=", "done"), ("began_at", ">=", self.stopped_at)]
        found = self.env["loomworks.files.backup"].search(domain)
        return found.filtered("whole")[:1] or found[:1]

    def _files_unsaved(self):
        tenant = self.tenant_id
        if not tenant.cluster_id._files_place():
            return self.env._("a place for the files: the cluster names none")
        backup = tenant.files_backup_ids.sorted("id")[-1:]
        if backup.state == "failed":
            return self.env._("a backup of the files: %s", (backup.error_message or "").split("\n")[0])
        if backup.state == "done":
            return self.env._("a whole backup of the files: %s damaged", backup.damaged + backup.lost)
        return self.env._("the backup of the files")

    def _replace(self):
        """Name in the tenant's row what comes back; the steps do the rest, in their order."""
        tenant, backup = self.tenant_id, self._files_to_restore()
        files = {"files_source_uuid": tenant.uuid, "files_manifest": backup.manifest} if backup else tenant._no_files()
        tenant.write({**files, "files_restored": False})
        now = fields.Datetime.now()
        values = {"state": "replacing", "replaced_at": now, "files_backup_id": backup.id, "waits_for": False}
        self.write({**values, "reconcile_at": False, **QUIET})
        self.env["loomworks.audit"]._record("reset_replace", tenant, backup.manifest or "without files")
        if backup and not self.old_claim:
            self._tell_lost(backup)
        tenant._lay_out_steps(anew=True)
        tenant._request_reconcile()

    def _files_to_restore(self):
        """Return the backup that fills the fresh volume: that of the stopped Odoo, or the newest there is."""
        if not self.keep_files:
            return self.env["loomworks.files.backup"]
        return self._find_files() or self._newest_files()

    def _newest_files(self):
        done = [("tenant_id", "=", self.tenant_id.id), ("state", "=", "done")]
        return self.env["loomworks.files.backup"].search(done, limit=1)

    def _tell_lost(self, backup):
        """Say on the tenant's form from when its files are: those of later went with the old volume."""
        began = fields.Datetime.to_string(backup.began_at)
        text = self.env._("The volume was lost: its files come back as they were backed up at %s UTC.", began)
        self.tenant_id.message_post(body=text)

    def _wait(self, text, seconds):
        if self.waits_for != text:
            self.waits_for = text
        return self._pause(seconds)

    def _pause(self, seconds):
        self.reconcile_at = self._look_again(seconds)
        return seconds

"""The reconciler's work on a backup of files: a look at its Job at a time, each in a transaction of its own."""

import json

from odoo import fields, models
from odoo.addons.loomworks_tenant.errors import LoomworksError, PermanentError
from odoo.addons.loomworks_tenant.reconciler import backoff
from odoo.addons.loomworks_tenant.reconciler.steps.data import owner

from ..files import flow, keys
from ..files.errors import FilesJobBrokeOff, FilesJobFailed, FilesStoreAway
from ..files.spec import FilesWork, folder
from ..filestore import needed
from ..filestore.request import Command, Request
from .files_backup import AT_ONCE

ATTEMPTS = 5  # Jobs that break off
PATIENCE = 3600  # seconds in which whatever else goes wrong may pass
QUEUE_LOOK = 2.0  # seconds between two looks for the end of the backups before, for each round of these
FILLING_LOOK = 5.0  # seconds between two looks at a volume that is being filled
LONGEST_QUEUE_LOOK = 60.0  # seconds, however many are before
AUDIT_DAYS = 7  # after which every file is read again
NAMED = 3  # backups that an alarm names
ALARM = "loomworks_storage.activity_files"
QUIET = {"troubled_since": False, "error_message": False, "error_code": False}


class FilesWorkRow(models.Model):
    """Bringing one backup of files forward."""

    _inherit = "loomworks.files.backup"

    def _reconcile_step(self):
        backup = self.try_lock_for_update(allow_referencing=True)
        if not backup or not backup.reconcile_at:
            return None
        try:
            return getattr(backup, f"_step_{backup.state}")()
        except LoomworksError as error:
            return backup._record_failure(error)

    # --- the steps ------------------------------------------------------------------------------------

    def _step_waiting(self):
        """Decide what is to be done, and keep that before anything is started."""
        tenant = self.tenant_id
        self._require_tenant()
        if self.search_count([("tenant_id", "=", tenant.id), ("state", "=", "running")], limit=1):
            return self._pause(QUEUE_LOOK)
        if tenant._is_being_filled():
            self._require_filling()
            return self._pause(FILLING_LOOK)  # what is on the volume is not whole yet, and would count as whole
        if rounds := self._count_before() // AT_ONCE:
            return self._pause(min(LONGEST_QUEUE_LOOK, QUEUE_LOOK * rounds))
        tenant.cluster_id._require_files_place()
        now = fields.Datetime.now()
        audit = self._is_audit_due(now)
        self.write(
            {
                "state": "running",
                "began_at": now,
                "database": tenant.database_name,
                "manifest": f"{now:%Y%m%dT%H%M%SZ}-{self.id}",
                "audit": audit,
                "stage": "start",
                **QUIET,
            }
        )
        self.request = json.loads(self._new_request(audit).to_json())
        return 0

    def _step_running(self):
        self._require_tenant()
        tenant = self.tenant_id
        spec = tenant._to_spec()
        work, world = self._work(spec), tenant._world(spec)
        found = flow.advance(work, self._key(world), world)
        if not found.done:
            values = {"stage": found.stage, "stage_share": found.share}
            values |= {"new_files": found.uploaded, "new_bytes": found.uploaded_bytes, **self._trouble_by(found)}
            self.write({name: value for name, value in values.items() if self[name] != value})
            return self._pause(flow.LOOK)
        self._finish(found.report)
        return 0

    def _step_done(self):
        """Remove what the backup has left in the cluster, now that its row knows its end."""
        spec = self.tenant_id._to_spec()
        if self.request and not self.tenant_id.erased_at:
            flow.clean_up(self._work(spec), self.tenant_id._world(spec))
        self.reconcile_at = False

    _step_failed = _step_expired = _step_done

    def _give_up(self, why):
        """End these backups and their Jobs for the reason ``why``: what they are made of goes.

        :raises LoomworksError: when the cluster does not answer
        """
        for backup in self:
            spec = backup.tenant_id._to_spec()
            if backup.request:
                flow.clean_up(backup._work(spec), backup.tenant_id._world(spec))
            ended = {"state": "failed", "finished_at": fields.Datetime.now(), "troubled_since": False}
            backup.write({**ended, "error_message": why, "error_code": "given_up", "reconcile_at": False})

    # --- helpers --------------------------------------------------------------------------------------

    def _trouble_by(self, found):
        """Return what a look at a Job says of the trouble so far: over, unless it is of a store not met again yet."""
        away = found.stage == "start" and self.error_code in flow.STORE_AWAY
        if found.code:
            trouble = {"error_message": found.message}
            return trouble if away else {**trouble, "error_code": found.code, "troubled_since": False}
        return {} if away else QUIET

    def _require_tenant(self):
        tenant = self.tenant_id
        if tenant.erased_at or tenant.erase_requested or tenant.state == "draft":
            raise FilesJobFailed("the tenant has no volume, or not for much longer", code="tenant_gone")

    def _require_filling(self):
        """Refuse to wait for files that nobody brings now.

        :raises FilesJobFailed: when the tenant would have to be resumed for that
        """
        tenant = self.tenant_id
        if tenant.state in ("suspended", "archived") and not tenant.switching and tenant._awaits_files():
            raise FilesJobFailed(
                "the files of its database have not come to its volume yet: that has nothing worth a backup",
                "Resume it; they come before its Odoo starts.",
                "files_to_come",
            )

    def _count_before(self):
        """Return how many backups run, or begin sooner, of those in the same queue of the cluster: the oldest go first.

        A tenant that is being reset is away until its files are saved, and waits in no queue. What cannot begin now is
        not counted: while another one of its tenant runs, or it is to be looked at later.
        """
        if self.tenant_id.reset_id:
            return 0
        queue = [("cluster_id", "=", self.cluster_id.id), ("scheduled", "=", self.scheduled)]
        running = self.search([("cluster_id", "=", self.cluster_id.id), ("state", "=", "running")])
        soon = self._look_again(LONGEST_QUEUE_LOOK + QUEUE_LOOK)
        older = [("state", "=", "waiting"), ("id", "<", self.id), ("reconcile_at", "<=", soon)]
        older += [("tenant_id", "not in", running.tenant_id.ids), ("tenant_id.reset_id", "=", False)]
        return self.search_count([*queue, *older]) + len(running.filtered(lambda one: one.scheduled == self.scheduled))

    def _is_audit_due(self, now):
        """Tell whether every file is to be read: once a week, and where the last backup is none any more."""
        done = [("tenant_id", "=", self.tenant_id.id), ("state", "=", "done")]
        newest = self.search(done, limit=1)
        if newest.lost and not newest.lost_digests:
            return True
        since = fields.Datetime.subtract(now, days=AUDIT_DAYS)
        return bool(newest) and not self.search_count([*done, ("audit", "=", True), ("began_at", ">", since)], limit=1)

    def _new_request(self, audit):
        """Return what the Job is asked to do; objects that a check has found damaged are written again."""
        tenant = self.tenant_id
        spec = tenant._to_spec()
        before = self.search([("tenant_id", "=", tenant.id), ("state", "=", "done")], limit=1)
        return Request(
            Command.BACKUP,
            tenant.uuid,
            self.manifest,
            folder=folder(spec, spec.database),
            database=spec.database,
            may_lack=not self._has_files(spec),
            audit=audit,
            replace=tuple(before.lost_digests or ()),
        )

    def _has_files(self, spec):
        """Tell whether the database names any file; where it cannot be asked, as while it is closed, it does."""
        try:
            world = self.tenant_id._world(spec)
            with world.server.connect(spec.database, owner=owner(world, spec)) as cr:
                return needed.any_needed(cr)
        except LoomworksError:
            return True

    def _job_name(self):
        """Return the name of the Job that makes this backup."""
        return f"files-backup-{self.id}"

    def _work(self, spec):
        request = Request.from_json(json.dumps(self.request))
        return FilesWork(self._job_name(), spec, self.tenant_id.cluster_id._files_place(), request)

    def _key(self, world):
        """Return the tenant's key; where there are backups by it, it is not made anew."""
        tenant = self.tenant_id
        domain = [("tenant_id", "=", tenant.id), ("state", "in", ("done", "expired"))]
        if self.search_count(domain, limit=1):
            return keys.read(world.kube, tenant.uuid)
        return keys.ensure(world.kube, tenant.cluster_id._to_spec(), tenant.uuid)

    def _finish(self, report):
        self.write(
            {
                "state": "done",
                "finished_at": fields.Datetime.now(),
                "files": report["files"],
                "bytes": report["bytes"],
                "new_files": report["uploaded"],
                "new_bytes": report["uploaded_bytes"],
                "damaged": len(report["damaged"]),
                "mendable": len(report.get("mendable", ())),  # a Job of an older image does not tell
                "report": report,
                "stage": "done",
                "stage_share": 1.0,
                **QUIET,
            }
        )
        if self.damaged:
            text = self.env._("%s file(s) on the volume are damaged, and no backup has them.", self.damaged)
            self._raise_alarm(f"{text} {', '.join(list(report['damaged'])[:5])}")
        elif self.mendable:
            text = self.env._("%s file(s) on the volume are damaged; S3 has them.", self.mendable)
            self._raise_alarm(f"{text} {', '.join(list(report['mendable'])[:5])}")
        else:
            self._give_all_clear()

    def _pause(self, seconds):
        self.reconcile_at = self._look_again(seconds)
        return seconds

    def _record_failure(self, error):
        """Note what went wrong; give up what another try would meet again, or has met often enough."""
        now = fields.Datetime.now()
        midway = isinstance(error, FilesStoreAway) and self.stage != "start"  # it was there when this Job began
        attempts = self.attempts + (midway or isinstance(error, FilesJobBrokeOff))
        since = self.troubled_since or now
        waited = (now - since).total_seconds()
        pause = backoff.delay(min(8, max(attempts, int(waited // 10) + 1)))
        values = {"attempts": attempts, "troubled_since": since, "reconcile_at": self._look_again(pause)}
        if self.state in ("waiting", "running"):
            values |= {"error_message": str(error), "error_code": error.code}
        given_up = isinstance(error, PermanentError) or attempts >= ATTEMPTS or waited > PATIENCE
        if given_up and self.state in ("waiting", "running"):
            values |= {"state": "failed", "finished_at": now, "troubled_since": False}
        elif given_up:
            values["reconcile_at"] = False
        self.write(values)
        if values.get("state") == "failed" and error.code != "tenant_gone":
            self.env["loomworks.audit"]._record("files_backup_failed", self.tenant_id, error.code)
            self._raise_alarm(str(error))
        return pause

    # --- telling people -------------------------------------------------------------------------------

    def _raise_alarm(self, text):
        """Tell operators once that a tenant's files are not backed up, or not whole; and what is wrong by now."""
        note = self.env._("Backup of the files: %s", text)
        for tenant in self.tenant_id._raise_alarm(ALARM, note):
            tenant.message_post(body=note)

    def _give_all_clear(self):
        """A backup of this tenant's files is whole again; what is wrong with another one stays told."""
        done = [("tenant_id", "=", self.tenant_id.id), ("state", "=", "done")]
        newest = self.search(done, limit=1)
        if newest.damaged or newest.mendable:
            return None
        if lost := self.search([*done, ("lost", ">", 0)]):
            named = ", ".join(lost[:NAMED].mapped("display_name"))
            text = self.env._("Backup of the files: objects of %s are missing or damaged in S3.", named)
            return self.tenant_id._update_alarm(ALARM, text)
        return self.tenant_id._end_alarm(ALARM, self.env._("The files are backed up again."))

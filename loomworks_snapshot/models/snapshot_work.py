"""The reconciler's work on snapshots: all of one server's together, with one WAL switch and one listing."""

import time
from collections import defaultdict
from datetime import timedelta

from odoo import api, fields, models
from odoo.addons.loomworks_tenant.errors import LoomworksError, PermanentError
from odoo.addons.loomworks_tenant.postgres.server import DatabaseServer as Server
from odoo.addons.loomworks_tenant.reconciler import backoff
from odoo.tools import SQL

from ..lifecycle import NO_BACKUP_LOOK, Seen, State, judge
from ..repository import restore_point
from ..repository.proof import Prover
from ..repository.segments import format_lsn, parse_lsn
from ..repository.verdict import Proof, Reason, Target, verdict_text
from ..restoring.scratch_space import ScratchRefused

BATCH = 2000  # snapshots of one server in one step
MEASURED = 50  # databases in one step
BUSY_PAUSE = 0.2  # seconds until another look at a server that another worker has
PUSH_AFTER = 5.0  # seconds after which a server is asked to archive a position that was recorded by somebody else
NOTED_FAILURES = 3  # looks without a verdict after which the reason is shown as a problem
ALARM = "loomworks_snapshot.activity_snapshot_failed"
NO_SCRATCH = "loomworks_snapshot.activity_no_scratch"
NOT_PROVEN = "loomworks_snapshot.activity_not_proven"
PROOF_AGE = timedelta(hours=6)  # of the oldest proof, after which it is told that no look succeeds; one an hour is due
CLEAR = {"error_message": False, "error_code": False, "problem_since": False, "attempts": 0, "reconcile_at": False}


class SnapshotWork(models.Model):
    """Taking snapshots and proving them, a batch of one server at a time."""

    _inherit = "loomworks.snapshot"

    @api.model
    def _due_rows(self, limit):
        """Return one row for each server that has something due: it stands for all of them."""
        domain = [("reconcile_at", "<=", fields.Datetime.now())]
        groups = self._read_group(domain, ["server_id"], ["id:min"], limit=limit)
        return self.browse([first for _server, first in groups])

    def _reconcile_step(self):
        # The advisory lock keeps a second worker off the server's snapshots for this step; a batch's rows are
        # locked besides, so that nobody's action on one of them is lost.
        if not self.server_id._lock_snapshots():
            return BUSY_PAUSE
        batch = self._due_batch()
        if not batch:
            return None
        untaken = batch.filtered(lambda one: one.state == "creating" and not one.wal_position)
        if untaken:
            return untaken._take()
        unmeasured = batch.filtered(lambda one: one._is_to_be_measured())
        unproven = batch - unmeasured
        return unproven._prove() if unproven else unmeasured[:MEASURED]._measure()

    def _due_batch(self):
        domain = [("server_id", "=", self.server_id.id), ("reconcile_at", "<=", fields.Datetime.now())]
        # "creating" comes first by the alphabet: somebody waits for those, also while thousands are proven anew.
        return self.search(domain, order="state, reconcile_at, id", limit=BATCH).try_lock_for_update(
            allow_referencing=True
        )

    # --- taking -------------------------------------------------------------------------------------

    def _take(self):
        """Create the restore points of these snapshots of one server; return the pause until the next step."""
        self.filtered(lambda one: one.tenant_id.erased_at)._expire()
        wanted = self.filtered(lambda one: one.state == "creating")
        try:
            early = wanted.filtered(lambda one: one.error_code == Reason.NO_BASE_BACKUP)
            if early and not self._has_base_backup():
                early._postpone(NO_BACKUP_LOOK)
                wanted -= early
            names = [restore_point.new_name() for _snapshot in wanted]
            points = restore_point.take(Server(self.server_id._to_spec()), names) if wanted else []
        except LoomworksError as error:
            return wanted._record_no_verdict(error)
        for snapshot, point in zip(wanted, points, strict=True):
            snapshot.write(values_of(point))
        return 0

    def _has_base_backup(self):
        catalog = Prover(self.server_id._repository_store()).catalog
        return bool(catalog and catalog.backups)

    # --- proving ------------------------------------------------------------------------------------

    def _prove(self):
        """Record the repository's verdict on each of these snapshots of one server; return the pause until the next."""
        try:
            prover = Prover(self.server_id._repository_store())
            if prover.catalog:
                self.filtered(
                    lambda one: not one.system_identifier
                ).system_identifier = prover.catalog.system_identifier
            verdicts = [prover.prove(snapshot._to_target()) for snapshot in self]
            files = {snapshot: snapshot._prove_files() for snapshot in self}
            self._push_wal(verdicts)
        except LoomworksError as error:
            self.server_id._tell_unproven(error)
            return self._record_no_verdict(error)
        self.server_id._end_alarm(NOT_PROVEN, self.env._("The repository tells again where it leads."))
        verdicts = [
            files[snapshot] or snapshot._after_restores(verdict)
            for snapshot, verdict in zip(self, verdicts, strict=True)
        ]
        return self._record(verdicts)

    def _prove_files(self):
        """Return why this moment cannot be restored for its files' sake, as ``Unproven``; None if it can.

        To be extended by whatever backs up files.
        """
        return getattr(super(), "_prove_files", lambda: None)()

    def _push_wal(self, verdicts):
        """Have the server archive positions that were recorded without a restore point, if it has not by now."""
        waiting = [one for one, verdict in zip(self, verdicts, strict=True) if is_late(one, verdict)]
        if waiting:
            restore_point.push(Server(self.server_id._to_spec()))
            self.browse([one.id for one in waiting]).wal_pushed = True

    def _to_target(self):
        return Target(
            system_identifier=int(self.system_identifier or 0),
            timeline=self.timeline,
            lsn=parse_lsn(self.wal_position),
            named=bool(self.restore_point),
        )

    def _record(self, verdicts):
        now, clock = fields.Datetime.now(), time.time()
        changes, pauses = defaultdict(list), []
        were_broken = self._broken()
        for snapshot, verdict in zip(self, verdicts, strict=True):
            following = judge(snapshot._seen(clock, now), verdict)
            values = snapshot._values_after(verdict, following, now, clock)
            if following.pause is not None:
                pauses.append(following.pause)
            changes[snapshot._what_differs(values)].append(snapshot.id)
        for values, ids in changes.items():
            self.browse(ids).write(dict(values))
        self._tell_changes(were_broken)
        return 0 if any(one._is_to_be_measured() for one in self) else min(pauses, default=None)

    def _tell_changes(self, were_broken):
        """Tell people what has broken since it was last looked at, and what is whole again."""
        broken = self._broken()
        if failed := broken - were_broken:
            failed._raise_alarm()
        if whole := were_broken - broken:
            whole._give_all_clear()

    def _seen(self, clock, now):
        troubled = (now - self.problem_since).total_seconds() if self.problem_since else None
        fixed = self.snapshot_type == "pre_ai"
        return Seen(State(self.state), clock - self.requested_clock, troubled, fixed)

    def _values_after(self, verdict, following, now, clock):
        values = {"state": following.state.value, "verify_message": verdict_text(verdict)}
        if isinstance(verdict, Proof):
            values |= {**CLEAR, **proven(verdict), "verified_at": now}
            if self.state == "creating":
                values["ready_seconds"] = round(clock - self.requested_clock, 2)
            if self.to_measure:
                values["reconcile_at"] = now
            return values
        values |= {
            "error_code": verdict.reason.value,
            "error_message": verdict_text(verdict) if following.problem else False,
            "problem_since": False if verdict.waiting and self.state == "creating" else self.problem_since or now,
            "reconcile_at": self._look_at(following.pause),
        }
        return values | (UNTAKEN if following.retake else {})

    def _look_at(self, pause):
        """Return the moment of the next look; rows keep whole seconds, the worker itself knows shorter pauses."""
        if pause is None:
            return False
        return self._look_again(int(pause)) if pause >= 1 else fields.Datetime.now()

    def _what_differs(self, values):
        """Return the changed values as a key, so that rows with the same changes are written together."""
        return tuple((name, value) for name, value in values.items() if self[name] != value)

    def _postpone(self, pause):
        self.reconcile_at = self._look_at(pause)

    def _record_no_verdict(self, error):
        """The server or the repository could not be asked: that says nothing about the snapshots."""
        attempts = max(self.mapped("attempts"), default=0) + 1
        pause = getattr(error, "retry_after", None) or backoff.delay(attempts)
        values = {"attempts": attempts, "verify_message": str(error), "reconcile_at": self._look_at(pause)}
        if attempts >= NOTED_FAILURES or isinstance(error, PermanentError):
            values |= {"error_message": str(error), "error_code": error.code}
        self.write(values)
        return pause

    # --- telling people -----------------------------------------------------------------------------

    def _raise_alarm(self):
        """Tell operators of snapshots that cannot be restored: a note and an activity on each tenant."""
        self.env["loomworks.audit"]._record("snapshot_failed", self)
        for tenant, snapshots in self.grouped("tenant_id").items():
            reasons = ", ".join(dict.fromkeys(one.verify_message.splitlines()[0] for one in snapshots))
            text = self.env._(
                "Cannot be restored: %(names)s. %(reasons)s",
                names=", ".join(snapshots.mapped("name")),
                reasons=reasons,
            )
            tenant.message_post(body=text)
            tenant._raise_alarm(ALARM, text)

    def _give_all_clear(self):
        """The repository is whole again: say so, and end the activities of tenants that have no failed one left."""
        self.env["loomworks.audit"]._record("snapshot_whole_again", self)
        for tenant, snapshots in self.grouped("tenant_id").items():
            names = ", ".join(snapshots.mapped("name"))
            tenant.message_post(body=self.env._("Can be restored again, the repository is whole: %s", names))
            if not tenant.snapshot_ids._broken():
                tenant.activity_unlink([ALARM])

    def _end_alarms_without_cause(self):
        """End the activities on those tenants of these snapshots that have no broken one left."""
        tenants = self.tenant_id
        broken = self.search([("tenant_id", "in", tenants.ids), ("state", "in", ("failed", "restoring"))])._broken()
        feedback = self.env._("No snapshot is left that cannot be restored.")
        (tenants - broken.tenant_id)._end_alarm(ALARM, feedback)

    # --- measuring ----------------------------------------------------------------------------------

    def _is_to_be_measured(self):
        """Tell whether it is proven, also where somebody restores from it already, and its size is not known yet."""
        return self.to_measure and self.state in ("ready", "restoring")

    def _measure(self):
        """Keep how large the databases are; whoever waits for a snapshot does not wait for this."""
        names = {snapshot: snapshot.tenant_id.database_name for snapshot in self}
        try:
            sizes = restore_point.sizes(Server(self.server_id._to_spec()), list(names.values()))
        except LoomworksError:
            sizes = {}  # not known
        for snapshot in self:
            size = sizes.get(names[snapshot], 0)
            snapshot.write({"size_bytes": size, "to_measure": False, "reconcile_at": False})
        self._foresee_restore()
        return 0

    def _foresee_restore(self):
        """Tell operators, before anybody needs one, that the largest database of the server could not be restored."""
        server = self.server_id
        largest = self.search(
            [("server_id", "=", server.id), ("state", "=", "ready")], order="size_bytes desc", limit=1
        )
        try:
            server.cluster_id._scratch_space(largest.size_bytes).require()
        except ScratchRefused as refused:
            server._raise_alarm(NO_SCRATCH, f"{largest.tenant_id.name}: {refused}")
        else:
            server._end_alarm(NO_SCRATCH, self.env._("There is room for a restore of the largest database."))


class DatabaseServer(models.Model):
    """A database server whose snapshots one worker at a time looks after."""

    _inherit = "loomworks.database.server"

    def _oldest_proof(self):
        """Return since when one of the server's snapshots, at the most, has not been proven anew; False without any."""
        domain = [("server_id", "=", self.id), ("state", "in", ("ready", "restoring")), ("verified_at", "!=", False)]
        return self.env["loomworks.snapshot"].sudo().search(domain, order="verified_at", limit=1).verified_at

    def _tell_unproven(self, error):
        """Tell operators that snapshots cannot be proven, at once where that will not pass, and else after some hours.

        What they say of themselves stays: it is only older than it seems.
        """
        oldest = self._oldest_proof()
        stale = oldest and oldest < fields.Datetime.now() - PROOF_AGE
        if not (stale or isinstance(error, PermanentError)):
            return
        since = fields.Datetime.to_string(oldest) if oldest else "-"
        text = self.env._(
            "Snapshots cannot be proven: %(error)s\nThe oldest proof is of %(since)s UTC.", error=error, since=since
        )
        self._raise_alarm(NOT_PROVEN, text)

    def _lock_snapshots(self):
        """Take the server's snapshots for this transaction; False when another one has them."""
        self.ensure_one()
        key = SQL("hashtext('loomworks.snapshot'), %s", self.id)
        [(locked,)] = self.env.execute_query(SQL("SELECT pg_try_advisory_xact_lock(%s)", key))
        return locked


def values_of(point):
    """Return the fields of a snapshot that was taken at this restore point."""
    return {
        "restore_point": point.name,
        "wal_position": format_lsn(point.lsn),
        "wal_file": point.wal_file,
        "timeline": point.timeline,
        "system_identifier": str(point.system_identifier),
        "created_at": point.taken_at.replace(tzinfo=None, microsecond=0),
        "to_measure": True,
        "attempts": 0,
        **NO_FILES,
    }


def proven(proof):
    """Return the fields that a proof fills."""
    return {
        "base_backup_label": proof.backup,
        "recovery_timeline": proof.timeline,
        "wal_segments": proof.segments,
    }


def is_late(snapshot, verdict):
    """Tell whether a recorded position has not been archived for a while: a server that is idle closes no segment."""
    if snapshot.restore_point or snapshot.wal_pushed or isinstance(verdict, Proof):
        return False
    return verdict.reason == Reason.NOT_YET_ARCHIVED and time.time() - snapshot.requested_clock > PUSH_AFTER


NO_FILES = {"files_backup_id": False, "filestore_manifest": False}  # those of another moment are not its own
UNTAKEN = {"restore_point": False, "wal_position": False, "wal_file": False, "timeline": 0, "system_identifier": False}
UNTAKEN |= NO_FILES

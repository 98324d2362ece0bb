"""The reconciler's work on a restore: a step of the flow at a time, each in a transaction of its own."""

import math
from datetime import UTC, datetime, timedelta

from odoo import api, fields, models
from odoo.addons.loomworks_storage.files.flow import has_one_pod
from odoo.addons.loomworks_storage.reconciler import files as tenant_files
from odoo.addons.loomworks_tenant.errors import LoomworksError, PermanentError
from odoo.addons.loomworks_tenant.postgres.server import DatabaseServer as Server
from odoo.addons.loomworks_tenant.reconciler import backoff
from odoo.addons.loomworks_tenant.reconciler.engine import StepState
from odoo.addons.loomworks_tenant.reconciler.spec import is_database_of
from odoo.addons.loomworks_tenant.reconciler.step import Boundaries
from odoo.addons.loomworks_tenant.reconciler.steps.data import owner
from odoo.addons.loomworks_tenant.tenant_http import TenantHttp

from ..pitr.request import Request, Target, TargetKind
from ..repository import restore_point
from ..repository.proof import Prover
from ..repository.segments import SEGMENT_SIZE, format_lsn, parse_lsn
from ..repository.verdict import Proof, Reason, verdict_text
from ..repository.verdict import Target as Moment
from ..restoring import flow, leftover, outgoing
from ..restoring.spec import RestoreSpec
from ..timeline.forks import span_of
from .restore import RUNNING

KEPT_DAYS = 7  # the other database, after a restore or after going back
ATTEMPTS = 5  # of a Job that breaks off
PATIENCE = 3600  # seconds in which whatever else goes wrong may pass
EARLY = ("start", "catalogue")  # stages of a Job that has not come past what stopped the last one
ARCHIVE_LOOK = 0.3  # seconds between two looks for the closing record
ARCHIVE_PATIENCE, ARCHIVE_PROBLEM_LOOK = 60, 10.0  # seconds after which it is said, and then between two looks
SWITCH_LOOK = 0.5
SWITCH_PATIENCE = 600  # seconds in which the restored tenant has to serve, once its files are there
AT_WORK = (StepState.RUNNING.value, StepState.WAITING.value)  # states of a step in which nothing is wrong
SERVING = ("active", "provisioning")
PLACED_IN = (*SERVING, "suspended")
QUIET = {"attempts": 0, "troubled_since": False, "error_message": False, "error_code": False}


class RestoreWork(models.Model):
    """Bringing one restore forward."""

    _inherit = "loomworks.restore"

    def _reconcile_step(self):
        restore = self.try_lock_for_update()
        if not restore or not restore.reconcile_at:
            return None
        try:
            return getattr(restore, f"_step_{restore.state}")()
        except LoomworksError as error:
            return restore._record_failure(error)

    # --- the steps ------------------------------------------------------------------------------------

    def _step_waiting(self):
        """Wait until the repository leads to the moment, and to a record after it."""
        prover = Prover(self.server_id._repository_store())
        if not self.closing_position:
            self._close(prover)
        verdict = prover.prove(self._closing(prover))
        if isinstance(verdict, Proof):
            if not self._check_way(prover):
                return 0
            found = {"backup_label": self._backup_to_start_from(prover, verdict), "database_size": self._measure()}
            return self._go_on("restoring", stage="start", stage_share=0, **found)
        waited = (fields.Datetime.now() - self.started_at).total_seconds()
        if not (verdict.waiting or (verdict.reason == Reason.TIMELINE_LEFT and waited < ARCHIVE_PATIENCE)):
            self._forget_closing(verdict)
            raise flow.RestoreFailed(verdict_text(verdict), code=verdict.reason.value)
        message = verdict_text(verdict) if waited > ARCHIVE_PATIENCE else False
        self.write({"error_message": message, "error_code": False, "troubled_since": False})
        return self._pause(ARCHIVE_LOOK if waited < ARCHIVE_PATIENCE else ARCHIVE_PROBLEM_LOOK)

    def _forget_closing(self, verdict):
        """Have another try write a record of its own, where the server has left the one that was written for this."""
        if verdict.reason == Reason.TIMELINE_LEFT and self.target_kind != "name":
            own = {} if self.target_kind == "lsn" else {"system_identifier": False}
            self.write({"closing_position": False, "closing_timeline": 0, **own})

    def _closing(self, prover, backup=""):
        own = prover.catalog.system_identifier if prover.catalog else 0
        system, position = int(self.system_identifier or own), parse_lsn(self.closing_position)
        return Moment(system, self.closing_timeline, position, named=True, backup=backup)

    def _close(self, prover):
        """Write a record behind the moment: replay to a time or position ends only where something follows."""
        point = restore_point.close(Server(self.server_id._to_spec()))
        if self.system_identifier and self.system_identifier != str(point.system_identifier):
            self._close_in_the_past(prover, point)
            return
        self.write(
            {
                "closing_position": format_lsn(point.lsn),
                "closing_timeline": point.timeline,
                "system_identifier": str(point.system_identifier),
            }
        )

    def _close_in_the_past(self, prover, point):
        """Have the segment behind a position looked for: the server has been made anew since, and writes none there.

        :raises RestoreFailed: when the stanza was never that server's
        """
        histories = prover.catalog.histories if prover.catalog else ()
        if not any(str(one.system_identifier) == self.system_identifier for one in histories):
            raise flow.RestoreFailed(
                f"the position {self.target_value} is of the server {self.system_identifier}, and this one is "
                f"{point.system_identifier}",
                "The server was made anew since; restore its repository by hand, or take a later moment.",
                code="other_system",
            )
        behind = (parse_lsn(self.target_value) // SEGMENT_SIZE + 2) * SEGMENT_SIZE
        self.write({"closing_position": format_lsn(behind), "closing_timeline": self.target_timeline})

    def _check_way(self, prover):
        """See whether the server's way has the time at all: a server that was taken back has left some of it.

        A snapshot or an operation names its timeline, a time does not. False: a drill that is called off.

        :raises RestoreFailed: when it may not
        """
        if self.target_kind != "time":
            return True
        exact = datetime.fromisoformat(self.target_value).timestamp()
        span = span_of(exact, self.server_id._abandoned_spans(prover.catalog, self.closing_timeline))
        if not span:
            return True
        since, until = (fields.Datetime.to_string(datetime.fromtimestamp(at, UTC)) for at in (span.since, span.until))
        told = flow.RestoreFailed(
            f"the server was taken back, or failed over, between {since} and {until} UTC: what it did at "
            f"{self.target_value} may be on a timeline that it has left",
            "Take a snapshot of that time, or a moment outside of it.",
            code="time_abandoned",
        )
        if self.purpose != "drill":
            raise told
        self.write({"state": "cancelled", "finished_at": fields.Datetime.now(), "error_message": str(told)})
        return False

    def _backup_to_start_from(self, prover, proof):
        """Return the label of the newest base backup before the moment from which the closing record can be reached."""
        if self.target_kind == "name":
            return proof.backup
        own = prover.catalog.backups_of(int(self.system_identifier))
        before = [one for one in own if self._is_before_moment(one)]
        for backup in sorted(before, key=lambda one: one.lsn_stop, reverse=True):
            if isinstance(prover.prove(self._closing(prover, backup.label)), Proof):
                return backup.label
        oldest = min((one.stopped for one in own), default=None)
        since = fields.Datetime.to_string(datetime.fromtimestamp(oldest, UTC)) if oldest else "-"
        raise flow.RestoreFailed(
            f"no base backup in the repository ends before {self.target_value}",
            f"The repository goes back to {since} UTC. Take a later moment.",
            code="no_base_backup",
        )

    def _is_before_moment(self, backup):
        if self.target_kind == "lsn":
            return backup.lsn_stop <= parse_lsn(self.target_value)
        return backup.stopped < self.moment.replace(tzinfo=UTC).timestamp()

    def _step_restoring(self):
        if not self._is_prepared():
            return self._pause(flow.LOOK)
        spec, world = self._restore_spec(), self._world()
        if self.purpose == "copy":
            self._manifest_for_copy()  # begun now, it is there when the database is
        found = flow.advance(spec, world)
        self._note_progress(found)
        if not found.done:
            return self._pause(flow.LOOK)
        values = {"report": found.report, "total_seconds": sum(found.report["seconds"].values())}
        if self.purpose == "drill":
            values["report"] = {**found.report, **self._drill_files()}
            flow.clean_up(spec, world)
            self._end_with(values)
            return self._give_all_clear()
        flow.check(spec, world, found.report)
        values["new_database"] = spec.database
        if self.purpose == "copy":
            flow.clean_up(spec, world)
            return self._go_on("copying", **values)
        return self._go_on("placing", **values)

    def _note_progress(self, found):
        """Note how far the Job is; a new one has to come further than its start to be no trouble any more.

        Where a store was away, patience counts on. Jobs that broke off are counted: the next may wait for a place.
        """
        values = {"stage": found.stage, "stage_share": found.share}
        if found.stage not in EARLY:
            values |= {"troubled_since": False, "error_message": False, "error_code": False}
        elif self.error_code != flow.StoreAway.code:
            values["troubled_since"] = False
        self.write(values)

    def _is_prepared(self):
        """Tell whether the restored database has a place to go to, by now.

        :raises RestoreFailed: when it will never have one
        """
        if self.purpose == "copy":
            return self.copy_id._is_ready_for_data()
        if self.purpose == "in_place" and (self.tenant_id.erase_requested or self.tenant_id.state not in PLACED_IN):
            raise flow.RestoreFailed("the tenant is neither active nor suspended any more", code="tenant_gone")
        return True

    def _end_with(self, values):
        self.write({**values, "state": "done", "finished_at": fields.Datetime.now(), "reconcile_at": False, **QUIET})
        self.snapshot_id._release(whole=True)

    def _step_placing(self):
        if not self.switch_began_at:
            world = self._world()
            flow.clean_up(self._restore_spec(), world)
            if not leftover.withdraw(self.tenant_id._to_spec(), self.new_database, world):
                return self._pause(leftover.LOOK)
            self.old_database = self.tenant_id.database_name
            return self._switch_to(self.new_database)
        return self._follow_switch(self.old_database, self.new_database, "done")

    def _step_going_back(self):
        if not self.switch_began_at:
            if not self._world().server.database(self.old_database):
                raise flow.RestoreFailed(
                    f"the database {self.old_database} is not there any more", code="database_gone"
                )
            return self._switch_to(self.old_database)
        return self._follow_switch(self.new_database, self.old_database, "gone_back")

    def _step_cancelled(self):
        return self._clear_away()

    def _step_failed(self):
        return self._clear_away()

    def _clear_away(self):
        """Remove what was made of a restore that comes to nothing: of a change that failed, the files as well."""
        world, made = self._world(), self.new_database
        flow.discard(self._restore_spec(), world)
        has_files = self.purpose == "in_place" and made and made not in self._databases_still_needed()
        if has_files and not self.tenant_id.erased_at and not leftover.remove(self.tenant_id._to_spec(), made, world):
            return self._pause(leftover.LOOK)
        return self._rest()

    def _step_done(self):
        """The other database's time is over; the row says so first, so that nobody goes back to what may be gone."""
        if not self.kept_until or self.kept_until > fields.Datetime.now():
            return self._rest()
        if not self.dropped:
            self.dropped = True
            return 0
        other = self._other_database()
        if other and other not in self._databases_still_needed():
            self._require_own(other)
            Server(self.server_id._to_spec()).drop_database(other)
            gone = self.tenant_id.erased_at  # and the volume with it
            if not gone and not leftover.remove(self.tenant_id._to_spec(), other, self._world()):
                return self._pause(leftover.LOOK)
            self.write(QUIET)
        return self._rest()

    def _other_database(self):
        """Return the database that is kept for going back, or for having gone back."""
        return self.old_database if self.state == "done" else self.new_database

    def _databases_still_needed(self):
        """Return the databases that the tenant works in, or that another restore still keeps or changes to."""
        others = self.tenant_id.restore_ids - self
        kept = others.filtered(lambda one: one.kept_until and not one.dropped)
        running = others.filtered(lambda one: one.state in RUNNING)
        named = {one._other_database() for one in kept}
        return named | {self.tenant_id.database_name, *running.mapped("old_database"), *running.mapped("new_database")}

    _step_gone_back = _step_done

    # --- the switch -------------------------------------------------------------------------------------

    def _switch_to(self, database):
        """Have the tenant served from another of its databases; what it had before is remembered in this row."""
        tenant, world = self.tenant_id, self._world()
        world.server.open_database(database)
        outgoing.hold(world.server, self._owner(world), database)
        begun = {"switch_began_at": fields.Datetime.now(), "files_seen_at": False}
        self.write({**begun, "previous_database": tenant.previous_database})
        values = {"previous_database": tenant.database_name, "database_name": database}
        # What the volume does not have any more comes from S3, where a backup has it.
        values |= tenant._files_values(self.moment if database == self.new_database else None)
        tenant.write({**values, "switching": tenant.state in SERVING})
        tenant._reconcile_if_changed()
        return self._pause(SWITCH_LOOK)

    def _follow_switch(self, before, database, state):
        """Wait until the tenant's traffic goes to ``database``; then let the pods of ``before`` end, and close it."""
        tenant, world = self.tenant_id, self._world()
        if tenant.switching and tenant.state in SERVING and not flow.is_served(tenant.uuid, database, world):
            patient = self._switch_waited() < SWITCH_PATIENCE
            return self._pause(SWITCH_LOOK) if patient else self._take_back_switch(before)
        if tenant.switching:
            self._note_traffic(world)
            tenant.switching = False
            tenant._reconcile_if_changed()
            return self._pause(SWITCH_LOOK)
        changed = self.traffic_changed_at or self.switch_began_at
        closing = (fields.Datetime.now() - changed).total_seconds() < 2 * SWITCH_PATIENCE
        if closing and flow.has_pods(tenant.uuid, before, world):
            return self._pause(SWITCH_LOOK)  # nothing is closed under a request
        own = self._owner(world)
        self.cancelled_mails = outgoing.cancel_sent(world.server, own, before, database, self.moment)
        outgoing.release(world.server, own, database)
        world.server.close_database(before)
        return self._settle_switch(state)

    def _switch_waited(self):
        """Return the seconds that count for patience: none while the files are brought without an error.

        All of them are read and compared, which takes hours where there are many; their Job has a deadline of its own,
        and users work on the database that they had. Where they cannot, no error that stays is waited for.
        """
        step = self.tenant_id.step_ids.filtered(lambda one: one.code == tenant_files.Files.code)
        if step.state in AT_WORK:
            self.files_seen_at = fields.Datetime.now()
            return 0.0
        if step.state == StepState.FAILED.value and not step.next_at and has_one_pod(self.tenant_id._to_spec()):
            return math.inf
        began = max(filter(None, (self.switch_began_at, self.files_seen_at, step.finished_at)))
        return (fields.Datetime.now() - began).total_seconds()

    def _note_traffic(self, world):
        """Note when the traffic went over, which may be long ago: nobody need have been here then."""
        now = fields.Datetime.now()
        told = flow.switched_at(self.tenant_id.uuid, world) if self.tenant_id.state in SERVING else None
        changed = told.astimezone(UTC).replace(tzinfo=None) if told else now
        changed = max(self.switch_began_at, min(changed, now))
        seconds = (changed - self.switch_began_at).total_seconds()
        self.write({"switch_seconds": seconds, "traffic_changed_at": changed})

    def _settle_switch(self, state):
        now = fields.Datetime.now()
        changed = (
            self.traffic_changed_at or self.switch_began_at
        )  # of a tenant that is stopped, the row is what changes
        self.write(
            {
                "state": state,
                "finished_at": now,
                "placed_at" if state == "done" else "gone_back_at": changed,
                "kept_until": now + timedelta(days=KEPT_DAYS),
                "switch_began_at": False,
                "traffic_changed_at": False,
                **QUIET,
                "reconcile_at": False,
            }
        )
        self.snapshot_id._release(whole=state == "done")
        self.env["loomworks.audit"]._record(f"restore_{state}", self.tenant_id)

    def _take_back_switch(self, before):
        """The other database's Odoo does not serve: users have stayed where they were, and so does the tenant.

        Everything is as it was, so that the pod that serves them is the one that its Deployment asks for.
        """
        tenant = self.tenant_id
        step = tenant.step_ids.filtered(lambda one: one.code in ("files", "switch") and one.state != "done")
        step = step.sorted("sequence")[:1]
        message = step.message or self.env._("its Odoo did not answer in time")
        tenant_files.give_up(tenant._to_spec(), self._world())
        values = {"database_name": before, "previous_database": self.previous_database, "switching": False}
        tenant.write({**values, **tenant._no_files(), "files_restored": False})  # they leave the volume again
        tenant._lay_out_steps(anew=True)  # a volume of one pod was given up for the files: its Odoo may be stopped
        tenant._request_reconcile()
        self.switch_began_at = False
        raise flow.RestoreFailed(
            f"the tenant could not be changed to the other database: {message}", code="switch_failed"
        )

    # --- helpers ----------------------------------------------------------------------------------------

    def _restore_spec(self):
        tenant, server = self.copy_id or self.tenant_id, self.server_id
        return RestoreSpec(
            number=self.id,
            tenant=tenant._to_spec(),
            copy=self.purpose == "copy",
            request=self._to_request(),
            location=server._repository_location(),
            image=tenant.cluster_id.postgres_image,
            scratch=self._scratch_space(),
        )

    def _scratch_space(self):
        return self.tenant_id.cluster_id._scratch_space(self.database_size, self.attempts)

    def _measure(self):
        """Return how large the database is, or was at the snapshot: what the scratch space is chosen by."""
        name = self.tenant_id.database_name
        now = restore_point.sizes(Server(self.server_id._to_spec()), [name]).get(name, 0)
        return max(now, self.snapshot_id.size_bytes)

    def _to_request(self):
        kind = TargetKind(self.target_kind)
        target = Target(
            kind=kind,
            value=self.target_value,
            timeline=self.target_timeline or None,
            lsn=parse_lsn(self.target_position) if self.target_position and kind == TargetKind.NAME else None,
            timestamp=int(self.moment.replace(tzinfo=UTC).timestamp()) if kind == TargetKind.TIME else None,
        )
        system = int(self.system_identifier) if self.system_identifier else None
        name, drill = self.tenant_id._database_at(self.moment), self.purpose == "drill"
        self._require_own(name)
        return Request(name, target, self.backup_label or "", system, drill=drill)

    def _require_own(self, database):
        """Refuse to touch another tenant's database, whatever this row says.

        :raises RestoreFailed: when it is one
        """
        if not is_database_of(self.tenant_id.uuid, database):
            raise flow.RestoreFailed(f"{database} is no database of the tenant's", code="foreign_database")

    def _world(self):
        tenant = self.tenant_id
        return Boundaries(tenant.cluster_id._client(), Server(self.server_id._to_spec()), TenantHttp())

    def _owner(self, world):
        return owner(world, self.tenant_id._to_spec())

    def _go_on(self, state, **values):
        self.write({"state": state, **QUIET, **values})
        return 0

    def _pause(self, seconds):
        self.reconcile_at = self._look_again(seconds)
        return seconds

    def _rest(self):
        self.reconcile_at = False

    def _hold_snapshot(self):
        self.snapshot_id.filtered(lambda one: one.state == "ready").state = "restoring"

    def _record_failure(self, error):
        """Note what went wrong; give up what another try would meet again, or has met often enough."""
        now = fields.Datetime.now()
        midway = isinstance(error, flow.StoreAway) and self.stage not in EARLY  # it was there when this Job began
        attempts = self.attempts + (midway or isinstance(error, flow.RestoreBrokeOff))
        since = self.troubled_since or now
        lasting = attempts >= ATTEMPTS or (now - since).total_seconds() > PATIENCE
        # Between the two databases there is no giving up, but what `_take_back_switch` does.
        given_up = not self.switch_began_at and (isinstance(error, PermanentError) or lasting)
        pause = backoff.delay(min(8, int((now - since).total_seconds() // 10) + 1))
        values = {"attempts": attempts, "troubled_since": since}
        if self.state in RUNNING or not self.error_message:  # what a clean-up meets does not hide the cause
            values |= {"error_message": str(error), "error_code": error.code}
        if given_up and self.state == "going_back":
            values |= {"state": "done", "reconcile_at": False}  # it is where it was
        elif given_up and self.state in RUNNING:
            values |= {"state": "failed", "finished_at": now, "troubled_since": False}
        if "state" not in values or values["state"] == "failed":
            values["reconcile_at"] = self._look_again(pause)
        self.write(values)
        if values.get("state") == "failed":
            self.snapshot_id._release(error)
            self.env["loomworks.audit"]._record("restore_failed", self.tenant_id, error.code)
            if self.purpose == "drill":
                self._raise_alarm(error)
        return pause

    @api.model
    def _cron_forget(self):
        """Have the databases dropped that have been kept long enough after a restore."""
        domain = [("state", "in", ("done", "gone_back")), ("dropped", "=", False)]
        self.search([*domain, ("kept_until", "<=", fields.Datetime.now())])._request_reconcile()

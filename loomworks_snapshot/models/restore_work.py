"""The reconciler's work on a restore: a step of the flow at a time, each in a transaction of its own."""

import re
from datetime import timedelta

from odoo import api, fields, models
from odoo.addons.loomworks_tenant.errors import LoomworksError, PermanentError
from odoo.addons.loomworks_tenant.postgres.server import DatabaseServer as Server
from odoo.addons.loomworks_tenant.reconciler import backoff
from odoo.addons.loomworks_tenant.reconciler.engine import StepState
from odoo.addons.loomworks_tenant.reconciler.step import Boundaries
from odoo.addons.loomworks_tenant.tenant_http import TenantHttp

from ..pitr.request import Request, Target, TargetKind
from ..repository import restore_point
from ..repository.proof import Prover
from ..repository.segments import format_lsn, parse_lsn
from ..repository.verdict import Proof, verdict_text
from ..repository.verdict import Target as Moment
from ..restoring import flow
from ..restoring.spec import RestoreSpec
from .restore import RUNNING

KEPT_DAYS = 7  # the other database, after a restore or after going back
ATTEMPTS = 5  # of a restore that breaks off
ARCHIVE_LOOK = 0.3  # seconds between two looks for the closing record
SWITCH_LOOK = 0.5
SWITCH_PATIENCE = 600  # seconds in which the restored tenant has to answer
SCRATCH_SIZE = "50Gi"
HELD = re.compile(r"held for ([0-9.]+) s")


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
        verdict = prover.prove(
            Moment(int(self.system_identifier), self.closing_timeline, parse_lsn(self.closing_position), named=True)
        )
        if isinstance(verdict, Proof):
            return self._go_on("restoring", stage="start", stage_share=0)
        if not verdict.waiting:
            raise flow.RestoreFailed(verdict_text(verdict), code=verdict.reason.value)
        self.error_message = False
        return self._pause(ARCHIVE_LOOK)

    def _close(self, prover):
        """Write a record behind the moment: replay to a time or position ends only where something follows."""
        if self.target_kind == "name":
            values = {"closing_position": self.target_position, "closing_timeline": self.target_timeline}
            own = prover.catalog.system_identifier if prover.catalog else 0
            self.write({**values, "system_identifier": self.system_identifier or str(own)})
            return
        point = restore_point.close(Server(self.server_id._to_spec()))
        self.write(
            {
                "closing_position": format_lsn(point.lsn),
                "closing_timeline": point.timeline,
                "system_identifier": str(point.system_identifier),
            }
        )

    def _step_restoring(self):
        spec, world = self._restore_spec(), self._world()
        found = flow.advance(spec, world)
        self.write({"stage": found.stage, "stage_share": found.share})
        if not found.done:
            return self._pause(flow.LOOK)
        values = {"report": found.report, "total_seconds": sum(found.report["seconds"].values())}
        if self.purpose == "drill":
            flow.clean_up(spec, world)
            self.write({**values, "state": "done", "finished_at": fields.Datetime.now()})
            self._give_all_clear()
            return self._rest()
        flow.check(spec, world)
        flow.clean_up(spec, world)
        return self._go_on("placing", new_database=spec.database, **values)

    def _step_placing(self):
        if self.tenant_id.database_name != self.new_database:
            self.old_database = self.tenant_id.database_name
            return self._switch_to(self.new_database)
        return self._follow_switch("done")

    def _step_going_back(self):
        if self.tenant_id.database_name != self.old_database:
            return self._switch_to(self.old_database)
        return self._follow_switch("gone_back")

    def _step_cancelled(self):
        flow.discard(self._restore_spec(), self._world())
        return self._rest()

    def _step_failed(self):
        return self._step_cancelled()

    def _step_done(self):
        """The other database's time is over."""
        if self.kept_until and self.kept_until <= fields.Datetime.now() and not self.dropped:
            other = self.old_database if self.state == "done" else self.new_database
            if other != self.tenant_id.database_name:
                Server(self.server_id._to_spec()).drop_database(other)
            self.dropped = True
        return self._rest()

    _step_gone_back = _step_done

    # --- the switch -------------------------------------------------------------------------------------

    def _switch_to(self, database):
        """Have the tenant served from another of its databases."""
        tenant = self.tenant_id
        together = tenant.state in ("active", "provisioning")
        tenant.write({"previous_database": tenant.database_name, "database_name": database, "switching": together})
        tenant._reconcile_if_changed()
        if not together:
            Server(self.server_id._to_spec()).close_database(tenant.previous_database)
        self.switch_began_at = fields.Datetime.now()
        return self._pause(SWITCH_LOOK)

    def _follow_switch(self, state):
        tenant = self.tenant_id
        step = tenant.step_ids.filtered(lambda one: one.code == "switch")
        if tenant.switching and (tenant.reconcile_at or step.state != StepState.DONE.value):
            waited = (fields.Datetime.now() - self.switch_began_at).total_seconds()
            if waited < SWITCH_PATIENCE:
                return self._pause(SWITCH_LOOK)
            return self._take_back_switch(tenant, step)
        held = HELD.search(step.message or "")
        tenant.switching = False
        tenant._reconcile_if_changed()
        now = fields.Datetime.now()
        self.write(
            {
                "state": state,
                "finished_at": now,
                "placed_at" if state == "done" else "gone_back_at": now,
                "kept_until": now + timedelta(days=KEPT_DAYS),
                "held_seconds": float(held[1]) if held else 0.0,
                "error_message": False,
                "error_code": False,
                "reconcile_at": False,
            }
        )
        self.snapshot_id.filtered(lambda one: one.state == "restoring").state = "ready"
        self.env["loomworks.audit"]._record(f"restore_{state}", tenant)
        return None

    def _take_back_switch(self, tenant, step):
        """The other database's Odoo does not answer: users have stayed where they were, and so does the tenant."""
        message = step.message or self.env._("its Odoo did not answer in time")
        tenant.write({"database_name": tenant.previous_database, "previous_database": tenant.database_name})
        tenant._reconcile_if_changed()
        tenant.switching = False
        raise flow.RestoreFailed(
            f"the tenant could not be changed to the other database: {message}", code="switch_failed"
        )

    # --- helpers ----------------------------------------------------------------------------------------

    def _restore_spec(self):
        tenant, server = self.tenant_id, self.server_id
        return RestoreSpec(
            number=self.id,
            tenant=tenant._to_spec(),
            request=self._to_request(),
            location=server._repository_location(),
            image=tenant.cluster_id.postgres_image,
            scratch_size=SCRATCH_SIZE,
        )

    def _to_request(self):
        kind = TargetKind(self.target_kind)
        target = Target(
            kind=kind,
            value=self.target_value,
            timeline=self.target_timeline or None,
            lsn=parse_lsn(self.target_position) if self.target_position and kind == TargetKind.NAME else None,
            timestamp=int(self.moment.timestamp()) if kind == TargetKind.TIME else None,
        )
        system = int(self.system_identifier) if self.system_identifier else None
        name, drill = self.tenant_id._database_at(self.moment), self.purpose == "drill"
        return Request(name, target, system_identifier=system, drill=drill)

    def _world(self):
        tenant = self.tenant_id
        return Boundaries(tenant.cluster_id._client(), Server(self.server_id._to_spec()), TenantHttp())

    def _go_on(self, state, **values):
        self.write({"state": state, "attempts": 0, "error_message": False, "error_code": False, **values})
        return 0

    def _pause(self, seconds):
        self.reconcile_at = self._look_again(seconds)
        return seconds

    def _rest(self):
        self.reconcile_at = False

    def _record_failure(self, error):
        attempts = self.attempts + 1
        given_up = isinstance(error, PermanentError) or attempts >= ATTEMPTS
        values = {"attempts": attempts, "error_message": str(error), "error_code": error.code}
        pause = backoff.delay(attempts)
        if given_up and self.state == "going_back":
            values |= {"state": "done", "reconcile_at": False}  # it is where it was
        elif given_up and self.state in RUNNING:
            values |= {"state": "failed", "finished_at": fields.Datetime.now(), "reconcile_at": fields.Datetime.now()}
            self.snapshot_id.filtered(lambda one: one.state == "restoring").state = "ready"
            self.env["loomworks.audit"]._record("restore_failed", self.tenant_id, error.code)
            if self.purpose == "drill":
                self._raise_alarm(error)
        else:
            values["reconcile_at"] = self._look_again(pause)
        self.write(values)
        return 0 if values.get("state") == "failed" else pause

    @api.model
    def _cron_forget(self):
        """Have the databases dropped that have been kept long enough after a restore."""
        domain = [("state", "in", ("done", "gone_back")), ("dropped", "=", False)]
        self.search([*domain, ("kept_until", "<=", fields.Datetime.now())])._request_reconcile()

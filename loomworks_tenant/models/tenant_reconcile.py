"""Bring one tenant, a step at a time, to where its row says it should be."""

import time

from odoo import api, fields, models

from ..postgres.server import DatabaseServer as Server
from ..reconciler import engine
from ..reconciler.engine import StepState
from ..reconciler.spec import Goal
from ..reconciler.step import Boundaries
from ..tenant_http import TenantHttp

NOTED_FAILURES = 3  # a passing failure is shown as the tenant's problem only after so many in a row


class TenantReconcile(models.Model):
    """The progress of a tenant: its steps, what goes wrong, and when it is looked at again."""

    _inherit = "loomworks.tenant"

    step_ids = fields.One2many("loomworks.tenant.step", "tenant_id", "Steps", readonly=True)
    planned_goal = fields.Char(readonly=True, copy=False, help="The goal that the steps were laid out for.")
    converged_at = fields.Datetime("As it should be since", readonly=True, copy=False)
    progress = fields.Integer("Progress (%)", compute="_compute_progress")
    current_step = fields.Char(compute="_compute_progress")
    working = fields.Boolean("In progress", compute="_compute_working", search="_search_working")
    has_problem = fields.Boolean(compute="_compute_has_problem", store=True)

    @api.depends("step_ids.state", "step_ids.title", "step_ids.message")
    def _compute_progress(self):
        for tenant in self:
            steps = tenant.step_ids
            done = steps.filtered(lambda step: step.state == StepState.DONE.value)
            current = (steps - done)[:1]
            tenant.progress = round(100 * len(done) / len(steps)) if steps else 0
            tenant.current_step = ": ".join(filter(None, [current.title, current.message])) if current else False

    @api.depends("reconcile_at")
    def _compute_working(self):
        for tenant in self:
            tenant.working = bool(tenant.reconcile_at)

    def _search_working(self, operator, value):
        if operator not in ("=", "!="):
            return NotImplemented
        return [("reconcile_at", "!=" if (operator == "=") == bool(value) else "=", False)]

    @api.depends("error_message")
    def _compute_has_problem(self):
        for tenant in self:
            tenant.has_problem = bool(tenant.error_message)

    # --- laying out the steps ---------------------------------------------------------------------

    def _reconcile_if_changed(self):
        """Have those looked at whose steps were done for other values than the rows have now."""
        settled = self.sudo().filtered(lambda tenant: tenant._goal() and tenant.server_id and not tenant.erased_at)
        for tenant in settled:
            if tenant._lay_out_steps():
                tenant._request_reconcile()

    def _lay_out_steps(self, anew=False):
        """Make the step rows be the plan of the tenant's goal; return those that have to be run.

        :param anew: look at every step again, whatever it was done for
        """
        self.ensure_one()
        spec = self._to_spec()
        lines = engine.plan(self._steps(), spec)
        anew = anew or self.planned_goal != spec.goal
        rows = {row.code: row for row in self.step_ids}
        for position, line in enumerate(lines):
            self._lay_out_step(rows.pop(line.step.code, None), position, line, anew)
        for row in rows.values():
            row.unlink()
        self.planned_goal = spec.goal
        return self.step_ids.filtered(lambda row: row.state != StepState.DONE.value)

    def _lay_out_step(self, row, position, line, anew):
        values = {"sequence": position, "verb": line.verb.value, "title": line.step.title}
        if row is None:
            row = self.env["loomworks.tenant.step"].create({"tenant_id": self.id, "code": line.step.code, **values})
        stale = row.state == StepState.DONE.value and row.fingerprint != line.fingerprint
        if anew or stale:
            values.update(FRESH)
        if any(row[name] != value for name, value in values.items()):
            row.write(values)

    # --- running them -----------------------------------------------------------------------------

    def _reconcile_step(self):
        # The row lock is the tenant's: a second worker finds it taken and leaves the tenant alone. It lasts
        # for one step, so that a person's change of the row never waits longer than that. Rows that refer to it may
        # be made meanwhile.
        tenant = self.try_lock_for_update(allow_referencing=True)
        if not tenant or not tenant.reconcile_at or not tenant._goal():
            return None
        todo = tenant._lay_out_steps()
        return tenant._run(todo[0], todo[1:]) if todo else tenant._settle()

    def _run(self, row, rest):
        spec = self._to_spec()
        line = next(one for one in engine.plan(self._steps(), spec) if one.step.code == row.code)
        if not row.started_at:
            row.write(_started())
        outcome = engine.run(line, spec, self._world(spec), row.attempts)
        self._record(row, line, outcome)
        if outcome.state == StepState.DONE:
            rest[:1].write({"state": StepState.RUNNING.value, **_started()})  # shown while its own transaction runs
            return self._clear_problem() if rest else self._settle()
        return self._wait(row, outcome)

    def _world(self, spec):
        return Boundaries(self.cluster_id._client(), Server(spec.server), TenantHttp())

    def _record(self, row, line, outcome):
        done = outcome.state == StepState.DONE
        failed = outcome.state == StepState.FAILED
        row.write(
            {
                "state": outcome.state.value,
                "message": outcome.message,
                "error_code": outcome.code,
                "attempts": row.attempts + 1 if failed else 0,
                "fingerprint": line.fingerprint if done else False,
                "finished_at": fields.Datetime.now() if done else False,
                "next_at": self._look_again(outcome.retry_after) if outcome.retry_after else False,
                "seconds": max(0.0, time.time() - row.started_clock),
            }
        )

    def _wait(self, row, outcome):
        stuck = outcome.state == StepState.FAILED and outcome.retry_after is None
        if stuck or row.attempts >= NOTED_FAILURES or outcome.code in SERIOUS:
            self.write({"error_message": f"{row.title}: {outcome.message}", "error_code": outcome.code})
        self.reconcile_at = self._look_again(outcome.retry_after) if outcome.retry_after is not None else False
        return outcome.retry_after

    def _clear_problem(self):
        if self.error_message:
            self.write({"error_message": False, "error_code": False})
        return 0

    def _settle(self):
        """Everything is as it should be: say so, and rest."""
        self._clear_problem()
        values = {"reconcile_at": False, "converged_at": fields.Datetime.now()}
        if self.state == "provisioning":
            values["state"] = "active"
        if self._goal() == Goal.ERASED:
            values["erased_at"] = fields.Datetime.now()
            self.env["loomworks.audit"]._record("erased", self)
        self.write(values)

    @api.model
    def _cron_look_for_changes(self):
        """Find tenants whose rows were changed past the ORM, by their steps' fingerprints: no remote call."""
        self.search([("state", "in", ["active", "suspended"]), ("reconcile_at", "=", False)])._reconcile_if_changed()


def _started():
    return {"started_at": fields.Datetime.now(), "started_clock": time.time()}


FRESH = {
    "state": StepState.PENDING.value,
    "message": False,
    "error_code": False,
    "attempts": 0,
    "started_at": False,
    "finished_at": False,
    "next_at": False,
    "started_clock": 0.0,
    "seconds": 0.0,
}
# Causes that a person should see at once: they rarely pass by themselves.
SERIOUS = frozenset(
    {
        "image_unavailable",
        "crash_loop",
        "quota_exceeded",
        "pod_refused",
        "volume_pending",
        "volume_lost",
        "unschedulable",
        "import_failed",
    }
)

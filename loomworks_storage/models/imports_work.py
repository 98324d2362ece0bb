"""The reconciler's work on an import: a look at a Job at a time, each in a transaction of its own."""

from odoo import fields, models
from odoo.addons.loomworks_tenant.errors import LoomworksError, PermanentError
from odoo.addons.loomworks_tenant.reconciler import backoff
from odoo.addons.loomworks_tenant.reconciler.engine import StepState

from ..imports import flow
from ..imports.errors import ImportJobBrokeOff, ImportJobFailed, ImportNotWhole, SourcesUnset
from ..imports.spec import ImportWork
from .files_work import LONGEST_QUEUE_LOOK, QUEUE_LOOK
from .imports import NAMED, QUIET

ATTEMPTS = 5  # Jobs that break off
PATIENCE = 3600  # seconds in which whatever else goes wrong may pass
AT_ONCE = 4  # imports that fill databases of one server
READY_LOOK = 1.0  # seconds between two looks whether the new tenant's role and claim are there
AFTER = ("database_role", "volume_claim")  # steps of the new tenant that a Job needs


class ImportWorkRow(models.Model):
    """Bringing one import forward. It may be killed anywhere: the row says what is done, the Jobs say the rest."""

    _inherit = "loomworks.import"

    def _reconcile_step(self):
        one = self.try_lock_for_update(allow_referencing=True)
        if not one or not one.reconcile_at:
            return None
        try:
            return getattr(one, f"_step_{one.state}", one._step_over)()
        except LoomworksError as error:
            return one._record_failure(error)

    # --- the steps ------------------------------------------------------------------------------------

    def _step_waiting(self):
        """Wait for what the Jobs need of the new tenant, and for its turn."""
        self._require_tenant()
        steps = {step.code: step.state for step in self.tenant_id.step_ids}
        if any(steps.get(code) != StepState.DONE.value for code in AFTER):
            return self._pause(READY_LOOK)
        if rounds := self._count_before() // AT_ONCE:
            self.write({"stage": "queue", **QUIET})
            return self._pause(min(LONGEST_QUEUE_LOOK, QUEUE_LOOK * rounds))
        flow.clean_up(*self._work())  # the report of an attempt that failed would be taken for this one's
        self.write({"state": "loading", "stage": "start", "stage_share": 0.0, **QUIET})
        return 0

    def _step_loading(self):
        """Have the source brought in; its report is kept before anything is cleared away."""
        found = self._look(flow.bring)
        if not found.done:
            return self._pause(flow.LOOK)
        self.write({"report": found.report, "loaded_at": fields.Datetime.now(), **QUIET})
        if not found.report["whole"]:
            raise self._not_whole()
        self.write({"state": "installing", "stage": "modules", "stage_share": 0.0, "attempts": 0})
        return 0

    def _step_installing(self):
        """Have the plan's modules installed, and hand the database over to the tenant's steps."""
        found = self._look(flow.install)
        if not found.done:
            return self._pause(flow.LOOK)
        report = {**(self.report or {}), "modules": found.report}
        self.write({"state": "starting", "report": report, "stage": "modules", "stage_share": 1.0, **QUIET})
        self.tenant_id._request_reconcile()
        return 0

    def _step_cancelled(self):
        """Take away what the Jobs have left; the new tenant as well, unless it was archived: then it is kept."""
        if self.abandoned:
            self.tenant_id._abandon_import()
        self._step_over()

    def _step_over(self):
        """Remove what the Jobs have left in the cluster, now that the row knows their end."""
        tenant = self.tenant_id
        if tenant and tenant.server_id and not tenant.erased_at and tenant.cluster_id._import_sources():
            work, world = self._work()
            flow.clean_up(work, world)
        self.reconcile_at = False

    # --- helpers --------------------------------------------------------------------------------------

    def _require_tenant(self):
        tenant = self.tenant_id
        if not tenant or tenant.state == "archived" or tenant.erase_requested:
            raise ImportJobFailed("the new tenant is not being provisioned any more", code="tenant_gone")

    def _count_before(self):
        """Return how many imports fill databases of the same server, or begin sooner: the oldest go first.

        One whose new tenant is not ready for its data is not counted, nor one that is to be looked at later.
        """
        same = [("tenant_id.server_id", "=", self.tenant_id.server_id.id)]
        soon = self._look_again(LONGEST_QUEUE_LOOK + QUEUE_LOOK)
        older = [*same, ("state", "=", "waiting"), ("id", "<", self.id), ("reconcile_at", "<=", soon)]
        for code in AFTER:
            done = [("code", "=", code), ("state", "=", StepState.DONE.value)]
            older.append(("tenant_id.step_ids", "any", done))
        return self.search_count(older) + self.search_count([*same, ("state", "in", ("loading", "installing"))])

    def _look(self, advance):
        """Look at a Job, and keep how far it is."""
        self._require_tenant()
        work, world = self._work()
        found = advance(work, world)
        message = found.message if found.code else False
        values = {"error_message": message, "error_code": found.code or False, "troubled_since": False}
        if advance == flow.bring and found.stage in ("start", "database", "files", "proof"):
            values |= {"stage": found.stage, "stage_share": found.share}
        self.write({name: value for name, value in values.items() if self[name] != value})
        return found

    def _work(self):
        """Return the work as plain values, and the world that it is done in."""
        tenant, cluster = self.tenant_id, self.tenant_id.cluster_id
        sources = cluster._import_sources()
        if not sources or not cluster.postgres_image:
            raise SourcesUnset(
                f"the cluster {cluster.name} does not say where sources of imports are, or which image reads them",
                "Fill that in on the cluster's form.",
            )
        spec = tenant._to_spec()
        work = ImportWork(
            number=self.id,
            tenant=spec,
            sources=sources,
            image=cluster.postgres_image,
            source=self.source,
            dump=self.dump or "",
            files=self.expected_files,
            bytes=int(self.expected_bytes),
            modules=tenant.plan_id._modules(),
        )
        return work, tenant._world(spec)

    def _not_whole(self):
        named = (self.problems_text or "").splitlines()
        text = "; ".join(named[:NAMED]) + ("; …" if len(named) > NAMED else "")
        return ImportNotWhole(
            f"{self.problem_files} file(s) are missing or not what their names say: {text}",
            "Put them into the source and use Retry; or go on without: attachments that need them stay empty.",
        )

    def _pause(self, seconds):
        self.reconcile_at = self._look_again(seconds)
        return seconds

    def _record_failure(self, error):
        """Note what went wrong; give up what another try would meet again, or has met often enough."""
        now = fields.Datetime.now()
        attempts = self.attempts + isinstance(error, ImportJobBrokeOff)
        since = self.troubled_since or now
        waited = (now - since).total_seconds()
        pause = backoff.delay(min(8, max(attempts, int(waited // 10) + 1)))
        values = {"attempts": attempts, "troubled_since": since, "reconcile_at": self._look_again(pause)}
        given_up = isinstance(error, PermanentError) or attempts >= ATTEMPTS or waited > PATIENCE
        running = self.state in ("waiting", "loading", "installing")
        if running:
            values |= {"error_message": str(error), "error_code": error.code}
        if given_up and running:
            values |= {"state": "failed", "finished_at": now, "troubled_since": False}
        elif given_up:
            values["reconcile_at"] = False
        self.write(values)
        if values.get("state") == "failed" and self.tenant_id:
            self.env["loomworks.audit"]._record("import_failed", self.tenant_id, error.code)
            self.tenant_id._request_reconcile()
        return pause

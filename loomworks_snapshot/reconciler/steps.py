"""What a copy of a tenant needs beside a tenant's own steps: another one's data, and that nothing leaves it."""

from __future__ import annotations

from typing import Any

from ...loomworks_tenant.errors import PermanentError
from ...loomworks_tenant.kube import diagnosis, names
from ...loomworks_tenant.reconciler.spec import TenantSpec
from ...loomworks_tenant.reconciler.step import Answer, Boundaries, Done, Step, Waiting
from ...loomworks_tenant.reconciler.steps.data import owner
from ..restoring import neutral, neutralise_job

LOOK = 1.0  # seconds between two looks at a restore
PROBLEM_LOOK = 10.0  # seconds between two looks at one that has failed


class NeutralisingFailed(PermanentError):
    """The Job ended with an error; its last words are in the message."""

    code = "neutralising_failed"


class Copied(Step):
    """The database is there, restored from another tenant's; how far it is, whoever makes this step knows."""

    code = "copy"
    title = "Data of the original"

    def __init__(self, number: int, done: str = "", progress: str = "", problem: str = "") -> None:
        """Be the step of the restore ``number``, of which one of the three texts tells how it stands."""
        self._number, self._done, self._progress, self._problem = number, done, progress, problem

    def inputs(self, spec: TenantSpec) -> Any:
        return [spec.uuid, self._number]

    def ensure(self, spec: TenantSpec, world: Boundaries) -> Answer:
        if self._problem:
            return Waiting(self._problem, PROBLEM_LOOK, "copy_failed")
        return Waiting(self._progress, LOOK) if self._progress else Done(self._done)


class Neutralised(Step):
    """Nothing in the database reaches the world outside: done by the modules' own rules, and looked at from outside."""

    code = "neutralise"
    title = "Neutralise"

    def inputs(self, spec: TenantSpec) -> Any:
        return [spec.uuid, spec.database]

    def ensure(self, spec: TenantSpec, world: Boundaries) -> Answer:
        own = owner(world, spec)
        if neutral.is_finished(world.server, own, spec.database, spec.uuid):
            _clean_up(spec, world)
            return Done("nothing leaves this copy")
        namespace, name = names.namespace(spec.uuid), neutralise_job.name(spec)
        found = world.kube.get("Job", name, namespace)
        if found is None:
            world.kube.apply(neutralise_job.network_policy(spec))
            world.kube.apply(neutralise_job.job(spec))
            return Waiting("started", LOOK)
        if found["metadata"].get("deletionTimestamp"):
            return Waiting("an earlier try is being cleared away", LOOK)
        pods = list(world.kube.list("Pod", namespace, label_selector=f"job-name={name}"))
        state = diagnosis.job(found, pods)
        if state.fatal and state.code == "job_failed":
            _clean_up(spec, world)
            raise NeutralisingFailed(f"neutralising the copy failed: {state.message}", "See why, then use Retry.")
        if not state.ready:
            return Waiting(state.message, LOOK, state.code)
        try:
            neutral.finish(world.server, own, spec.database, spec.uuid)
        finally:
            _clean_up(spec, world)  # another try runs the files again
        return Done("nothing leaves this copy")


def _clean_up(spec: TenantSpec, world: Boundaries) -> None:
    namespace, name = names.namespace(spec.uuid), neutralise_job.name(spec)
    for kind in ("Job", "NetworkPolicy"):
        world.kube.delete(kind, name, namespace)

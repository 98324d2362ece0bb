"""What a copy of a tenant needs beside a tenant's own steps: that nothing leaves it."""

from __future__ import annotations

from typing import Any

from ...loomworks_tenant.errors import PermanentError
from ...loomworks_tenant.kube import job_output, jobs, names
from ...loomworks_tenant.reconciler.spec import TenantSpec
from ...loomworks_tenant.reconciler.step import Answer, Boundaries, Done, Step, Waiting
from ...loomworks_tenant.reconciler.steps.data import owner
from ..restoring import neutral, neutralise_job

LOOK = 1.0  # seconds between two looks at the Job


class NeutralisingFailed(PermanentError):
    """The Job ended with an error; its last words are in the message."""

    code = "neutralising_failed"


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
        found = jobs.begun(world.kube, name, namespace)
        if found is None:
            jobs.start(world.kube, neutralise_job.job(spec), neutralise_job.network_policy(spec))
            return Waiting("started", LOOK)
        if found["metadata"].get("deletionTimestamp"):
            return Waiting("an earlier try is being cleared away", LOOK)
        seen = job_output.look(world.kube, found)
        if seen.failed:
            _clean_up(spec, world)
            raise NeutralisingFailed(f"neutralising the copy failed: {seen.state.message}", "See why, then use Retry.")
        if not seen.ended:
            return Waiting(seen.state.message, LOOK, seen.state.code)
        try:
            neutral.finish(world.server, own, spec.database, spec.uuid)
        finally:
            _clean_up(spec, world)  # another try runs the files again
        return Done("nothing leaves this copy")


def _clean_up(spec: TenantSpec, world: Boundaries) -> None:
    namespace, name = names.namespace(spec.uuid), neutralise_job.name(spec)
    for kind in ("Job", "NetworkPolicy"):
        world.kube.delete(kind, name, namespace)

"""An import's Jobs, a little further at each call; killed anywhere, the next call goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...loomworks_tenant.kube import job_output, jobs, names
from ...loomworks_tenant.postgres.empty import make_empty
from ...loomworks_tenant.reconciler.step import Boundaries
from ..files.flow import Progress
from . import job
from .errors import ImportJobBrokeOff, ImportJobFailed
from .spec import ImportWork

LOOK = 0.5  # seconds between two looks at a running Job


def bring(work: ImportWork, world: Boundaries) -> Progress:
    """Have the source brought in, and return how far it is. The database begins empty, whatever an attempt has left.

    :raises ImportJobFailed, ImportJobBrokeOff: when it failed; what it left is removed, and a new call starts anew
    """
    return _advance(work, work.name, _start, world)


def install(work: ImportWork, world: Boundaries) -> Progress:
    """Have the plan's modules installed in what was brought in, and return how far that is.

    :raises ImportJobFailed, ImportJobBrokeOff: when it failed; a new call goes on where it broke off
    """
    return _advance(work, work.modules_name, _start_modules, world)


def clean_up(work: ImportWork, world: Boundaries) -> None:
    """Remove the Jobs and what they needed; first of all what is secret."""
    world.kube.delete("Secret", work.name, names.namespace(work.tenant.uuid))
    for name in (work.name, work.modules_name):
        _remove(work, name, world)


def _advance(
    work: ImportWork, name: str, start: Callable[[ImportWork, Boundaries], None], world: Boundaries
) -> Progress:
    namespace = names.namespace(work.tenant.uuid)
    found = jobs.begun(world.kube, name, namespace)
    if found is None and not _pods_left(work, name, world):
        start(work, world)
        return Progress("start")
    if found is None or found["metadata"].get("deletionTimestamp"):
        return Progress("start", message="an earlier attempt is being removed")
    seen = job_output.look(world.kube, found, job.CONTAINER)
    said, state = seen.said, seen.state
    if not seen.ended:
        return Progress(said.get("stage", "start"), said.get("share", 0.0), message=state.message, code=state.code)
    if "report" in said:
        return Progress("done", 1.0, said["report"])
    _remove(work, name, world)
    silent = f"the Job {name} ended without a word: {state.message}"
    raise job_output.failure(said, ImportJobBrokeOff, ImportJobFailed, silent)


def _pods_left(work: ImportWork, name: str, world: Boundaries) -> bool:
    """Tell whether a pod of a Job that is gone may still write."""
    pods = world.kube.list("Pod", names.namespace(work.tenant.uuid), label_selector=f"job-name={name}")
    return any(pod.get("status", {}).get("phase") not in ("Succeeded", "Failed") for pod in pods)


def _start(work: ImportWork, world: Boundaries) -> None:
    location = work.sources.location()
    ca = Path(location.ca_file).read_text() if location.ca_file else ""
    make_empty(world.server, work.tenant.database, work.tenant.role)
    jobs.start(world.kube, job.job(work), job.network_policy(work), job.secret(work, location, ca))


def _start_modules(work: ImportWork, world: Boundaries) -> None:
    jobs.start(world.kube, job.modules_job(work), job.modules_network_policy(work))


def _remove(work: ImportWork, name: str, world: Boundaries) -> None:
    for kind in ("Secret", "Job", "NetworkPolicy"):
        if kind != "Secret" or name == work.name:
            world.kube.delete(kind, name, names.namespace(work.tenant.uuid))

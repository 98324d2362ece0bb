"""A Job on a tenant's files, a little further at each call; killed anywhere, the next call goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...loomworks_tenant.kube import diagnosis, job_output, jobs, names, tenant_pods
from ...loomworks_tenant.reconciler.spec import TenantSpec
from ...loomworks_tenant.reconciler.step import Boundaries
from ..filestore.key import Key
from . import job
from .errors import FilesJobBrokeOff, FilesJobFailed, FilesStoreAway, PlaceUnset, VolumeHeld
from .spec import FilesWork

LOOK = 0.5  # seconds between two looks at a running Job
ONE_POD = "ReadWriteOncePod"
STORE_AWAY = {"filestore_unreachable", "filestore_full", "filestore_busy"}  # codes


@dataclass(frozen=True)
class Progress:
    """Where a Job stands; ``report`` once it is done."""

    stage: str
    share: float = 0.0  # of the stage, 0 to 1
    report: dict[str, Any] = field(default_factory=dict)
    message: str = ""  # why it does not begin
    code: str = ""  # when something is wrong meanwhile
    uploaded: int = 0  # files that a backup has sent by now
    uploaded_bytes: int = 0

    @property
    def done(self) -> bool:
        """Whether the Job has come to its end, and said what came of it."""
        return bool(self.report)


def advance(work: FilesWork, key: Key, world: Boundaries) -> Progress:
    """Have the Job run, and return how far it is.

    :param key: of the tenant whose objects they are
    :raises FilesJobFailed, FilesJobBrokeOff, FilesStoreAway: when it failed; what it left is removed, and a new call
        starts anew
    :raises PlaceUnset, VolumeHeld: when it cannot be started
    """
    if has_one_pod(work.tenant) and work.tenant.running and not work.writes:
        clean_up(work, world)  # one of the time while it was suspended would keep its Odoo from starting
        raise _held()
    namespace = names.namespace(work.tenant.uuid)
    found = jobs.begun(world.kube, work.name, namespace)
    if found is None:
        _start(work, key, world)
        return Progress("start")
    if found["metadata"].get("deletionTimestamp"):
        return Progress("start", message="an earlier attempt is being removed")
    seen = job_output.look(world.kube, found, job.CONTAINER)
    if not seen.ended:
        if seen.state.code:
            _require_volume(work, world)  # a pod of a claim that is gone is never placed
        return _said(seen.said, seen.state)
    if "report" in seen.said:
        return Progress("done", 1.0, _whole(seen.said["report"], seen.pods, world))
    clean_up(work, world)
    error = seen.said.get("error", {})
    if error.get("code") in STORE_AWAY:
        raise FilesStoreAway(error["message"], error["hint"], error["code"])
    silent = f"the Job on the files ended without a word: {seen.state.message}"
    raise job_output.failure(seen.said, FilesJobBrokeOff, FilesJobFailed, silent)


def _said(said: dict[str, Any], state: diagnosis.Diagnosis) -> Progress:
    """Return how far a Job is by its last line; one of an error or of nothing is no progress."""
    counts = {name: said.get(name, 0) for name in ("uploaded", "uploaded_bytes")}
    return Progress(said.get("stage", "start"), said.get("share", 0.0), {}, state.message, state.code, **counts)


def clean_up(work: FilesWork, world: Boundaries) -> None:
    """Remove the Job and what it needed; first of all what is secret."""
    for kind in ("Secret", "Job", "NetworkPolicy"):
        world.kube.delete(kind, work.name, names.namespace(work.tenant.uuid))


def _start(work: FilesWork, key: Key, world: Boundaries) -> None:
    if work.place is None:
        raise PlaceUnset
    _require_volume(work, world)
    node = tenant_pods.node(world.kube, work.tenant.uuid)
    if node and has_one_pod(work.tenant):
        raise _held()
    location = work.place.location(work.request.tenant)
    ca = Path(location.ca_file).read_text() if location.ca_file else ""
    jobs.start(world.kube, job.job(work, node), job.network_policy(work), job.secret(work, location, key, ca))


def _require_volume(work: FilesWork, world: Boundaries) -> None:
    """Refuse to back up what is gone; what is restored has a step of its own that waits for the volume.

    :raises FilesJobFailed: when the claim or its volume is not there; what the Job left is removed
    """
    claim = work.tenant.volume.claim if work.tenant.volume else ""
    if work.writes or not claim:
        return
    found = world.kube.get("PersistentVolumeClaim", claim, names.namespace(work.tenant.uuid))
    if found is None or found.get("status", {}).get("phase") == "Lost":
        clean_up(work, world)
        raise FilesJobFailed(
            f"the {'volume of the ' if found else ''}claim {claim} is gone, and with it the tenant's files",
            "See the tenant's volume: a reset makes a fresh one, and brings the files back from S3.",
            "volume_lost",
        )


def has_one_pod(tenant: TenantSpec) -> bool:
    """Tell whether nobody else can have the tenant's volume while its Odoo runs."""
    return bool(tenant.volume and tenant.volume.access_mode == ONE_POD)


def _held() -> VolumeHeld:
    """Return the error of a volume that its tenant's Odoo has for itself."""
    return VolumeHeld(
        "the plan lets one pod have the volume, and the tenant's Odoo is that",
        "Choose the access mode “One node” for new tenants; suspend this one to back up its files.",
    )


def _whole(report: dict[str, Any], pods: list[dict[str, Any]], world: Boundaries) -> dict[str, Any]:
    """Return the report with its lists uncut, where something is wrong and the log is still there."""
    if report.get("whole"):
        return report
    for pod in pods:
        logged = job_output.last_logged(world.kube, pod, job.CONTAINER).get("report")
        if logged:
            return logged
    return report

"""How a claim stands: pure functions over the object as the API returns it.

Conditions and states of a resize: https://kubernetes.io/docs/concepts/storage/persistent-volumes/ (Expanding
Persistent Volumes Claims; Recovering from Failure when Expanding Volumes).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from ...loomworks_tenant.kube import diagnosis, names, quantity
from ...loomworks_tenant.kube.manifest import Manifest

INFEASIBLE = {"ControllerResizeInfeasible", "NodeResizeInfeasible"}
PENDING = {"NodeResizePending"}
ERRORS = ("ControllerResizeError", "NodeResizeError")
WAITS_FOR_POD = "FileSystemResizePending"


class Growth(StrEnum):
    """Where a resize stands."""

    NONE = "none"  # the volume has what its claim asks for
    ASKED = "asked"  # the claim asks for more; the cluster is to answer
    WAITS_FOR_POD = "waits_for_pod"  # the disk has grown; the file system follows when a pod has it
    FAILING = "failing"  # it went wrong, and is tried again
    INFEASIBLE = "infeasible"  # the storage cannot do it: somebody has to ask for less


@dataclass(frozen=True)
class ClaimState:
    """A claim in plain values; ``capacity`` (bytes) is None until there is a volume."""

    phase: str  # Pending, Bound or Lost
    reason: str  # why it is not bound
    requested: int  # bytes
    capacity: int | None
    growth: Growth
    growth_message: str
    storage_class: str
    access_mode: str  # Kubernetes' name, such as ReadWriteOnce


def read(claim: Manifest, events: Iterable[Manifest] = ()) -> ClaimState:
    """Return how a claim stands, with the cause from the ``events`` about it where something is wrong.

    Events from before the last change of its size are about that one, and count no more.
    """
    status, events = claim.get("status", {}), [one for one in events if _moment(one) >= _asked_at(claim)]
    phase = status.get("phase", "Pending")
    requested = quantity.to_bytes(claim["spec"]["resources"]["requests"]["storage"])
    said = status.get("capacity", {}).get("storage")
    capacity = quantity.to_bytes(said) if said else None
    bound = diagnosis.claim(claim, events)
    growth, message = _growth(status, requested, capacity, events)
    return ClaimState(
        phase,
        "" if bound.ready else bound.message,
        requested,
        capacity,
        growth,
        message,
        claim["spec"].get("storageClassName") or "",
        _access_mode(claim),
    )


def _access_mode(claim: Manifest) -> str:
    """Return who may have the claim's volume; Loomworks asks for one mode."""
    return next(iter(claim["spec"].get("accessModes", ())), "")


def _growth(status: Manifest, requested: int, capacity: int | None, events: list[Manifest]) -> tuple[Growth, str]:
    if status.get("phase") != "Bound" or capacity is None or capacity >= requested:
        return Growth.NONE, ""
    if _is_about_another_size(status, requested):
        return Growth.ASKED, ""
    conditions = {one["type"]: one.get("message", "") for one in status.get("conditions", []) if _holds(one)}
    allocated = (status.get("allocatedResourceStatuses") or {}).get("storage", "")
    message = next((conditions[name] for name in ERRORS if name in conditions), "")
    if allocated in INFEASIBLE:
        return Growth.INFEASIBLE, message or _warning(events) or allocated
    if message:
        return Growth.FAILING, message
    if WAITS_FOR_POD in conditions or allocated in PENDING:
        return Growth.WAITS_FOR_POD, conditions.get(WAITS_FOR_POD, "")
    warning = _warning(events)
    return (Growth.FAILING, warning) if warning else (Growth.ASKED, "")


def _is_about_another_size(status: Manifest, requested: int) -> bool:
    """Tell whether the last answer was to an earlier request: the resizer notes what it is at."""
    allocated = (status.get("allocatedResources") or {}).get("storage")
    return bool(allocated) and quantity.to_bytes(allocated) != requested


def _holds(condition: Manifest) -> bool:
    return condition.get("status") == "True"


def _warning(events: list[Manifest]) -> str:
    """Return the newest word about the claim when that is a warning; a success since has the last one."""
    newest = max(events, key=_moment, default=None)
    return newest.get("message", "") if newest and newest.get("type") == "Warning" else ""


def _asked_at(claim: Manifest) -> str:
    """Return when Loomworks last changed the claim, as the server noted it; empty where it did not."""
    managers = claim["metadata"].get("managedFields", [])
    return max((one.get("time", "") for one in managers if one.get("manager") == names.FIELD_MANAGER), default="")


def _moment(event: Manifest) -> str:
    return event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp") or ""

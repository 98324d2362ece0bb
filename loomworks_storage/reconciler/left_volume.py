"""What is left of an erased tenant's volume: a class with the policy Retain keeps the disk when the claim goes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ...loomworks_tenant.kube import names
from ...loomworks_tenant.reconciler.spec import TenantSpec
from ...loomworks_tenant.reconciler.step import Answer, Boundaries, Done, Step, Waiting

LOOK = 1.0  # seconds between two looks at a volume that is to be released, or has been just now
SLOW_LOOK = 10.0  # seconds between two looks at one that its storage takes longer to delete
PATIENCE = 600  # seconds in which a storage deletes a volume; external-provisioner goes on trying, and says nothing
RELEASED, FAILED = "Released", "Failed"  # phases of a volume whose claim is gone; of one that could not be deleted


class LeftVolume(Step):
    """No volume of the tenant's is there any more, or it is named: nothing here can delete what a provider keeps.

    Its PersistentVolume stays in that case: it is what says where the disk is. One that its storage ought to delete and
    has not after some minutes is named as well: a driver that cannot need not set the phase Failed.
    """

    code = "left_volume"
    title = "Volume removed"
    goals = frozenset()

    def remove(self, spec: TenantSpec, world: Boundaries) -> Answer:
        found = [one for one in world.kube.list("PersistentVolume") if _is_of(one, spec.uuid)]
        if going := [one for one in found if not _stays(one)]:
            called = ", ".join(one["metadata"]["name"] for one in going)
            return Waiting(f"the storage deletes {called}", min(SLOW_LOOK, max(LOOK, *map(_released_for, going))))
        return Done("; ".join(map(_described, found)))


def _is_of(found: dict[str, Any], uuid: str) -> bool:
    claim = found["spec"].get("claimRef") or {}
    return (claim.get("namespace"), claim.get("name")) == (names.namespace(uuid), names.volume_claim(uuid))


def _stays(found: dict[str, Any]) -> bool:
    phase, deletes = found.get("status", {}).get("phase"), _policy(found) == "Delete"
    return phase == FAILED or (phase == RELEASED and (not deletes or _released_for(found) > PATIENCE))


def _released_for(found: dict[str, Any]) -> float:
    """Return for how many seconds a volume has been released; 0 for one that is not yet.

    Kubernetes says since when it has its phase, from 1.29 on (KEP 3762).
    """
    status = found.get("status", {})
    since = status.get("lastPhaseTransitionTime")
    if status.get("phase") != RELEASED or not since:
        return 0.0
    return (datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds()


def _policy(found: dict[str, Any]) -> str:
    return found["spec"].get("persistentVolumeReclaimPolicy", "Retain")


def _described(found: dict[str, Any]) -> str:
    spec = found["spec"]
    handle = spec.get("csi", {}).get("volumeHandle") or spec.get("local", {}).get("path") or "no handle"
    return f"{found['metadata']['name']} ({_policy(found)}, {handle})"

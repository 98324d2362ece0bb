"""What is to be done for one disk, decided from its claim and its volume alone."""

from __future__ import annotations

import re
from decimal import Decimal
from enum import Enum
from typing import Any

Object = dict[str, Any]

PROVISIONER = "dev.loomworks.io/loop"
FINALIZER = "dev.loomworks.io/loop"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
WANTED_PROVISIONER = "volume.kubernetes.io/storage-provisioner"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
MINIMUM_SIZE = 300 * 1024**2  # bytes: the least that mkfs.xfs makes; who asks for less gets this much
SUFFIXES = {"": 1, "m": Decimal("0.001")} | {
    suffix: base**power
    for suffixes, base in ((("k", "M", "G", "T", "P", "E"), 1000), (("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1024))
    for power, suffix in enumerate(suffixes, start=1)
}


class Action(Enum):
    """The next thing to do for a disk."""

    NOTHING = "as it should be, or not ours"
    PROVISION = "a claim waits for its volume"
    MOUNT = "the volume is in use: its file system must be mounted"
    GROW = "the claim asks for more than the volume has"
    DESTROY = "the claim is gone and the policy is Delete: remove data and volume"
    FORGET = "the volume is being deleted and the policy is Retain: keep the data, let go of the volume"


def parse_quantity(text: str) -> int:
    """Bytes of a Kubernetes quantity, rounded up.

    >>> parse_quantity("1Gi"), parse_quantity("1500m"), parse_quantity("2e3")
    (1073741824, 2, 2000)
    """
    match = re.fullmatch(r"([0-9.]+(?:[eE][+-]?\d+)?)([A-Za-z]*)", text)
    if not match or match[2] not in SUFFIXES:
        raise ValueError(f"not a quantity: {text!r}")
    exact = Decimal(match[1]) * SUFFIXES[match[2]]
    return int(exact) + (exact != int(exact))


def disk_name(claim: Object) -> str:
    """The name of the volume, and of the disk's file, that belong to a claim."""
    return f"pvc-{claim['metadata']['uid']}"


def requested(claim: Object) -> int:
    """The bytes a claim asks for."""
    return parse_quantity(claim["spec"]["resources"]["requests"]["storage"])


def size(claim: Object) -> int:
    """The bytes that a claim gets."""
    return max(requested(claim), MINIMUM_SIZE)


def size_quantity(claim: Object) -> str:
    """The same as a Kubernetes quantity, in the claim's own words where possible."""
    if requested(claim) < MINIMUM_SIZE:
        return f"{MINIMUM_SIZE // 1024**2}Mi"
    return claim["spec"]["resources"]["requests"]["storage"]


def capacity(thing: Object) -> int:
    """The bytes that a volume has, or that a claim's status says it has."""
    where = thing["status"] if thing["kind"] == "PersistentVolumeClaim" else thing["spec"]
    return parse_quantity(where.get("capacity", {}).get("storage", "0"))


def decide(claim: Object | None, volume: Object | None) -> Action:
    """What to do for the disk of this claim and this volume, either of which may not be there."""
    if volume is None:
        return Action.PROVISION if claim and _waits_for_us(claim) else Action.NOTHING
    if _annotation(volume, PROVISIONED_BY) != PROVISIONER:
        return Action.NOTHING
    if _is_unused(volume):
        return _end(volume)
    if claim and requested(claim) > min(capacity(volume), capacity(claim) or capacity(volume)):
        return Action.GROW
    return Action.MOUNT


def _waits_for_us(claim: Object) -> bool:
    wanted = _annotation(claim, WANTED_PROVISIONER) == PROVISIONER
    open_claim = not claim["spec"].get("volumeName") and not claim["metadata"].get("deletionTimestamp")
    return wanted and open_claim


def is_node_chosen(claim: Object) -> bool:
    """Whether the scheduler has said where the claim's first pod goes (WaitForFirstConsumer)."""
    return bool(_annotation(claim, SELECTED_NODE))


def _is_unused(volume: Object) -> bool:
    phase = volume.get("status", {}).get("phase")
    return phase == "Released" or (phase != "Bound" and bool(volume["metadata"].get("deletionTimestamp")))


def _end(volume: Object) -> Action:
    if volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete":
        return Action.DESTROY
    return Action.FORGET if volume["metadata"].get("deletionTimestamp") else Action.MOUNT


def _annotation(thing: Object, name: str) -> str | None:
    return (thing["metadata"].get("annotations") or {}).get(name)


def refusal(claim: Object) -> str | None:
    """Why a claim cannot be served, if it cannot."""
    if claim["spec"].get("volumeMode", "Filesystem") != "Filesystem":
        return "only volumeMode Filesystem is provided"
    if claim["spec"].get("dataSource") or claim["spec"].get("dataSourceRef"):
        return "volumes from a data source are not provided"
    return None


def volume_manifest(claim: Object, storage_class: Object, path: str, node: str) -> Object:
    """The PersistentVolume, bound to this claim, of a disk mounted at ``path`` on ``node``."""
    metadata = claim["metadata"]
    host = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": disk_name(claim),
            "annotations": {PROVISIONED_BY: PROVISIONER},
            "finalizers": [FINALIZER],
        },
        "spec": {
            "capacity": {"storage": size_quantity(claim)},
            "accessModes": claim["spec"]["accessModes"],
            "volumeMode": "Filesystem",
            "storageClassName": storage_class["metadata"]["name"],
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
            "local": {"path": path},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [host]}]}},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
            },
        },
    }


def resize_failure(claim: Object, message: str, *, infeasible: bool, now: str) -> Object:
    """The status of a claim that could not get the size it asks for, as CSI's resizer writes it."""
    condition = {"type": "ControllerResizeError", "status": "True", "message": message, "lastTransitionTime": now}
    tried = claim["spec"]["resources"]["requests"]["storage"]
    state = "ControllerResizeInfeasible" if infeasible else "ControllerResizeInProgress"
    return {
        "conditions": [condition],
        "allocatedResources": {"storage": tried},
        "allocatedResourceStatuses": {"storage": state},
    }


def is_told(claim: Object, message: str) -> bool:
    """Whether the claim's status says so already, about the size that it asks for now."""
    status = claim["status"]
    tried = (status.get("allocatedResources") or {}).get("storage")
    messages = [one.get("message") for one in status.get("conditions") or []]
    return tried == claim["spec"]["resources"]["requests"]["storage"] and message in messages


def event_manifest(claim: Object, reason: str, message: str, kind: str, now: str) -> Object:
    """An event on a claim; ``kind`` is Normal or Warning, ``now`` RFC 3339 in UTC."""
    metadata = claim["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{metadata['name']}.", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
        "reason": reason,
        "message": message[:1024],
        "type": kind,
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "source": {"component": PROVISIONER},
    }

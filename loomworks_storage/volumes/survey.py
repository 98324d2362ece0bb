"""How all volumes of a cluster stand, by a handful of requests: lists of claims and pods, and one question a node.

Usage comes from the kubelets' ``/stats/summary``; the control plane's account needs ``nodes/stats`` for it and no more
(docs/decisions/0025-usage-from-the-kubelets.md). A node is known by the pods on it: nodes are not listed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ...loomworks_tenant.errors import LoomworksError
from ...loomworks_tenant.kube import names
from ...loomworks_tenant.kube.client import KubeClient
from ...loomworks_tenant.kube.manifest import Manifest
from . import claim as claims
from .claim import ClaimState, Growth

OURS = f"{names.MANAGED_BY}={names.FIELD_MANAGER},{names.TENANT_LABEL}"
NODES_AT_ONCE = 8
WARNED = "involvedObject.kind=PersistentVolumeClaim"


@dataclass(frozen=True)
class Usage:
    """What a kubelet says of one volume's file system, in bytes and inodes; ``read_at`` is in UTC."""

    read_at: datetime
    used: int
    size: int
    inodes: int | None = None
    inodes_used: int | None = None


@dataclass
class Survey:
    """The claims and usages that were found, by the tenant's uuid, and which nodes did not answer, and why."""

    claims: dict[str, ClaimState] = field(default_factory=dict)
    usages: dict[str, Usage] = field(default_factory=dict)
    silent: dict[str, str] = field(default_factory=dict)


def survey(kube: KubeClient) -> Survey:
    """Look at all volumes of a cluster.

    A node that does not answer is named, and leaves its tenants without a new usage.

    :raises LoomworksError: when the API server cannot be asked
    """
    found = {_tenant(item): item for item in kube.list("PersistentVolumeClaim", label_selector=OURS) if _is_own(item)}
    events = _events(kube) if any(_is_unsettled(item) for item in found.values()) else {}
    result = Survey({uuid: claims.read(item, events.get(uuid, ())) for uuid, item in found.items()})
    nodes = _nodes(kube.list("Pod", label_selector=OURS))
    with ThreadPoolExecutor(NODES_AT_ONCE, thread_name_prefix="kubelet") as pool:
        for name, answer in zip(nodes, pool.map(lambda address: _ask(kube, address), nodes.values()), strict=True):
            if isinstance(answer, LoomworksError):
                result.silent[name] = answer.message
            else:
                _add(result, answer)
    return result


def _tenant(item: Manifest) -> str:
    return item["metadata"]["labels"][names.TENANT_LABEL]


def _is_own(item: Manifest) -> bool:
    """Tell the tenant's volume from others in its namespace (a restore's scratch space)."""
    return item["metadata"]["name"] == names.volume_claim(_tenant(item))


def _is_unsettled(item: Manifest) -> bool:
    state = claims.read(item)
    return state.phase != "Bound" or state.growth != Growth.NONE


def _events(kube: KubeClient) -> dict[str, list[Manifest]]:
    """Return the events about claims, by the tenant of whose namespace they are."""
    found = defaultdict(list)
    for event in kube.list("Event", field_selector=WARNED):
        about = event["involvedObject"]
        uuid = about.get("name", "").removeprefix(names.volume_claim(""))
        if about.get("namespace") == names.namespace(uuid):
            found[uuid].append(event)
    return found


def _nodes(pods: Iterable[Manifest]) -> dict[str, str]:
    """Return name and address of the nodes that tenants run on."""
    placed = (pod for pod in pods if pod.get("status", {}).get("hostIP") and pod["status"].get("phase") == "Running")
    return {pod["spec"]["nodeName"]: pod["status"]["hostIP"] for pod in placed}


def _ask(kube: KubeClient, address: str) -> Manifest | LoomworksError:
    try:
        return kube.node_stats(address)
    except LoomworksError as error:
        return error


def _add(result: Survey, summary: Manifest) -> None:
    """Take the usages out of a kubelet's answer; of two pods on one volume the newer look counts."""
    for pod in summary.get("pods", []):
        for volume in pod.get("volume") or []:
            uuid, usage = _volume_tenant(volume), _usage(volume)
            known = result.usages.get(uuid)
            if uuid in result.claims and usage and not (known and known.read_at > usage.read_at):
                result.usages[uuid] = usage


def _volume_tenant(volume: Manifest) -> str:
    about = volume.get("pvcRef") or {}
    uuid = about.get("name", "").removeprefix(names.volume_claim(""))
    return uuid if about.get("namespace") == names.namespace(uuid) else ""


def _usage(volume: Manifest) -> Usage | None:
    """Return what is known of a volume; a kubelet that has not looked yet says nothing, or nought of nought."""
    if not volume.get("capacityBytes") or volume.get("usedBytes") is None or not volume.get("time"):
        return None
    at = datetime.fromisoformat(volume["time"]).astimezone(UTC).replace(tzinfo=None)
    return Usage(at, volume["usedBytes"], volume["capacityBytes"], volume.get("inodes"), volume.get("inodesUsed"))

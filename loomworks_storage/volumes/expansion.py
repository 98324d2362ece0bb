"""What a volume needs to grow: a claim that is bound, a class that lets it, and room in every quota."""

from __future__ import annotations

from collections.abc import Iterable

from ...loomworks_tenant.errors import QuotaExceeded
from ...loomworks_tenant.kube import quantity
from ...loomworks_tenant.kube.manifest import Manifest
from .claim import ClaimState
from .errors import ExpansionNotAllowed, VolumeShrinks

REQUESTS = "requests.storage"


def check(state: ClaimState, wanted: int, storage_class: Manifest | None, quotas: Iterable[Manifest]) -> None:
    """Find out before anything is asked whether a bound claim may ask for ``wanted`` bytes.

    Less than it asks for now is possible above its capacity only: so a resize that failed is taken back.

    :raises VolumeShrinks, ExpansionNotAllowed, QuotaExceeded: when it may not
    """
    if state.capacity is not None and wanted < state.requested and wanted <= state.capacity:
        raise VolumeShrinks(
            f"the volume has {quantity.canonical(state.capacity)}: it cannot become {quantity.canonical(wanted)}",
            "No volume shrinks. For a smaller one, copy the tenant to a new one on a plan with a smaller volume.",
        )
    if wanted > state.requested:
        _check_class(state, storage_class)
        for quota in quotas:
            _check_quota(state, wanted, quota)


def _check_class(state: ClaimState, storage_class: Manifest | None) -> None:
    if storage_class is None or storage_class.get("allowVolumeExpansion"):
        return  # a volume that somebody made by hand has no class: the cluster itself will say
    raise ExpansionNotAllowed(
        f"volumes of the storage class “{state.storage_class}” cannot grow",
        "Set allowVolumeExpansion: true on the class where its driver can do that; then use Retry. To give it up, "
        f"resize it to {quantity.canonical(state.capacity or state.requested)}.",
    )


def _check_quota(state: ClaimState, wanted: int, quota: Manifest) -> None:
    """Look at what a ResourceQuota leaves: the claim's present request is counted in it already."""
    names = (REQUESTS, f"{state.storage_class}.storageclass.storage.k8s.io/{REQUESTS}")
    status = quota.get("status", {})
    hard, used = {**quota["spec"].get("hard", {}), **status.get("hard", {})}, status.get("used", {})
    for name in names:
        if name in hard:
            room = quantity.to_bytes(hard[name]) - quantity.to_bytes(used.get(name, "0"))
            _check_room(state, wanted - state.requested, room, f"{quota['metadata']['name']}: {name}={hard[name]}")


def _check_room(state: ClaimState, more: int, room: int, name: str) -> None:
    if more > room:
        raise QuotaExceeded(
            f"the quota {name} has room for {quantity.canonical(max(0, room))} more, "
            f"and {quantity.canonical(more)} are needed",
            "Raise the quota of the namespace; then use Retry. To give it up, resize it to "
            f"{quantity.canonical(state.capacity or state.requested)}.",
        )

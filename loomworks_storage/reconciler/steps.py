"""Claim a tenant's volume early, and wait for it only where it is needed."""

from __future__ import annotations

from typing import Any

from ...loomworks_tenant.errors import StorageClassMissing
from ...loomworks_tenant.kube import diagnosis, manifests, names
from ...loomworks_tenant.reconciler.spec import Goal, TenantSpec
from ...loomworks_tenant.reconciler.step import Answer, Boundaries, Done, Step, Waiting

ALWAYS = frozenset({Goal.ACTIVE, Goal.SUSPENDED})
LATE_BINDING = "WaitForFirstConsumer"
LOOK = 0.3  # seconds between two looks at a claim that is being bound
PROBLEM_LOOK = 5.0  # seconds between two looks at a claim about which the cluster has warned


class VolumeClaim(Step):
    """The claim of the tenant's volume. The cluster makes the volume while the database is being cloned."""

    code = "volume_claim"
    title = "Volume claim"
    goals = ALWAYS

    def inputs(self, spec: TenantSpec) -> Any:
        return manifests.volume_claim(spec)

    def ensure(self, spec: TenantSpec, world: Boundaries) -> Answer:
        _storage_class(spec, world)
        world.kube.apply(manifests.volume_claim(spec))
        return Done(spec.volume.size)


class Volume(Step):
    """The volume is bound, or will be as soon as a pod asks for it."""

    code = "volume"
    title = "Volume"

    def inputs(self, spec: TenantSpec) -> Any:
        return manifests.volume_claim(spec)

    def ensure(self, spec: TenantSpec, world: Boundaries) -> Answer:
        namespace = names.namespace(spec.uuid)
        found = world.kube.get("PersistentVolumeClaim", spec.volume.claim, namespace)
        if not found:
            return Waiting("the claim is gone: use Retry", PROBLEM_LOOK, "volume_lost")
        events = _claim_events(world, namespace, spec.volume.claim)
        state = diagnosis.claim(found, events)
        if state.ready:
            return Done(found["status"].get("capacity", {}).get("storage", ""))
        if not state.code and _binds_late(spec, world):
            return Done("bound when the pod starts")
        return Waiting(state.message, PROBLEM_LOOK if state.code else LOOK, state.code)


def _claim_events(world: Boundaries, namespace: str, claim: str) -> list[dict[str, Any]]:
    selector = f"involvedObject.kind=PersistentVolumeClaim,involvedObject.name={claim}"
    return list(world.kube.list("Event", namespace, field_selector=selector))


def _binds_late(spec: TenantSpec, world: Boundaries) -> bool:
    found = _storage_class(spec, world)
    return bool(found) and found.get("volumeBindingMode") == LATE_BINDING


def _storage_class(spec: TenantSpec, world: Boundaries) -> dict[str, Any] | None:
    """Return the claim's storage class, or None for the cluster's default.

    :raises StorageClassMissing: when the plan names one that the cluster does not have
    """
    if not spec.volume.storage_class:
        return None
    found = world.kube.get("StorageClass", spec.volume.storage_class)
    if not found:
        raise StorageClassMissing(
            f"the cluster has no storage class “{spec.volume.storage_class}”",
            "Correct the plan or the cluster's setting, or create the class; then use Retry.",
        )
    return found

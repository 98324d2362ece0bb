"""Claim a tenant's volume early, and wait for it only where it is needed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...loomworks_tenant.errors import LoomworksError, RetryableError, StorageClassMissing
from ...loomworks_tenant.kube import diagnosis, manifests, names, quantity
from ...loomworks_tenant.reconciler.spec import Goal, TenantSpec
from ...loomworks_tenant.reconciler.step import Answer, Boundaries, Done, Step, Waiting
from ..volumes import claim as claims
from ..volumes import expansion
from ..volumes.errors import ExpansionFails, ExpansionInfeasible, VolumeLost

ALWAYS = frozenset({Goal.ACTIVE, Goal.SUSPENDED})
LATE_BINDING = "WaitForFirstConsumer"
LOOK = 0.3  # seconds between two looks at a claim that is being bound
PROBLEM_LOOK = 5.0  # seconds between two looks at a claim about which the cluster has warned
GROWTH_LOOK = 1.0  # seconds between two looks at a volume that grows
FAILING_LOOK = 10.0  # seconds between two looks at one that the cluster fails to grow


class VolumeClaim(Step):
    """The claim of the tenant's volume. The cluster makes the volume while the database is being cloned.

    One that is there asks for more when the tenant is to have more: early, for a tenant whose Odoo cannot start on a
    full volume. What is in the way of that stops nothing here; :class:`VolumeGrowth` tells of it.

    One that is gone is made anew where files are to come back for good, by a reset or to a tenant that is resumed, and
    else only missed.
    """

    code = "volume_claim"
    title = "Volume claim"
    goals = ALWAYS

    def inputs(self, spec: TenantSpec) -> Any:
        claim, files = manifests.volume_claim(spec), spec.files
        return [claim, spec.database, files.source, files.manifest] if files else claim

    def ensure(self, spec: TenantSpec, world: Boundaries) -> Answer:
        found = _claim(spec, world)
        if found:
            return Done(_asked(spec, world, found))
        if _may_be_gone(spec):
            return Done(NONE_MADE)
        _require_no_loss(spec)
        _storage_class(spec, world)
        world.kube.apply(manifests.volume_claim(spec))
        return Done(spec.volume.size)


def _asked(spec: TenantSpec, world: Boundaries, found: dict[str, Any]) -> str:
    """Have a claim ask for the tenant's size if it may, and return what it asks for now, in words."""
    try:
        _ask(spec, world, found)
    except RetryableError:
        raise
    except LoomworksError as error:
        return f"{found['spec']['resources']['requests']['storage']}: {error.message}"
    return spec.volume.size


def _ask(spec: TenantSpec, world: Boundaries, found: dict[str, Any]) -> None:
    """Have a bound claim ask for the tenant's size; a claim that waits for its volume cannot be changed.

    One whose volume is larger than it asked for has the size already, and need not be let grow.
    Everything but the size stays as it was claimed: Kubernetes refuses the rest, whatever the plan says now.

    :raises VolumeShrinks, ExpansionNotAllowed, QuotaExceeded: when it may not
    """
    state, wanted = claims.read(found), quantity.to_bytes(spec.volume.size)
    if state.phase != "Bound" or state.requested <= wanted <= max(state.requested, state.capacity or 0):
        return
    kind = world.kube.get("StorageClass", state.storage_class) if state.storage_class else None
    expansion.check(state, wanted, kind, world.kube.list("ResourceQuota", names.namespace(spec.uuid)))
    volume = replace(spec.volume, storage_class=state.storage_class, access_mode=state.access_mode)
    world.kube.apply(manifests.volume_claim(replace(spec, volume=volume)))


class ClaimedVolume(Step):
    """A step on the volume of a claim that is there; one that is gone keeps nobody from stopping a tenant."""

    def inputs(self, spec: TenantSpec) -> Any:
        claim = manifests.volume_claim(spec)
        return [claim, "may be gone"] if _may_be_gone(spec) else claim

    def ensure(self, spec: TenantSpec, world: Boundaries) -> Answer:
        found = _claim(spec, world)
        if found:
            return self._of(found, spec, world)
        if _may_be_gone(spec):
            return Done(NONE_MADE)
        _require_no_loss(spec)
        return GONE

    def _of(self, found: dict[str, Any], spec: TenantSpec, world: Boundaries) -> Answer:
        """Do the step's work on the volume of the claim ``found``."""
        raise NotImplementedError


class Volume(ClaimedVolume):
    """The volume is bound, or will be as soon as a pod asks for it."""

    code = "volume"
    title = "Volume"

    def _of(self, found: dict[str, Any], spec: TenantSpec, world: Boundaries) -> Answer:
        events = _claim_events(world, spec)
        state = diagnosis.claim(found, events)
        if state.ready:
            return Done(found["status"].get("capacity", {}).get("storage", ""))
        if not state.code and _binds_late(spec, world):
            return Done("bound when the pod starts")
        return Waiting(state.message, PROBLEM_LOOK if state.code else LOOK, state.code)


class VolumeGrowth(ClaimedVolume):
    """The volume has the size that the tenant is to have; last of all steps, so that nothing waits for it."""

    code = "volume_growth"
    title = "Volume size"

    def _of(self, found: dict[str, Any], spec: TenantSpec, world: Boundaries) -> Answer:
        _ask(spec, world, found)
        state = claims.read(_claim(spec, world) or found, _claim_events(world, spec))
        if state.capacity is None:
            return Done("made in this size")
        if state.capacity >= quantity.to_bytes(spec.volume.size):
            return Done(quantity.canonical(state.capacity))
        return _growing(state, spec.volume.size)


NONE_MADE = "gone; none is made while nothing runs"
GONE = Waiting("the claim is gone: use Retry", PROBLEM_LOOK, "volume_lost")


def _may_be_gone(spec: TenantSpec) -> bool:
    """Tell whether a claim that the tenant has had may be missing: it is stopped, or stops for a reset."""
    return spec.volume.missed and not spec.running


def _require_no_loss(spec: TenantSpec) -> None:
    """Refuse to go on without a claim that the tenant has had.

    :raises VolumeLost: saying how it comes back
    """
    if spec.volume.missed:
        raise VolumeLost(
            f"the claim {spec.volume.claim} is gone, and with it the tenant's files; no empty one is made in its place",
            "If its volume is among the orphans, claim it again under this name and use Retry. Else suspend the "
            "tenant, if it is not active, and reset it: that makes a fresh volume and brings the files back from S3.",
        )


def _growing(state: claims.ClaimState, size: str) -> Answer:
    """Say how far a volume is that is to have ``size``.

    :raises ExpansionInfeasible, ExpansionFails: when it does not get there
    """
    has = quantity.canonical(state.capacity or 0)
    if state.growth == claims.Growth.INFEASIBLE:
        raise ExpansionInfeasible(
            f"the volume stays at {has}, the storage cannot make it {size}: {state.growth_message}",
            f"Resize it to less, anything above {has}.",
        )
    if state.growth == claims.Growth.FAILING:
        raise ExpansionFails(
            f"the volume has {has} still, growing it to {size} fails: {state.growth_message}",
            f"The cluster tries again by itself. To give it up, resize it to less, anything above {has}.",
            FAILING_LOOK,
        )
    waits = ", when a pod has the volume" if state.growth == claims.Growth.WAITS_FOR_POD else ""
    return Waiting(f"grows from {has} to {size}{waits}", GROWTH_LOOK)


def _claim(spec: TenantSpec, world: Boundaries) -> dict[str, Any] | None:
    return world.kube.get("PersistentVolumeClaim", spec.volume.claim, names.namespace(spec.uuid))


def _claim_events(world: Boundaries, spec: TenantSpec) -> list[dict[str, Any]]:
    selector = f"involvedObject.kind=PersistentVolumeClaim,involvedObject.name={spec.volume.claim}"
    return list(world.kube.list("Event", names.namespace(spec.uuid), field_selector=selector))


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

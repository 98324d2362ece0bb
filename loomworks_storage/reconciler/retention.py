"""What the claim of an archived tenant says of itself, for whoever looks at the cluster without the control plane."""

from __future__ import annotations

from typing import Any

from ...loomworks_tenant.kube import names
from ...loomworks_tenant.reconciler.spec import Goal, TenantSpec
from ...loomworks_tenant.reconciler.step import Answer, Boundaries, Done, Step
from ...loomworks_tenant.reconciler.steps.access import ALWAYS

DELETED_AT = "loomworks.io/deleted-at"
RETENTION_DAYS = "loomworks.io/retention-days"


class Retention(Step):
    """The claim of an archived tenant is marked as deleted, since when and for how long it is kept; no other one is."""

    code = "retention"
    title = "Mark on the claim"
    goals = ALWAYS
    runtime = True  # the mark is set when the runtime goes

    def ensure(self, spec: TenantSpec, world: Boundaries) -> Answer:
        return self._mark(spec, world, {DELETED_AT: None, RETENTION_DAYS: None})

    def remove(self, spec: TenantSpec, world: Boundaries) -> Answer:
        if spec.goal != Goal.ARCHIVED or not spec.deleted_at:
            return Done()
        return self._mark(spec, world, {DELETED_AT: spec.deleted_at, RETENTION_DAYS: str(spec.retention_days)})

    def _mark(self, spec: TenantSpec, world: Boundaries, wanted: dict[str, Any]) -> Answer:
        claim, namespace = names.volume_claim(spec.uuid), names.namespace(spec.uuid)
        found = world.kube.get("PersistentVolumeClaim", claim, namespace)
        if not found:
            return Done("no claim")
        present = found["metadata"].get("annotations", {})
        if any(present.get(name) != value for name, value in wanted.items()):
            world.kube.merge("PersistentVolumeClaim", claim, namespace, {"metadata": {"annotations": wanted}})
        return Done(wanted[DELETED_AT] or "")

"""A fresh volume in place of the old one: once nobody has it any more its claim goes; the next step claims anew."""

from __future__ import annotations

from typing import Any

from ...loomworks_tenant.kube import names
from ...loomworks_tenant.reconciler.spec import TenantSpec
from ...loomworks_tenant.reconciler.step import Answer, Boundaries, Done, Step, Waiting
from ...loomworks_tenant.reconciler.steps.access import ALWAYS
from .stopping import stopping

LOOK = 1.0  # seconds between two looks at pods that stop, and at a claim that goes
CLAIM = "PersistentVolumeClaim"


class FreshVolume(Step):
    """The claim that a reset found is gone. Another one is never touched, however often this runs."""

    code = "fresh_volume"
    title = "Old volume removed"
    goals = ALWAYS

    def inputs(self, spec: TenantSpec) -> Any:
        return [spec.uuid, spec.old_claim]

    def ensure(self, spec: TenantSpec, world: Boundaries) -> Answer:
        claim, namespace = names.volume_claim(spec.uuid), names.namespace(spec.uuid)
        found = world.kube.get(CLAIM, claim, namespace)
        if not found or found["metadata"]["uid"] != spec.old_claim:
            return Done("the old volume is gone")
        if pods := stopping(spec, world):
            return Waiting(f"{pods} pod(s) are stopping", LOOK)
        if not found["metadata"].get("deletionTimestamp"):
            world.kube.delete(CLAIM, claim, namespace, uid=spec.old_claim)
        return Waiting("the old volume is being removed", LOOK)

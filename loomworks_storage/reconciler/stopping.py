"""A tenant's Odoo stops for the sake of its volume, until its workload is applied again."""

from __future__ import annotations

from ...loomworks_tenant.kube import names, tenant_pods
from ...loomworks_tenant.reconciler.spec import TenantSpec
from ...loomworks_tenant.reconciler.step import Boundaries


def stopping(spec: TenantSpec, world: Boundaries) -> int:
    """Have the tenant's Odoo stop, whatever keeps its other steps from it, and return how many pods are left.

    Nothing but the step of the workload starts it again.
    """
    namespace = names.namespace(spec.uuid)
    found = world.kube.get("Deployment", names.ODOO, namespace)
    if found and found["spec"].get("replicas", 1):
        world.kube.merge("Deployment", names.ODOO, namespace, {"spec": {"replicas": 0}})
    return len(tenant_pods.living(world.kube, spec.uuid))

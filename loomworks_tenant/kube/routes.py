"""Where a subdomain leads: the tenant itself, or one of the edge's honest pages."""

from __future__ import annotations

from ..reconciler.spec import Goal, TenantSpec
from . import names

CLUSTER_DOMAIN = "svc.cluster.local"


def tenant_target(spec: TenantSpec) -> str:
    """The tenant's own Service."""
    return f"{names.ODOO}.{names.namespace(spec.uuid)}.{CLUSTER_DOMAIN}"


def page_target(spec: TenantSpec) -> str:
    """The page shown while the tenant does not serve."""
    page = "edge-suspended" if spec.goal == Goal.SUSPENDED else "edge-provisioning"
    return f"{page}.{spec.cluster.control_namespace}.{CLUSTER_DOMAIN}"

"""What every object of a tenant is called, and the labels it carries."""

from __future__ import annotations

FIELD_MANAGER = "loomworks"
MANAGED_BY = "app.kubernetes.io/managed-by"
TENANT_LABEL = "loomworks.io/tenant"
COMPONENT_LABEL = "app.kubernetes.io/component"
DATABASE_LABEL = "loomworks.io/database"  # of pods and of the Service's selector: whose traffic goes where

ODOO = "odoo"  # the Deployment, the Service and the container
CONFIG_SECRET = "odoo-config"
DATABASE_SECRET = "odoo-database"
SERVICE_KEY_SECRET = "odoo-service-key"
TENANT_ROLE = "loomworks-tenant-manager"
HTTP_PORT = 8069
WEBSOCKET_PORT = 8072


def namespace(uuid: str) -> str:
    """Name the namespace of the tenant ``uuid``."""
    return f"lw-{uuid}"


def volume_claim(uuid: str) -> str:
    """Name the persistent volume claim of the tenant ``uuid``."""
    return f"odoo-instance-{uuid}"


def labels(uuid: str, component: str = ODOO) -> dict[str, str]:
    """Return the labels by which a tenant's objects are found again."""
    return {
        "app.kubernetes.io/name": "loomworks",
        MANAGED_BY: FIELD_MANAGER,
        COMPONENT_LABEL: component,
        TENANT_LABEL: uuid,
    }


def selector(uuid: str) -> str:
    """Return the label selector that matches all objects of the tenant ``uuid``."""
    return f"{MANAGED_BY}={FIELD_MANAGER},{TENANT_LABEL}={uuid}"

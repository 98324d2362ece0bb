"""A tenant's pods, as far as they may still run something or have its volume."""

from __future__ import annotations

from . import diagnosis, names
from .client import KubeClient
from .manifest import Manifest


def living(kube: KubeClient, uuid: str, database: str = "") -> list[Manifest]:
    """Return the tenant's pods that have not come to their end.

    :param database: only those that serve this one of its databases
    """
    selector = names.selector(uuid) + (f",{names.DATABASE_LABEL}={database}" if database else "")
    return list(filter(diagnosis.lives, kube.list("Pod", names.namespace(uuid), label_selector=selector)))


def node(kube: KubeClient, uuid: str) -> str:
    """Return the node where the tenant's Odoo has the volume; empty while none has."""
    return next((one for pod in living(kube, uuid) if (one := pod.get("spec", {}).get("nodeName"))), "")

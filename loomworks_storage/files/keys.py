"""Each tenant's key: a Secret in a namespace of the control plane's, where the loss of a tenant's namespace leaves it.

Nobody else may read there. A key is made once and never changed; erased, the tenant's objects are noise.
"""

from __future__ import annotations

import base64

from ...loomworks_tenant.errors import Conflict
from ...loomworks_tenant.kube import jobs, names
from ...loomworks_tenant.kube.client import KubeClient
from ...loomworks_tenant.kube.manifest import Manifest
from ...loomworks_tenant.reconciler.spec import ClusterSpec
from ..filestore.key import Key
from .errors import KeyMissing

NAMESPACE = "lw-keys"
VALUE = "key"
COMPONENT = "files-key"


def ensure(kube: KubeClient, cluster: ClusterSpec, tenant: str) -> Key:
    """Return the key of the tenant with this uuid; make it if it never had one."""
    _ensure_namespace(kube, cluster)
    if not (found := kube.get("Secret", _name(tenant), NAMESPACE)):
        try:
            found = kube.create(_secret(tenant, Key.generate()))
        except Conflict:  # another worker was first
            found = kube.get("Secret", _name(tenant), NAMESPACE)
    return _key(found, tenant)


def read(kube: KubeClient, tenant: str) -> Key:
    """Return the key of the tenant with this uuid.

    :raises KeyMissing: when there is none
    """
    if not kube.get("Namespace", NAMESPACE):
        return _key(None, tenant)
    return _key(kube.get("Secret", _name(tenant), NAMESPACE), tenant)


def erase(kube: KubeClient, tenant: str) -> bool:
    """Have the key not be there: nobody can read the tenant's objects any more. False when there was none."""
    return bool(kube.get("Namespace", NAMESPACE)) and kube.delete("Secret", _name(tenant), NAMESPACE)


def namespace() -> Manifest:
    """The namespace of all keys."""
    return jobs.namespace(NAMESPACE, COMPONENT)


def role_binding(cluster: ClusterSpec) -> Manifest:
    """What lets the control plane work in that namespace."""
    return jobs.role_binding(NAMESPACE, COMPONENT, cluster)


def _ensure_namespace(kube: KubeClient, cluster: ClusterSpec) -> None:
    if not kube.get("Namespace", NAMESPACE):
        kube.apply(namespace())
    if not kube.get("RoleBinding", names.TENANT_ROLE, NAMESPACE):
        kube.apply(role_binding(cluster))


def _secret(tenant: str, key: Key) -> Manifest:
    labels = {**jobs.labels(COMPONENT), names.TENANT_LABEL: tenant}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": _name(tenant), "namespace": NAMESPACE, "labels": labels},
        "type": "Opaque",
        "immutable": True,
        "stringData": {VALUE: key.text},
    }


def _name(tenant: str) -> str:
    return f"files-{tenant}"


def _key(found: Manifest | None, tenant: str) -> Key:
    value = (found or {}).get("data", {}).get(VALUE)
    if not value:
        raise KeyMissing(
            f"the key of the files of {tenant} is not in the namespace {NAMESPACE}",
            "Put the Secret back from the cluster's backup. Without it the backups cannot be read by anybody.",
        )
    return Key.parse(base64.b64decode(value).decode())

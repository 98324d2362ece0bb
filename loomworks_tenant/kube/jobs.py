"""What all Jobs of the control plane have in common, and the namespaces that are its own."""

from __future__ import annotations

from collections.abc import Sequence

from ..reconciler.spec import ClusterSpec
from . import manifests, names
from .client import KubeClient
from .manifest import Manifest

KEPT = 24 * 3600  # seconds after its end for which a Job that nobody removed stays


def labels(component: str) -> dict[str, str]:
    """Return the labels of what is the control plane's own; without a tenant's, whose pods are counted by it."""
    return {
        "app.kubernetes.io/name": "loomworks",
        names.MANAGED_BY: names.FIELD_MANAGER,
        names.COMPONENT_LABEL: component,
    }


def namespace(name: str, component: str) -> Manifest:
    """A namespace of the control plane's, in which only pods of the "restricted" profile are admitted."""
    levels = {f"{manifests.POD_SECURITY}/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
    metadata = {"name": name, "labels": {**labels(component), **levels}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def role_binding(name: str, component: str, cluster: ClusterSpec) -> Manifest:
    """What lets the control plane, and nobody else, work in the namespace ``name``."""
    subject = {"kind": "ServiceAccount", "name": cluster.service_account, "namespace": cluster.control_namespace}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": names.TENANT_ROLE, "namespace": name, "labels": labels(component)},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": names.TENANT_ROLE},
        "subjects": [subject],
    }


def network_policy(metadata: Manifest, egress: Sequence[Manifest], pods: Manifest | None = None) -> Manifest:
    """Nobody talks to these pods, and they talk to DNS and whom ``egress`` names.

    :param pods: by labels; without, those of the Job that has the policy's name
    """
    dns = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    to_dns = {"to": [dns], "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {
            "podSelector": {"matchLabels": {"job-name": metadata["name"]}} if pods is None else pods,
            "policyTypes": ["Ingress", "Egress"],
            "egress": [to_dns, *egress],
        },
    }


def to_platform(cluster: ClusterSpec, port: int) -> Manifest:
    """The way to the database server, which is in the control plane's namespace."""
    platform = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": cluster.control_namespace}}}
    return {"to": [platform], "ports": [{"protocol": "TCP", "port": port}]}


def to_anywhere(*ports: int) -> Manifest:
    """The way to an object store, which is at an address that no selector names."""
    return {"ports": [{"protocol": "TCP", "port": port} for port in ports]}


def job(metadata: Manifest, pod_labels: dict[str, str], pod: Manifest, deadline: int) -> Manifest:
    """One attempt, so that a failure is seen and not repeated over its own ruins.

    :param deadline: seconds
    """
    common = {"restartPolicy": "Never", "automountServiceAccountToken": False, "enableServiceLinks": False}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": deadline,
            "ttlSecondsAfterFinished": KEPT,
            "template": {"metadata": {"labels": pod_labels}, "spec": {**common, **pod}},
        },
    }


def begun(kube: KubeClient, name: str, namespace: str) -> Manifest | None:
    """Return a Job that is there. One whose :func:`start` was killed is removed: what runs now may want another one."""
    found = kube.get("Job", name, namespace)
    if not found or not is_unfinished(found):
        return found
    kube.delete("Job", name, namespace, uid=found["metadata"]["uid"])
    return None


def is_unfinished(found: Manifest) -> bool:
    """Tell whether a Job's :func:`start` has not come to its end: it has never run."""
    return bool(found.get("spec", {}).get("suspend") and not found["metadata"].get("deletionTimestamp"))


def start(kube: KubeClient, wanted: Manifest, *needed: Manifest) -> None:
    """Have a Job run, and own what it needs: what removes the Job (an operator, its age) removes all of it.

    No pod is made before everything is there. Killed anywhere, it may be called again after :func:`begun`.

    :param needed: manifests of the Job's namespace, what is secret or guards the pod
    :raises Conflict: when there is a Job of that name: somebody else is at it
    """
    made = kube.create({**wanted, "spec": {**wanted["spec"], "suspend": True}})
    meta = made["metadata"]
    owner = {"apiVersion": wanted["apiVersion"], "kind": "Job", "name": meta["name"], "uid": meta["uid"]}
    for one in needed:
        kube.apply({**one, "metadata": {**one["metadata"], "ownerReferences": [owner]}})
    # With its uid: one that has come in its place meanwhile is refused.
    kube.merge("Job", meta["name"], meta["namespace"], {"metadata": {"uid": meta["uid"]}, "spec": {"suspend": False}})

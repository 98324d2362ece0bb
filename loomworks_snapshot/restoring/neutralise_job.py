"""The Job that runs a copy's ``neutralize.sql`` files, in the copy's namespace, before any Odoo of it starts."""

from __future__ import annotations

from typing import Any

from ...loomworks_tenant.kube import manifests, names
from ...loomworks_tenant.reconciler.spec import TenantSpec

Manifest = dict[str, Any]

COMMAND = ["loomworks-neutralise"]
DEADLINE = 1800  # seconds
# Without the tenant's label: what counts the tenant's pods does not mean this one.
LABELS = {
    "app.kubernetes.io/name": "loomworks",
    names.MANAGED_BY: names.FIELD_MANAGER,
    names.COMPONENT_LABEL: "neutralise",
}


def name(spec: TenantSpec) -> str:
    """Name the Job and its policy: one for each database."""
    return f"neutralise-{spec.database[len(spec.role) + 1 :].replace('_', '-') or 'first'}"


def network_policy(spec: TenantSpec) -> Manifest:
    """It talks to the database server and to DNS; that is all it needs, and all it can do."""
    platform = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": spec.cluster.control_namespace}}}
    dns = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    egress = [
        {"to": [dns], "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]},
        {"to": [platform], "ports": [{"protocol": "TCP", "port": spec.server.port}]},
    ]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(spec),
        "spec": {
            "podSelector": {"matchLabels": {"job-name": name(spec)}},
            "policyTypes": ["Ingress", "Egress"],
            "egress": egress,
        },
    }


def job(spec: TenantSpec) -> Manifest:
    """One attempt, so that a failure is seen."""
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": manifests.pod_security(),
        "containers": [_container(spec)],
        "volumes": [
            {"name": "config", "secret": {"secretName": manifests.config_secret(spec), "defaultMode": 0o440}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(spec),
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": DEADLINE,
            "ttlSecondsAfterFinished": 24 * 3600,
            "template": {"metadata": {"labels": LABELS}, "spec": pod},
        },
    }


def _metadata(spec: TenantSpec) -> Manifest:
    labels = {**LABELS, names.TENANT_LABEL: spec.uuid}
    return {"name": name(spec), "namespace": names.namespace(spec.uuid), "labels": labels}


def _container(spec: TenantSpec) -> Manifest:
    return {
        "name": "neutralise",
        "image": spec.cluster.image,
        "imagePullPolicy": spec.cluster.image_pull_policy,
        "command": COMMAND,
        "securityContext": manifests.container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "config", "mountPath": manifests.CONFIG_PATH, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }

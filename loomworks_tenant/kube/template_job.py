"""The Job that fills a template database, in a namespace of its own that is kept like a tenant's."""

from __future__ import annotations

from typing import Any

from ..postgres.server import BUILDER_ROLE
from ..reconciler.spec import TemplateSpec
from . import manifests, names

Manifest = dict[str, Any]

NAMESPACE = "lw-templates"
BUILDER_SECRET = "template-builder"
PLAN_LABEL = "loomworks.io/plan"
DEADLINE = 3600  # seconds
LABELS = {
    "app.kubernetes.io/name": "loomworks",
    names.MANAGED_BY: names.FIELD_MANAGER,
    names.COMPONENT_LABEL: "template",
}


def namespace() -> Manifest:
    """The namespace of all template builds."""
    levels = {f"{manifests.POD_SECURITY}/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": {**LABELS, **levels}}}


def role_binding(spec: TemplateSpec) -> Manifest:
    """What lets the control plane work in that namespace."""
    cluster = spec.cluster
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": _metadata(names.TENANT_ROLE),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": names.TENANT_ROLE},
        "subjects": [
            {"kind": "ServiceAccount", "name": cluster.service_account, "namespace": cluster.control_namespace}
        ],
    }


def network_policies(spec: TemplateSpec) -> list[Manifest]:
    """A build talks to the database server and to DNS, and to nothing else."""
    platform = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": spec.cluster.control_namespace}}}
    dns = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    dns_ports = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    egress = [
        {"to": [dns], "ports": dns_ports},
        {"to": [platform], "ports": [{"protocol": "TCP", "port": spec.server.port}]},
    ]
    return [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": _metadata("template"),
            "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "egress": egress},
        }
    ]


def builder_secret(password: str) -> Manifest:
    """The password of the role that logs in to build."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(BUILDER_SECRET),
        "type": "Opaque",
        "stringData": {"password": password},
    }


def job(spec: TemplateSpec) -> Manifest:
    """The build itself: one attempt, so that a failure is seen and not repeated over its own ruins."""
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": manifests.pod_security(),
        "containers": [_container(spec)],
        "volumes": [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {**_metadata(spec.job), "labels": {**LABELS, PLAN_LABEL: spec.plan}},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": DEADLINE,
            "ttlSecondsAfterFinished": 24 * 3600,
            "template": {"metadata": {"labels": LABELS}, "spec": pod},
        },
    }


def _metadata(name: str) -> Manifest:
    return {"name": name, "namespace": NAMESPACE, "labels": LABELS}


def _container(spec: TemplateSpec) -> Manifest:
    password = {"secretKeyRef": {"name": BUILDER_SECRET, "key": "password"}}
    values = {
        "PGHOST": spec.server.host,
        "PGPORT": str(spec.server.port),
        "PGUSER": BUILDER_ROLE,
        "PGSSLMODE": "require",
        "LOOMWORKS_TEMPLATE_DATABASE": spec.building,
        "LOOMWORKS_TEMPLATE_MODULES": ",".join(spec.modules),
        "LOOMWORKS_TEMPLATE_LANGUAGES": ",".join(spec.languages),
        "LOOMWORKS_PRIVATE_CHANNELS": "1",
    }
    return {
        "name": "build",
        "image": spec.cluster.image,
        "imagePullPolicy": spec.cluster.image_pull_policy,
        "command": ["loomworks-build-template"],
        "env": [{"name": key, "value": value} for key, value in values.items()]
        + [{"name": "PGPASSWORD", "valueFrom": password}],
        "securityContext": manifests.container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "2", "memory": "2Gi"}},
        "volumeMounts": [{"name": "data", "mountPath": "/var/lib/odoo"}, {"name": "tmp", "mountPath": "/tmp"}],
    }

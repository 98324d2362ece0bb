"""The Job of a restore and what it needs, in a namespace of its own: it sees pages of other tenants."""

from __future__ import annotations

from typing import Any

from ...loomworks_tenant.kube import manifests, names
from ..repository.location import Location
from . import download
from .spec import NAMESPACE, RestoreSpec

Manifest = dict[str, Any]

DEADLINE = 6 * 3600  # seconds
MEMORY_MIB = 2048  # of its processes
RUN_AS = 10002  # user and group of the loomworks-postgres image
CONTAINER = "restore"
SCRATCH = "/scratch"
CA_PATH = "/etc/pgbackrest-s3"
COMMAND = ["python3", "-m", "addons.loomworks_snapshot.pitr"]
LABELS = {
    "app.kubernetes.io/name": "loomworks",
    names.MANAGED_BY: names.FIELD_MANAGER,
    names.COMPONENT_LABEL: "restore",
}


def namespace() -> Manifest:
    """The namespace of all restores."""
    levels = {f"{manifests.POD_SECURITY}/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": {**LABELS, **levels}}}


def role_binding(spec: RestoreSpec) -> Manifest:
    """What lets the control plane work in that namespace."""
    cluster = spec.tenant.cluster
    subject = {"kind": "ServiceAccount", "name": cluster.service_account, "namespace": cluster.control_namespace}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": names.TENANT_ROLE, "namespace": NAMESPACE, "labels": LABELS},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": names.TENANT_ROLE},
        "subjects": [subject],
    }


def network_policy(spec: RestoreSpec) -> Manifest:
    """A restore talks to the database server, to S3 and to DNS; nobody talks to it."""
    cluster = spec.tenant.cluster
    platform = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": cluster.control_namespace}}}
    dns = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    egress = [
        {"to": [dns], "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]},
        {"to": [platform], "ports": [{"protocol": "TCP", "port": spec.tenant.server.port}]},
        # The object store is at an address that no selector names.
        {"ports": [{"protocol": "TCP", "port": port} for port in sorted({443, 8333, *download.ports(spec)})]},
    ]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(spec),
        "spec": {
            "podSelector": {"matchLabels": {"job-name": spec.name}},
            "policyTypes": ["Ingress", "Egress"],
            "egress": egress,
        },
    }


def secret(spec: RestoreSpec, password: str, ca: str) -> Manifest:
    """What the Job has to keep to itself: the way into the repository, and the new database's password."""
    environment = {
        name: value for name, value in spec.location.to_environment().items() if not name.endswith("CA_FILE")
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(spec),
        "type": "Opaque",
        "stringData": {**environment, "PGPASSWORD": password, "ca.crt": ca, **download.secrets(spec)},
    }


def job(spec: RestoreSpec) -> Manifest:
    """One attempt; whether another is worth it is in what it says at its end."""
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 10,
        "securityContext": {**manifests.pod_security(), "runAsUser": RUN_AS, "runAsGroup": RUN_AS, "fsGroup": RUN_AS},
        "containers": [_container(spec)],
        "volumes": [
            {"name": "scratch", **spec.scratch.volume()},
            {"name": "tmp", "emptyDir": {}},
            {"name": "ca", "secret": {"secretName": spec.name, "items": _files("ca.crt", *download.files(spec))}},
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
            "template": {"metadata": {"labels": {**LABELS, names.TENANT_LABEL: spec.tenant.uuid}}, "spec": pod},
        },
    }


def _metadata(spec: RestoreSpec) -> Manifest:
    return {"name": spec.name, "namespace": NAMESPACE, "labels": {**LABELS, names.TENANT_LABEL: spec.tenant.uuid}}


def _container(spec: RestoreSpec) -> Manifest:
    server = spec.tenant.server
    values = {
        "LOOMWORKS_RESTORE": spec.request.to_json(),
        "LOOMWORKS_SCRATCH": SCRATCH,
        "LOOMWORKS_SCRATCH_MIB": str(spec.scratch.mib),
        "LOOMWORKS_STANZA": spec.location.stanza,
        "PGHOST": server.host,
        "PGPORT": str(server.port),
        "PGUSER": spec.role,
        "PGDATABASE": spec.database,
        "PGSSLMODE": "require",
        **_authority(spec.location),
        **download.environment(spec, CA_PATH),
    }
    return {
        "name": CONTAINER,
        "image": spec.image,
        "imagePullPolicy": spec.tenant.cluster.image_pull_policy,
        "command": COMMAND,
        "env": [{"name": key, "value": value} for key, value in values.items()],
        "envFrom": [{"secretRef": {"name": spec.name}}],
        "securityContext": manifests.container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {
            "requests": {"cpu": "100m", "memory": "256Mi"},
            "limits": {"cpu": "2", "memory": f"{MEMORY_MIB + spec.scratch.memory}Mi"},
        },
        "volumeMounts": [
            {"name": "scratch", "mountPath": SCRATCH},
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "ca", "mountPath": CA_PATH, "readOnly": True},
        ],
    }


def _files(*names: str) -> list[Manifest]:
    return [{"key": name, "path": name} for name in names]


def _authority(location: Location) -> dict[str, str]:
    return {"PGBACKREST_REPO1_STORAGE_CA_FILE": f"{CA_PATH}/ca.crt"} if location.ca_file else {}

"""The Job of a restore and what it needs, in a namespace of its own: it sees pages of other tenants."""

from __future__ import annotations

from ...loomworks_tenant.kube import jobs, manifests, names
from ...loomworks_tenant.kube.manifest import Manifest
from ..repository.location import Location
from . import download
from .spec import NAMESPACE, RestoreSpec

DEADLINE = 6 * 3600  # seconds
MEMORY_MIB = 2048  # of its processes
RUN_AS = 10002  # user and group of the loomworks-postgres image
CONTAINER = "restore"
SCRATCH = "/scratch"
CA_PATH = "/etc/pgbackrest-s3"
COMMAND = ["python3", "-m", "addons.loomworks_snapshot.pitr"]
COMPONENT = "restore"
LABELS = jobs.labels(COMPONENT)


def namespace() -> Manifest:
    """The namespace of all restores."""
    return jobs.namespace(NAMESPACE, COMPONENT)


def role_binding(spec: RestoreSpec) -> Manifest:
    """What lets the control plane work in that namespace."""
    return jobs.role_binding(NAMESPACE, COMPONENT, spec.tenant.cluster)


def network_policy(spec: RestoreSpec) -> Manifest:
    """A restore talks to the database server, to S3 and to DNS; nobody talks to it."""
    tenant = spec.tenant
    stores = sorted({443, 8333, *download.ports(spec)})
    egress = [jobs.to_platform(tenant.cluster, tenant.server.port), jobs.to_anywhere(*stores)]
    return jobs.network_policy(_metadata(spec), egress)


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
        "terminationGracePeriodSeconds": 10,
        "securityContext": {**manifests.pod_security(), "runAsUser": RUN_AS, "runAsGroup": RUN_AS, "fsGroup": RUN_AS},
        "containers": [_container(spec)],
        "volumes": [
            {"name": "scratch", **spec.scratch.volume()},
            {"name": "tmp", "emptyDir": {}},
            {"name": "ca", "secret": {"secretName": spec.name, "items": _files("ca.crt", *download.files(spec))}},
        ],
    }
    return jobs.job(_metadata(spec), {**LABELS, names.TENANT_LABEL: spec.tenant.uuid}, pod, DEADLINE)


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

"""The two Jobs of an import and what they need, in the new tenant's namespace.

The first has the volume, the tenant's own role and an account that reads the sources; the second has the volume and the
role, and runs in the tenant's image. Neither has an account of the API server, nor a way to anything else.
"""

from __future__ import annotations

from ...loomworks_tenant.kube import jobs, manifests, names
from ...loomworks_tenant.kube.manifest import Manifest
from ..files.job import CA_FILE
from ..filestore.location import Location
from .spec import ImportWork, environment

DEADLINE = 12 * 3600  # seconds
MODULES_DEADLINE = 3600
CA_PATH = "/etc/sources-s3"
CONTAINER = "import"
BRING = ["python3", "-m", "addons.loomworks_storage.importing"]
INSTALL = ["loomworks-import-modules"]
LABELS = jobs.labels("import")


def network_policy(work: ImportWork) -> Manifest:
    """The first Job talks to the database server, to the bucket of sources and to DNS; nobody talks to it."""
    cluster, port = work.tenant.cluster, work.tenant.server.port
    egress = [jobs.to_platform(cluster, port), jobs.to_anywhere(work.sources.place.port)]
    return jobs.network_policy(_metadata(work, work.name), egress)


def modules_network_policy(work: ImportWork) -> Manifest:
    """The second Job talks to the database server and to DNS; nobody talks to it."""
    egress = [jobs.to_platform(work.tenant.cluster, work.tenant.server.port)]
    return jobs.network_policy(_metadata(work, work.modules_name), egress)


def secret(work: ImportWork, location: Location, ca: str) -> Manifest:
    """What the first Job has to keep to itself: the way into the bucket of sources."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(work, work.name),
        "type": "Opaque",
        "stringData": {**environment(location), "ca.crt": ca},
    }


def job(work: ImportWork) -> Manifest:
    """Bring the source in: one attempt; whether another is worth it is in what it says at its end."""
    container = _container(work, work.image, BRING, {"LOOMWORKS_IMPORT": work.request(), "HOME": "/tmp"})
    if work.sources.place.ca_file:
        container["env"].append({"name": CA_FILE, "value": f"{CA_PATH}/ca.crt"})
    container["envFrom"] = [{"secretRef": {"name": work.name}}]
    container["volumeMounts"].append({"name": "ca", "mountPath": CA_PATH, "readOnly": True})
    ca = {"name": "ca", "secret": {"secretName": work.name, "items": [{"key": "ca.crt", "path": "ca.crt"}]}}
    return _job(work, work.name, container, [ca], DEADLINE)


def modules_job(work: ImportWork) -> Manifest:
    """Install what every tenant of the plan has: one attempt."""
    values = {
        "LOOMWORKS_IMPORT_MODULES": ",".join(work.modules),
        "LOOMWORKS_IMPORT_DATA": _data_path(work),
        "LOOMWORKS_PRIVATE_CHANNELS": "1",
    }
    container = _container(work, work.tenant.cluster.image, INSTALL, values)
    return _job(work, work.modules_name, container, [], MODULES_DEADLINE)


def _job(work: ImportWork, name: str, container: Manifest, volumes: list[Manifest], deadline: int) -> Manifest:
    claim = work.tenant.volume.claim if work.tenant.volume else ""
    pod = {
        "terminationGracePeriodSeconds": 10,
        "activeDeadlineSeconds": deadline,  # here, too: kept by the node, whoever can reach it
        "securityContext": manifests.pod_security(),  # files on the volume belong to the tenant's Odoo
        "containers": [container],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": claim}},
            {"name": "tmp", "emptyDir": {}},
            *volumes,
        ],
    }
    return jobs.job(_metadata(work, name), LABELS, pod, deadline)


def _container(work: ImportWork, image: str, command: list[str], values: dict[str, str]) -> Manifest:
    tenant = work.tenant
    values = {
        "PGHOST": tenant.server.host,
        "PGPORT": str(tenant.server.port),
        "PGUSER": tenant.role,
        "PGDATABASE": tenant.database,
        "PGSSLMODE": "require",
        **values,
    }
    password = {"secretKeyRef": {"name": names.DATABASE_SECRET, "key": "password"}}
    resources = tenant.resources
    return {
        "name": CONTAINER,
        "image": image,
        "imagePullPolicy": tenant.cluster.image_pull_policy,
        "command": command,
        "workingDir": "/tmp",
        "env": [
            *({"name": key, "value": value} for key, value in values.items()),
            {"name": "PGPASSWORD", "valueFrom": password},
        ],
        "securityContext": manifests.container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {
            "requests": {"cpu": resources.cpu_request, "memory": resources.memory_request},
            "limits": {"cpu": resources.cpu_limit, "memory": resources.memory_limit},
        },
        "volumeMounts": [
            {"name": "data", "mountPath": _data_path(work)},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }


def _data_path(work: ImportWork) -> str:
    return work.tenant.volume.mount_path if work.tenant.volume else manifests.DEFAULT_DATA_PATH


def _metadata(work: ImportWork, name: str) -> Manifest:
    uuid = work.tenant.uuid
    return {"name": name, "namespace": names.namespace(uuid), "labels": {**LABELS, names.TENANT_LABEL: uuid}}

"""The Job that works on a tenant's files and what it needs, in the tenant's namespace: the volume is there.

The tenant's own pods have no account of the API server, so that they cannot read its Secret.
"""

from __future__ import annotations

from ...loomworks_tenant.kube import jobs, manifests, names
from ...loomworks_tenant.kube.manifest import Manifest
from ..filestore.key import Key
from ..filestore.location import PREFIX, Location
from .spec import FilesWork

DEADLINE = 6 * 3600  # seconds; a collector of objects counts on it
CA_PATH = "/etc/filestore-s3"
CONTAINER = "files"
COMMAND = ["loomworks-filestore"]
CA_FILE = f"{PREFIX}CA_FILE"
LABELS = jobs.labels("files")


def network_policy(work: FilesWork) -> Manifest:
    """The Job talks to S3 and to DNS; nobody talks to it."""
    return jobs.network_policy(_metadata(work), [jobs.to_anywhere(work.place.port)])


def secret(work: FilesWork, location: Location, key: Key, ca: str) -> Manifest:
    """What the Job has to keep to itself: the way into the bucket, and the key of the files."""
    environment = {name: value for name, value in location.to_environment().items() if name != CA_FILE}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(work),
        "type": "Opaque",
        "stringData": {**environment, "LOOMWORKS_FILESTORE_KEY": key.text, "ca.crt": ca},
    }


def job(work: FilesWork, node: str) -> Manifest:
    """One attempt; whether another is worth it is in what it says at its end.

    :param node: where the volume is in use now; empty: wherever it can be
    """
    claim = work.tenant.volume.claim if work.tenant.volume else ""
    pod = {
        "terminationGracePeriodSeconds": 10,
        "activeDeadlineSeconds": DEADLINE,  # here, too: kept by the node, whoever can reach it
        "securityContext": manifests.pod_security(),
        **({"affinity": on_node(node)} if node else {}),
        "containers": [_container(work)],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": claim}},
            {"name": "tmp", "emptyDir": {}},
            {"name": "ca", "secret": {"secretName": work.name, "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        ],
    }
    return jobs.job(_metadata(work), LABELS, pod, DEADLINE)


def on_node(node: str) -> Manifest:
    """Return the affinity of a pod to one node."""
    fields = [{"key": "metadata.name", "operator": "In", "values": [node]}]
    return {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchFields": fields}]}
        }
    }


def _metadata(work: FilesWork) -> Manifest:
    uuid = work.tenant.uuid
    labels = {**LABELS, names.TENANT_LABEL: uuid}
    return {"name": work.name, "namespace": names.namespace(uuid), "labels": labels}


def _container(work: FilesWork) -> Manifest:
    tenant, resources = work.tenant, work.tenant.resources
    values = {"LOOMWORKS_FILESTORE": work.request.to_json()}
    if work.place.ca_file:
        values[CA_FILE] = f"{CA_PATH}/ca.crt"
    path = tenant.volume.mount_path if tenant.volume else manifests.DEFAULT_DATA_PATH
    return {
        "name": CONTAINER,
        "image": tenant.cluster.image,
        "imagePullPolicy": tenant.cluster.image_pull_policy,
        "command": COMMAND,
        "env": [{"name": key, "value": value} for key, value in values.items()],
        "envFrom": [{"secretRef": {"name": work.name}}],
        "securityContext": manifests.container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {
            "requests": {"cpu": resources.cpu_request, "memory": resources.memory_request},
            "limits": {"cpu": resources.cpu_limit, "memory": resources.memory_limit},
        },
        "volumeMounts": [
            {"name": "data", "mountPath": path, "readOnly": not work.writes},
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "ca", "mountPath": CA_PATH, "readOnly": True},
        ],
    }

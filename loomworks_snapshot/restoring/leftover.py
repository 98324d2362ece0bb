"""The files of a database that is gone, or was never put in place: its folder on the tenant's volume, by a Job there.

Files are links (loomworks-adopt-files), so that no other database loses one; what only this folder has is freed.
"""

from __future__ import annotations

from ...loomworks_storage.files.flow import has_one_pod
from ...loomworks_storage.files.job import on_node
from ...loomworks_storage.reconciler.files import JOB as FILES_JOB
from ...loomworks_tenant.errors import PermanentError, RetryableError
from ...loomworks_tenant.kube import diagnosis, job_output, jobs, manifests, names, tenant_pods
from ...loomworks_tenant.kube.manifest import Manifest
from ...loomworks_tenant.reconciler.spec import TenantSpec, is_database_of
from ...loomworks_tenant.reconciler.step import Boundaries

LOOK = 1.0  # seconds between two looks at the Job
DEADLINE = 3600  # seconds
LABELS = jobs.labels("leftover")
# Moved out of the way first: a pod that starts meanwhile links from whole folders, and from none that is going.
COMMAND = 'cd "$1" && rm -rf -- ".gone-$2" && if [ -d "$2" ]; then mv -T -- "$2" ".gone-$2"; fi && rm -rf -- ".gone-$2"'


class FolderInUse(PermanentError):
    """The folder is that of a database which the tenant has, or of none of its own: it is not touched."""

    code = "folder_in_use"


class LeftoverStays(RetryableError):
    """The Job has failed, or may not have the volume now, or something still fills the folder."""

    code = "leftover_stays"


def remove(tenant: TenantSpec, database: str, world: Boundaries) -> bool:
    """Have the folder of ``database`` removed from the tenant's volume; tell whether that is done.

    Killed anywhere, the next call goes on. Where the volume is gone, so is the folder.

    :raises FolderInUse: when the tenant works in it, or it is no database of the tenant's
    :raises LeftoverStays: when it could not be removed now
    """
    _refuse(tenant, database)
    namespace, name = names.namespace(tenant.uuid), job_name(database)
    if not tenant.volume or not world.kube.get("PersistentVolumeClaim", tenant.volume.claim, namespace):
        return True
    found = world.kube.get("Job", name, namespace)
    if not found:
        _stop_filling(tenant, database, world)
        world.kube.apply(job(tenant, database, _node(tenant, world)))
        return False
    seen = job_output.look(world.kube, found)
    if not seen.ended:
        return False
    world.kube.delete("Job", name, namespace)
    if seen.failed:
        raise LeftoverStays(f"the files of the database {database} could not be removed: {seen.state.message}")
    return True


def withdraw(tenant: TenantSpec, database: str, world: Boundaries) -> bool:
    """Have nothing remove the folder of ``database`` any more, which is to be filled; tell whether that is so."""
    namespace, name = names.namespace(tenant.uuid), job_name(database)
    world.kube.delete("Job", name, namespace)
    return not any(world.kube.list("Pod", namespace, label_selector=f"job-name={name}"))


def job_name(database: str) -> str:
    """Return the name of the Job: one for each database."""
    return f"leftover-{database.replace('_', '-')}"


def job(tenant: TenantSpec, database: str, node: str) -> Manifest:
    """The Job that removes the folder of ``database``.

    :param node: where the volume is in use now; empty: wherever it can be
    """
    path = tenant.volume.mount_path
    small = {"cpu": "50m", "memory": "64Mi"}
    container = {
        "name": "leftover",
        "image": tenant.cluster.image,
        "imagePullPolicy": tenant.cluster.image_pull_policy,
        "command": ["sh", "-c", COMMAND, "sh", f"{path}/filestore", database],
        "securityContext": manifests.container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"requests": small, "limits": small},
        "volumeMounts": [{"name": "data", "mountPath": path}],
    }
    pod = {
        "securityContext": manifests.pod_security(),
        **({"affinity": on_node(node)} if node else {}),
        "containers": [container],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": tenant.volume.claim}}],
    }
    labels = {**LABELS, names.TENANT_LABEL: tenant.uuid}
    metadata = {"name": job_name(database), "namespace": names.namespace(tenant.uuid), "labels": labels}
    return jobs.job(metadata, LABELS, pod, DEADLINE)


def _refuse(tenant: TenantSpec, database: str) -> None:
    if not is_database_of(tenant.uuid, database) or database == tenant.database:
        raise FolderInUse(f"the folder {database} is not that of a database that the tenant {tenant.name} has left")


def _stop_filling(tenant: TenantSpec, database: str, world: Boundaries) -> None:
    """Make sure that nothing puts files there any more.

    A Job that has brought files goes as well: whoever asks for the same ones again must not take its word for them.

    :raises LeftoverStays: while something still does
    """
    namespace = names.namespace(tenant.uuid)
    if tenant_pods.living(world.kube, tenant.uuid, database):
        raise LeftoverStays(f"pods of the database {database} have not ended yet")
    for found in list(world.kube.list("Job", namespace)):
        name, state = found["metadata"]["name"], diagnosis.job(found, [])
        if not name.startswith(FILES_JOB):
            continue
        if not state.ready and not state.fatal and not jobs.is_unfinished(found):
            raise LeftoverStays("files are still being brought to the tenant's volume")
        for kind in ("Secret", "Job", "NetworkPolicy"):
            world.kube.delete(kind, name, namespace)


def _node(tenant: TenantSpec, world: Boundaries) -> str:
    """Return where the tenant's Odoo has the volume; empty while none has.

    :raises LeftoverStays: when no other pod may have it meanwhile
    """
    node = tenant_pods.node(world.kube, tenant.uuid)
    if (node or tenant.running) and has_one_pod(tenant):
        raise LeftoverStays("the plan lets one pod have the volume, and the tenant's Odoo is that")
    return node

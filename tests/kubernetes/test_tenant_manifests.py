"""What the control plane itself writes: valid, and accepted by the server from the control plane's own account."""

from __future__ import annotations

from typing import Any

import overlays
import pytest
from api_server import Kubectl
from harness import engines
from test_manifests import conformity

engines.register()

from addons.loomworks_storage.files import job as files_job  # noqa: E402
from addons.loomworks_storage.files import keys  # noqa: E402
from addons.loomworks_storage.files.place import Place  # noqa: E402
from addons.loomworks_storage.files.spec import FilesWork  # noqa: E402
from addons.loomworks_storage.filestore.key import Key  # noqa: E402
from addons.loomworks_storage.filestore.location import Location  # noqa: E402
from addons.loomworks_storage.filestore.request import Command, Request  # noqa: E402
from addons.loomworks_storage.imports import job as import_job  # noqa: E402
from addons.loomworks_storage.imports.spec import ImportWork, Sources  # noqa: E402
from addons.loomworks_tenant.kube import manifests as tenant  # noqa: E402  (only importable once registered)
from addons.loomworks_tenant.kube import routes, template_job  # noqa: E402
from unit import factories  # noqa: E402


def tenant_objects(uuid: str) -> list[dict[str, Any]]:
    """Everything of one tenant."""
    claim = factories.VolumeSpec(f"odoo-instance-{uuid}", "5Gi", "", "ReadWriteOnce", "/var/lib/odoo")
    spec = factories.tenant_spec(uuid=uuid, subdomain="dry-run", volume=claim)
    return [
        tenant.namespace(spec),
        tenant.role_binding(spec),
        tenant.quota(spec),
        tenant.limit_range(spec),
        *tenant.network_policies(spec),
        tenant.secret(spec, "odoo-config", {"odoo.conf": "[options]"}),
        tenant.volume_claim(spec),
        tenant.service(spec),
        tenant.deployment(spec, "digest"),
        tenant.route(spec, routes.tenant_target(spec)),
        tenant.route(spec, routes.page_target(spec)),
    ]


def template_objects() -> list[dict[str, Any]]:
    """Everything of a template's build."""
    spec = factories.template_spec()
    return [
        template_job.namespace(),
        template_job.role_binding(spec),
        *template_job.network_policies(spec),
        template_job.builder_secret("password"),
        template_job.job(spec),
    ]


def files_objects() -> list[dict[str, Any]]:
    """Everything of a Job on a tenant's files, and of its key."""
    spec, uuid = factories.tenant_spec(), factories.UUID
    place = Place("https://s3.example", "files", "region", "env:KEY", "env:SECRET", "/etc/filestore-s3/ca.crt")
    work = FilesWork("files-backup-7", spec, place, Request(Command.BACKUP, uuid, "first", folder="/files"))
    location = Location(uuid, "https://s3.example", "files", "region", "key", "secret")
    return [
        keys.namespace(),
        keys.role_binding(spec.cluster),
        files_job.network_policy(work),
        files_job.secret(work, location, Key.generate(), "authority"),
        files_job.job(work, "node"),
        files_job.job(work, ""),
    ]


def import_objects() -> list[dict[str, Any]]:
    """Everything of the two Jobs of an import."""
    claim = factories.VolumeSpec(f"odoo-instance-{factories.UUID}", "5Gi", "", "ReadWriteOnce", "/var/lib/odoo")
    place = Place("https://s3.example", "sources", "region", "env:KEY", "env:SECRET", "/etc/imports-s3/ca.crt")
    work = ImportWork(7, factories.tenant_spec(volume=claim), Sources(place, "old"), "loomworks-postgres", "acme.zip")
    location = Location(factories.UUID, "https://s3.example", "sources", "region", "key", "secret")
    return [
        import_job.network_policy(work),
        import_job.modules_network_policy(work),
        import_job.secret(work, location, "authority"),
        import_job.job(work),
        import_job.modules_job(work),
    ]


@pytest.mark.parametrize(
    "objects",
    [tenant_objects(factories.UUID), template_objects(), files_objects(), import_objects()],
    ids=["tenant", "template", "files", "import"],
)
def test_kubeconform_finds_every_written_object_valid(objects: list[dict[str, Any]]) -> None:
    done = conformity(overlays.dumped(objects))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.cluster
def test_the_server_takes_a_tenant_from_the_control_plane(control_plane: Kubectl, tenant_namespace: str) -> None:
    for item in tenant_objects(tenant_namespace.removeprefix("lw-")):
        assert "serverside-applied" in control_plane.apply(item, dry_run=True)


@pytest.mark.cluster
def test_the_server_admits_the_pods_of_a_tenant(kubectl: Kubectl, tenant_namespace: str) -> None:
    deployment = tenant.deployment(factories.tenant_spec(uuid=tenant_namespace.removeprefix("lw-")), "digest")
    metadata = {"name": "dry-run", "namespace": tenant_namespace}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": deployment["spec"]["template"]["spec"]}
    assert "serverside-applied" in kubectl.apply(pod, dry_run=True)

"""Work on a tenant's files as plain values: the only thing the flow knows of a row."""

from __future__ import annotations

from dataclasses import dataclass

from ...loomworks_tenant.kube import manifests
from ...loomworks_tenant.reconciler.spec import TenantSpec
from ..filestore.request import Command, Request
from .place import Place


@dataclass(frozen=True)
class FilesSpec:
    """Which files a tenant's database is to have: those of a manifest of its own or another tenant's."""

    place: Place
    source: str  # uuid
    manifest: str
    restored: bool = False  # they are there already


@dataclass(frozen=True)
class FilesWork:
    """One Job on the volume of ``tenant``."""

    name: str  # of the Job, its Secret and its network policy
    tenant: TenantSpec
    place: Place | None  # None: the cluster does not say it any more
    request: Request

    @property
    def writes(self) -> bool:
        """Whether the volume is written to."""
        return self.request.command == Command.RESTORE


def folder(tenant: TenantSpec, database: str) -> str:
    """Return where the files of one of the tenant's databases are, as its pods see it."""
    root = tenant.volume.mount_path if tenant.volume else manifests.DEFAULT_DATA_PATH
    return f"{root}/filestore/{database}"

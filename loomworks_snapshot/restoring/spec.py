"""One restore as plain values: the only thing the flow knows of a row."""

from __future__ import annotations

from dataclasses import dataclass

from ...loomworks_storage.filestore.key import Key
from ...loomworks_storage.filestore.location import Location as FilesLocation
from ...loomworks_storage.orphans.recognise import RESTORES
from ...loomworks_tenant.reconciler.spec import TenantSpec
from ..pitr.request import Request
from ..repository.location import Location
from .scratch_space import ScratchSpace

NAMESPACE = RESTORES


def job_name(number: int) -> str:
    """Name the Job of the restore of this number, its Secret and its network policy."""
    return f"restore-{number}"


@dataclass(frozen=True)
class FilesAccess:
    """The way to a tenant's files in S3, for a file to download; its secrets are never part of its text."""

    location: FilesLocation
    key: Key


@dataclass(frozen=True)
class RestoreSpec:
    """A restore of one tenant's database into a new one: beside it, or that of a copy."""

    number: int
    tenant: TenantSpec  # whose the new database will be, with the one that it has now
    request: Request
    location: Location
    image: str  # loomworks-postgres
    scratch: ScratchSpace
    copy: bool = False  # the tenant is a new one, which waits for this database
    files: FilesAccess | None = None  # of a file to download, while there is something to start

    @property
    def in_use(self) -> tuple[str, ...]:
        """The databases that nothing may be done to: those of a tenant that has lived before this restore."""
        return () if self.copy else (self.tenant.database, self.tenant.previous_database)

    @property
    def database(self) -> str:
        """The new database."""
        return f"{self.tenant.role}_r{self.number}"

    @property
    def name(self) -> str:
        """The Job, its Secret and its network policy."""
        return job_name(self.number)

    @property
    def role(self) -> str:
        """The role that fills the new database; it acts as the tenant's and is dropped afterwards."""
        return f"loomworks_restore_{self.number}"

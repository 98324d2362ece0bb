"""An import as plain values: the only thing the flow knows of a row."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ...loomworks_tenant.reconciler.spec import TenantSpec
from ..files.place import Place
from ..files.spec import folder
from ..filestore.location import Location
from ..importing.place import NO_TENANT, SourceLocation

# No restore has this number: what knows a tenant's databases by their names knows this one, too.
SUFFIX = "_r0"


@dataclass(frozen=True)
class Sources:
    """Where sources are, the account that reads them by reference."""

    place: Place
    prefix: str = ""

    def location(self) -> SourceLocation:
        """Return the place, secrets included; never kept in a row or a log.

        :raises SecretUnavailable: when a secret cannot be read
        """
        return SourceLocation.of(self.place.location(NO_TENANT), self.prefix)


@dataclass(frozen=True)
class ImportWork:
    """One source and the new tenant that it becomes."""

    number: int
    tenant: TenantSpec  # whose database has a name of its own that no template ever takes
    sources: Sources
    image: str  # loomworks-postgres: it has the program, psql and pg_restore
    source: str
    dump: str = ""
    files: int = 0  # that are expected; 0: nobody says
    bytes: int = 0
    modules: tuple[str, ...] = ()  # that every tenant of the plan has

    @property
    def name(self) -> str:
        """The first Job, its Secret and its network policy."""
        return f"import-{self.number}"

    @property
    def modules_name(self) -> str:
        """The second Job, and its network policy."""
        return f"{self.name}-modules"

    def request(self) -> str:
        """Return what the first Job is asked to do; nothing secret is in it."""
        return json.dumps(
            {
                "prefix": self.sources.prefix,
                "source": self.source,
                "dump": self.dump,
                "folder": folder(self.tenant, self.tenant.database),
                "files": self.files,
                "bytes": self.bytes,
            }
        )


def environment(location: Location) -> dict[str, str]:
    """Return the variables that lead into the bucket, but for the authority's file."""
    return {name: value for name, value in location.to_environment().items() if not name.endswith("CA_FILE")}

"""The files that customers asked for, of all tenants at once; loomworks_snapshot makes them (``export/place.py``)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, fields

from ..filestore.location import EXPORTS, Location
from ..filestore.store import Store, StoredObject


@dataclass(frozen=True)
class ExportsLocation(Location):
    """All tenants' files for their customers; names in it begin with a tenant's uuid."""

    def object_key(self, name: str) -> str:
        """Return the key in the bucket of an object named below the folder of all."""
        return f"{EXPORTS}{name.lstrip('/')}"


def beside(files: Location) -> Store:
    """Return the store of the exports in the bucket of a tenant's files."""
    return Store(ExportsLocation(**{one.name: getattr(files, one.name) for one in fields(files)}))


def by_tenant(store: Store) -> dict[str, list[StoredObject]]:
    """Return the objects of each folder that has any."""
    found = defaultdict(list)
    for one in store.list(""):
        found[one.name.partition("/")[0]].append(one)
    return found


def remove(store: Store, tenant: str) -> None:
    """Remove every file of one tenant."""
    for one in list(store.list(tenant)):
        store.delete(one.name)


def is_used(store: Store, tenant: str) -> bool:
    """Tell whether there is any file of a tenant."""
    return any(True for _one in store.list(tenant))

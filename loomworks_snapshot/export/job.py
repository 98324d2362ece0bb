"""The part of a restore's Job that makes a file for the customer: from its environment to an :class:`Export`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ...loomworks_storage.filestore.key import Key
from ...loomworks_storage.filestore.location import Location
from ...loomworks_storage.filestore.store import Store
from ...loomworks_storage.filestore.vault import Vault
from ..pitr.programs import Programs
from ..pitr.request import Request
from ..pitr.restore import Deliver, Tell
from ..pitr.scratch_server import ScratchServer
from .export import Export, Stage
from .place import ExportLocation, object_name
from .sealed import Sealed

KEY = "LOOMWORKS_FILESTORE_KEY"
NAMED = 10  # missing files that a report names: it has to fit the pod's last words. All of them are in the file.


def deliver_to(environment: Mapping[str, str], request: Request, programs: Programs, tell: Tell) -> Deliver:
    """Return what makes the file of ``request`` out of a restored database.

    :raises SettingMissing: when the environment does not say where files are
    """
    tenant, _, number = request.download.partition("/")
    location, key = Location.from_environment(environment, tenant), Key.parse(environment.get(KEY, ""))
    target = Sealed(Store(ExportLocation.beside(location)), key, object_name(number))
    export = Export(programs, Vault(Store(location), key), target, tell)

    def deliver(server: ScratchServer, stage: Stage) -> dict[str, Any]:
        return short(asdict(export.deliver(server, request.database, stage)))

    return deliver


def short(report: dict[str, Any]) -> dict[str, Any]:
    """Return a report with its list of missing files cut, and how long that was."""
    missing = report["missing"]
    return {**report, "missing": dict(list(missing.items())[:NAMED]), "missing_count": len(missing)}

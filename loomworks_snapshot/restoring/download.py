"""A file to download: the way to the tenant's files, which its Job needs besides; and the file itself."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from ...loomworks_storage.files.place import Place
from ...loomworks_storage.filestore.key import Key
from ...loomworks_storage.filestore.location import PREFIX
from ...loomworks_storage.filestore.store import Store
from ...loomworks_tenant.reconciler.step import Boundaries
from ..export.job import KEY
from ..export.place import ExportLocation, object_name
from ..export.sealed import Sealed
from .spec import NAMESPACE, RestoreSpec

CA_FILE = f"{PREFIX}CA_FILE"
CA_KEY = "files-ca.crt"
HTTPS_PORT = 443


def secrets(spec: RestoreSpec) -> dict[str, str]:
    """Return what goes into the Job's Secret."""
    if spec.files is None:
        return {}
    location = spec.files.location
    values = {name: value for name, value in location.to_environment().items() if name != CA_FILE}
    authority = {CA_KEY: Path(location.ca_file).read_text()} if location.ca_file else {}
    return {**values, KEY: spec.files.key.text, **authority}


def files(spec: RestoreSpec) -> list[str]:
    """Return which values of the Secret the container sees as files."""
    return [CA_KEY] if spec.files and spec.files.location.ca_file else []


def environment(spec: RestoreSpec, folder: str) -> dict[str, str]:
    """Return what the container is told openly; ``folder`` is where :func:`files` are."""
    return {CA_FILE: f"{folder}/{CA_KEY}"} if files(spec) else {}


def ports(spec: RestoreSpec) -> set[int]:
    """Return the ports at which the Job reaches the tenant's files."""
    return {urlsplit(spec.files.location.url).port or HTTPS_PORT} if spec.files else set()


def still_runs(spec: RestoreSpec, world: Boundaries) -> bool:
    """Tell whether a pod of this restore's Jobs is left, which may yet finish its file."""
    return any(True for _pod in world.kube.list("Pod", NAMESPACE, label_selector=f"job-name={spec.name}"))


def delete(place: Place, tenant: str, number: int) -> None:
    """Have the file of a restore not be there.

    :raises StoreUnreachable, StoreDenied, SecretUnavailable: when the store cannot be asked
    """
    Store(ExportLocation.beside(place.location(tenant))).delete(object_name(number))


def opened(place: Place, key: Key, tenant: str, number: int) -> Sealed:
    """Return the file of a restore.

    :raises SecretUnavailable: when the account is not there
    """
    location = ExportLocation.beside(place.location(tenant))
    return Sealed(Store(location), key, object_name(number))

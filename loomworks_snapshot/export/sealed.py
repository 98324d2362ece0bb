"""A file for a customer in the object store: encrypted under the tenant's key on its way in, never there in clear."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...loomworks_storage.filestore import container
from ...loomworks_storage.filestore.errors import ObjectMissing
from ...loomworks_storage.filestore.key import Key
from ...loomworks_storage.filestore.store import Store
from .errors import FileGone, FileTooLarge
from .place import part_sizes

FETCH = 2 * 1024 * 1024  # bytes: what is fetched at once


class Sealed:
    """The object ``name`` of ``store``, which belongs to an :class:`ExportLocation`."""

    def __init__(self, store: Store, key: Key, name: str) -> None:
        self._store = store
        self._key = key
        self._name = name
        self._context = f"loomworks export {store.location.tenant} {name}".encode()

    def write(self, blocks: Iterable[bytes]) -> None:
        """Store what ``blocks`` make up together; what an earlier attempt has stored is replaced, in one moment.

        When ``blocks`` raises, nothing has changed.
        """
        self._store.put_parts(self._name, _parts(container.encrypt(blocks, self._key, self._context)), replace=True)

    def require(self, size: int) -> None:
        """See that the object is there, and is of ``size`` bytes of content.

        :raises FileGone: otherwise
        """
        try:
            found = self._store.size(self._name)
        except ObjectMissing as error:
            raise FileGone("the file is not in the object store any more") from error
        if found != container.sealed_size(size):
            raise FileGone("the file in the object store is another one than was made")

    def read(self, size: int) -> Iterator[bytes]:
        """Yield the content of ``size`` bytes, at most a few MiB in memory; whoever takes it to the end has it whole.

        :raises ObjectMissing, ObjectDamaged: when the store cannot give it back
        """
        sealed = self._store.read_parts(self._name, container.sealed_size(size), FETCH)
        return container.decrypt(sealed, self._key, self._context)


def _parts(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield ``blocks`` joined to parts that S3 takes."""
    sizes, waiting, wanted = part_sizes(), bytearray(), 0
    for block in blocks:
        wanted = wanted or _next(sizes)
        waiting += block
        if len(waiting) >= wanted:
            yield bytes(waiting)
            waiting.clear()
            wanted = 0
    if waiting:
        yield bytes(waiting)


def _next(sizes: Iterator[int]) -> int:
    for size in sizes:
        return size
    raise FileTooLarge("the file is larger than 430 GiB", "Ask for the database and the files another way.")

"""A repository on local disk that holds of one base backup just what a restore of some databases reads.

pgBackRest restores from it as from any other: the manifest lists only the files that are wanted, and their content lies
at its own places in files that are holes elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..repository import cipher
from ..repository.catalog import Catalog
from ..repository.errors import ObjectMissing, RepositoryDamaged, WrongKey
from ..repository.store import Store
from . import block_map
from .fetch import Piece, fetch, merged
from .manifest import Manifest, StoredFile

PART = 256 << 10  # bytes


@dataclass(frozen=True)
class Plan:
    """What a restore of some databases takes from a backup."""

    manifest: Manifest  # filtered
    files: tuple[StoredFile, ...]
    requests: tuple[Piece, ...]  # without the pieces that only block maps know of

    @property
    def size(self) -> int:
        """Bytes of the restored files."""
        return sum(file.size for file in self.files)

    @property
    def transfer(self) -> int:
        """Bytes to fetch, those apart that only block maps know of."""
        return sum(piece.length for piece in self.requests)


def read_manifest(
    store: Store, catalog: Catalog, label: str, choose: Callable[[Mapping[str, int]], Iterable[int]]
) -> Manifest:
    """Return the manifest of a backup with the files of some databases.

    :param choose: told name and number of every database at the time of the backup, returns the numbers of those
    :raises ObjectMissing: when the backup is not there any more
    """
    folder = f"backup/{store.location.stanza}/{label}"

    def read(name: str) -> Manifest:
        plain = cipher.decrypted(_cut(store.pieces(f"{folder}/{name}")), catalog.manifest_pass)
        return Manifest.read(plain, choose)

    try:
        return read("backup.manifest")
    except ObjectMissing:
        return read("backup.manifest.copy")


def _cut(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield ``pieces`` in smaller ones, which stay in the processor's cache."""
    return (piece[at : at + PART] for piece in pieces for at in range(0, len(piece), PART))


def plan(store: Store, manifest: Manifest) -> Plan:
    """Say what restoring the files of a filtered manifest takes."""
    files = tuple(manifest.files())
    pieces = (_piece(store, manifest, file) for file in files if file.size and file.stored_size)
    return Plan(manifest, files, tuple(merged(pieces)))


def write(
    store: Store, catalog: Catalog, planned: Plan, root: Path, done: Callable[[int], None] = lambda size: None
) -> None:
    """Make the overlay repository in ``root``.

    :param done: told the size of each piece that has arrived
    :raises ObjectMissing: when something of the backup is not there
    """
    stanza = store.location.stanza
    info = f"backup/{stanza}/backup.info"
    write_file(root / info, store.read(info))
    fetch(store, planned.requests, root, done)
    fetch(store, merged(_named_by_maps(store, planned, root)), root, done)
    manifest = cipher.encrypt(planned.manifest.render(), catalog.manifest_pass)
    folder = root / "backup" / stanza / planned.manifest.label
    for name in ("backup.manifest", "backup.manifest.copy"):
        write_file(folder / name, manifest)


def _piece(store: Store, manifest: Manifest, file: StoredFile) -> Piece:
    return Piece(_object(store, manifest, file.label, file.name, file.bundle, file), file.offset, file.stored_size)


def _object(store: Store, manifest: Manifest, label: str, name: str, bundle: int, file: StoredFile) -> str:
    folder = f"backup/{store.location.stanza}/{label}"
    if bundle:
        return f"{folder}/bundle/{bundle}"
    return f"{folder}/{name}{'.pgbi' if file.block_size else manifest.extension}"


def _named_by_maps(store: Store, planned: Plan, root: Path) -> Iterator[Piece]:
    """Yield what the block maps, fetched by now, name in other backups than their own."""
    manifest = planned.manifest
    references = manifest.references
    for file in planned.files:
        if not file.block_size or not file.size:
            continue
        for block in set(_read_map(store, manifest, file, root)):
            label = references[block.reference]
            if label != file.label:
                yield Piece(_object(store, manifest, label, file.name, block.bundle, file), block.offset, block.length)


def _read_map(store: Store, manifest: Manifest, file: StoredFile, root: Path) -> list[block_map.SuperBlock]:
    """A block map is the end of what a file stores."""
    whole = _piece(store, manifest, file)
    with (root / whole.name).open("rb") as stream:
        stream.seek(whole.end - file.map_size)
        encrypted = stream.read(file.map_size)
    try:
        plain = cipher.decrypt(encrypted, manifest.data_pass, raw=True)
    except WrongKey as error:  # the manifest could be read with the key that it names
        raise RepositoryDamaged(f"the block map of {file.name} in the backup {file.label} is damaged") from error
    return block_map.read(plain, file.block_size, file.checksum_size)


def write_file(path: Path, data: bytes) -> None:
    """Write a file that nobody else may read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(data)

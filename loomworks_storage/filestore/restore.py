"""Bring a backup's files into a folder: those that are there stay, the others are linked or fetched.

First every directory is looked into, and what has an object of its own is fetched; then one pack after another. A
file gets its name when its content has been hashed, and not before, so that it may be killed at any line and run
again.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from threading import BoundedSemaphore, Lock

from . import container
from .crew import THREADS, Crew
from .errors import ObjectDamaged, ObjectMissing, Unreadable
from .flushing import Flushing
from .folder import Folder
from .manifest import DIGEST_SIZE, DIRECTORIES, At, Manifest, Place
from .vault import Vault

WHOLE = 0.25  # share of a pack: where as much of it is wanted, it is fetched as a whole
UNPACKING = 2  # packs at a time: more threads than that only wait for each other while the others fetch
WANTED = struct.Struct(f"{DIGEST_SIZE}sQI")  # digest, size in bytes, offset in the pack

Tell = Callable[[str, float], None]


@dataclass
class RestoreReport:
    """What a restore did; sizes in bytes of content."""

    files: int = 0
    bytes: int = 0
    kept: int = 0
    linked: int = 0
    fetched: int = 0
    fetched_bytes: int = 0
    removed: int = 0
    missing: list[str] = field(default_factory=list)  # files that the store does not have any more
    damaged: dict[str, str] = field(default_factory=dict)  # files whose objects are damaged, and how
    seconds: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether every file of the backup is in the folder."""
        return not self.missing and not self.damaged


class Restore:
    """One run that fills ``folder``; files of ``living``, a folder on the same volume, need not be fetched."""

    def __init__(
        self,
        vault: Vault,
        folder: Folder,
        living: Folder | None = None,
        tell: Tell = lambda stage, share: None,
        *,
        threads: int = THREADS,
    ) -> None:
        self._vault = vault
        self._folder = folder
        self._living = living
        self._tell = tell
        self._threads = threads
        self._counting = Lock()
        self._unpacking = BoundedSemaphore(UNPACKING)

    def run(self, manifest: Manifest, *, verify: bool = False, prune: bool = False) -> RestoreReport:
        """Have every file of ``manifest`` in the folder; where one cannot be fetched, the report names it.

        :param verify: hash the files that are there or in the living folder; else their size is enough
        :param prune: remove the files that the manifest does not name
        :raises VolumeFull and what the store raises
        """
        started = time.monotonic()
        self._crew = Crew(self._threads)
        self._report = RestoreReport(len(manifest), manifest.size)
        self._verify, self._prune, self._manifest = verify, prune, manifest
        self._wanted: dict[int, bytearray] = {}  # by the packs' numbers, 32 bytes a file
        with Flushing(self._folder) as self._flushing:
            for done, _ in enumerate(self._crew.each(self._directory, DIRECTORIES), 1):
                self._tell("files", done / len(DIRECTORIES))
            packs = len(self._wanted)
            for done, _ in enumerate(self._crew.each(self._pack, sorted(self._wanted)), 1):
                self._tell("packs", done / packs)
        self._tell("flush", 0.0)
        if self._folder.root.is_dir():
            self._folder.flush()
        self._report.missing.sort()
        self._report.seconds = round(time.monotonic() - started, 3)
        return self._report

    def _directory(self, name: str) -> None:
        wanted = {digest: (size, place) for digest, size, place in self._manifest.directory(name).entries()}
        if wanted:
            self._folder.make(name)
        here = self._folder.files(name)
        there = self._living.files(name) if self._living and wanted else {}
        for digest, (size, place) in wanted.items():
            if self._crew.stopped:
                return
            if not self._is_here(digest, size, here, there):
                self._want(digest, size, place)
        for digest in here.keys() - wanted.keys() if self._prune else ():
            self._folder.remove(digest)
            self._count(removed=1)

    def _is_here(self, digest: str, size: int, here: dict[str, int], there: dict[str, int]) -> bool:
        """Tell whether a file is in the folder, having linked it where it can be."""
        if here.get(digest) == size and self._good(self._folder, digest):
            self._count(kept=1)
        elif self._living and there.get(digest) == size and self._good(self._living, digest) and self._adopt(digest):
            self._count(linked=1)
        else:
            return False
        return True

    def _good(self, folder: Folder, digest: str) -> bool:
        return not (self._verify or digest in self._manifest.damaged) or folder.has_content(digest)

    def _adopt(self, digest: str) -> bool:
        try:
            self._folder.adopt(self._living, digest)
        except FileNotFoundError:
            return False  # Odoo has removed it meanwhile
        return True

    def _want(self, digest: str, size: int, place: Place | None) -> None:
        """Fetch a file out of its own object, or have it fetched with the others of its pack."""
        if place is None:
            self._fetch(digest, size, self._vault.get(digest, size))
            return
        with self._counting:
            wanted = self._wanted.setdefault(place.pack, bytearray())
            wanted += WANTED.pack(bytes.fromhex(digest), size, place.offset)

    def _pack(self, number: int) -> None:
        """Fetch what is wanted of a pack: all of it at once, or where that is little, file by file."""
        pack, wanted = self._manifest.packs[number], list(WANTED.iter_unpack(self._wanted.pop(number)))
        whole = memoryview(b"")
        if sum(container.sealed_size(size) for _, size, _ in wanted) >= pack.size * WHOLE:
            with suppress(ObjectMissing):
                whole = memoryview(self._vault.read_pack(pack))
        with self._unpacking if whole else nullcontext():
            for identity, size, offset in wanted:
                if self._crew.stopped:
                    return
                digest, sealed = identity.hex(), whole[offset : offset + container.sealed_size(size)]
                self._fetch(digest, size, self._contents(digest, size, sealed, At(pack, offset)))

    def _contents(self, digest: str, size: int, sealed: memoryview, at: At) -> Iterator[bytes]:
        """Yield a content out of the pack that was fetched; where it is not in there, by itself."""
        try:
            yield self._vault.unseal(digest, size, sealed)
        except ObjectDamaged:
            yield self._vault.get_packed(digest, size, at)

    def _fetch(self, digest: str, size: int, blocks: Iterator[bytes]) -> None:
        try:
            self._folder.write(digest, blocks)
        except ObjectMissing:
            with self._counting:
                self._report.missing.append(digest)
        except Unreadable as error:
            with self._counting:
                self._report.damaged[digest] = error.message
        else:
            self._count(fetched=1, fetched_bytes=size)
            self._flushing.wrote(size)

    def _count(self, **more: int) -> None:
        with self._counting:
            for name, number in more.items():
                setattr(self._report, name, getattr(self._report, name) + number)

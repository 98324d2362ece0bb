"""Where contents are in packs, whichever manifest says so: for who knows digests and no manifest."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock

from .errors import ObjectDamaged, ObjectMissing
from .manifest import At, Manifest
from .vault import Vault


class Places:
    """The packs of all manifests, read when they are needed, the newest first; for several threads at once."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._read: list[Manifest] = []
        self._names: list[str] | None = None
        self._reading = Lock()

    def size(self, digest: str) -> int | None:
        """Return the size in bytes of a content that is in a pack, or None when no manifest knows it in one."""
        return next((size for size, _ in self._found(digest)), None)

    def read(self, digest: str) -> bytes:
        """Return a content out of the first pack that gives it back.

        :raises ObjectMissing, ObjectDamaged: when none does
        """
        problem: ObjectMissing | ObjectDamaged = ObjectMissing(f"no manifest has {digest} in a pack")
        for size, at in self._found(digest):
            try:
                return self._vault.get_packed(digest, size, at)
            except (ObjectMissing, ObjectDamaged) as error:
                problem = error
        raise problem

    def _found(self, digest: str) -> Iterator[tuple[int, At]]:
        number = 0
        while manifest := self._manifest(number):
            if at := manifest.at(digest):
                yield manifest.size_of(digest), at
            number += 1

    def _manifest(self, number: int) -> Manifest | None:
        with self._reading:
            if self._names is None:
                self._names = self._vault.newest_manifests()
            while len(self._read) <= number and self._names:
                try:
                    self._read.append(self._vault.manifest(self._names.pop(0)))
                except (ObjectMissing, ObjectDamaged):
                    continue  # removed meanwhile, or of no use: another one may have it
        return self._read[number] if number < len(self._read) else None

"""Which objects the store has: in one go where they are few, one directory after another where they are many."""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import suppress
from itertools import islice
from threading import Lock, Thread

from ...loomworks_tenant.errors import LoomworksError
from . import container
from .head import Head
from .manifest import Manifest, Pack
from .vault import Vault

FEW = 10_000  # objects; S3 lists a thousand with one request, and there are 256 directories
FRESH = 60.0  # seconds for which a list of packs counts, under a lease: only what is new since is asked for
FEW_NEW = 8  # packs: with more of them all are listed again


class Listing:
    """The digests and sizes of objects, as the store lists them when first asked; for several threads at once."""

    def __init__(self, vault: Vault, expected: int = 0) -> None:
        """Prepare for about ``expected`` objects, without asking yet."""
        self._vault = vault
        self._few = expected <= FEW
        self._found: dict[str, dict[str, int]] | None = None
        self._packs: dict[str, int] | None = None
        self._listed_at = 0.0
        self._listing = Lock()

    def begin(self) -> None:
        """Have the packs listed while the caller does something else."""
        Thread(target=self._begin, daemon=True).start()

    def _begin(self) -> None:
        with suppress(LoomworksError):  # who needs them asks again, and is told
            self.packs()

    def again(self, expected: int, new: Collection[Pack]) -> Listing:
        """Return one for about ``expected`` objects; of the ``new`` packs it has those that the store lists by now.

        Nobody removes a pack while the lease is held: of those that were listed a moment ago none is asked for again.
        """
        found = Listing(self._vault, expected)
        if self._packs is not None and time.monotonic() - self._listed_at < FRESH and len(new) <= FEW_NEW:
            found._listed_at = self._listed_at
            found._packs = dict(self._packs)
            for folder in {pack.identity[:2] for pack in new}:
                found._packs |= self._vault.objects(f"packs/{folder}")
        return found

    def directory(self, name: str) -> dict[str, int]:
        """Return the digests whose objects are there in a directory, and the sizes of the objects."""
        with self._listing:
            if self._few and self._found is None:
                self._found = self._whole()
                self._few = self._found is not None
        return self._found.get(name, {}) if self._found is not None else self._vault.sizes(name)

    def has_pack(self, pack: Pack | None) -> bool:
        """Tell whether a pack is there, with the right size."""
        return pack is not None and self.packs().get(pack.identity) == pack.size

    def packs(self) -> dict[str, int]:
        """Return the identities of the packs that are there, and their sizes."""
        with self._listing:
            if self._packs is None:
                self._listed_at = time.monotonic()
                self._packs = self._vault.packs()
        return self._packs

    def has_all(self, head: Head) -> bool:
        """Tell whether all is there that a head names: packs and objects, and they with the right size."""
        own = ((name, digest, size) for name, line in head.lines.items() for digest, size in line.more.own())
        return all(map(self.has_pack, head.packs.values())) and all(
            self.directory(name).get(digest) == container.sealed_size(size) for name, digest, size in own
        )

    def lacking(self, name: str, manifest: Manifest) -> list[str]:
        """Return the digests of a directory of ``manifest`` that are not there: not in a pack, and not in an object.

        What has not the right size is not there.
        """
        directory = manifest.directory(name)
        gone = {number for number in directory.packs if not self.has_pack(manifest.packs.get(number))}
        own = directory.own()
        if gone:
            own = [(digest, size) for digest, size, place in directory.entries() if not place or place.pack in gone]
        own = dict(own)
        stored = self.directory(name) if own else {}
        return [digest for digest, size in own.items() if stored.get(digest) != container.sealed_size(size)]

    def _whole(self) -> dict[str, dict[str, int]] | None:
        found: dict[str, dict[str, int]] = {}
        objects = list(islice(self._vault.objects(), FEW + 1))
        if len(objects) > FEW:
            return None
        for digest, size in objects:
            found.setdefault(digest[:2], {})[digest] = size
        return found

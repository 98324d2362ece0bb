"""Remove what no manifest names: of backups that were killed, and of manifests whose time is over.

A pack is named by the manifests that name any content in it. An object of its own stays as long as any manifest names
its content, even as that of a pack: where the pack is damaged, it is what mends it.

It works alone (see ``lease``): a backup counts on objects that it has seen long before its manifest names them. Killed
at any line it has removed nothing that a manifest names, and the next run goes on.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from . import lease
from .crew import THREADS, Crew
from .errors import LeaseOver
from .location import base_name, content_name, manifest_name, pack_name
from .manifest import DIGEST_SIZE, DIRECTORIES, Manifest
from .store import Store
from .vault import Vault


@dataclass
class CollectReport:
    """What a collector did; sizes in bytes as they are stored."""

    manifests: int = 0  # that are kept
    objects: int = 0  # that are kept
    packs: int = 0  # that are kept
    removed: int = 0  # objects, packs and bases of manifests
    removed_bytes: int = 0
    finished: bool = False  # or else the time was over: the next run goes on
    seconds: float = 0.0

    def count(self, swept: _Swept) -> None:
        """Add what was removed."""
        self.removed += swept.removed
        self.removed_bytes += swept.removed_bytes


@dataclass
class _Swept:
    kept: int = 0
    removed: int = 0
    removed_bytes: int = 0


@dataclass
class _Named:
    """What manifests name: digests of contents by directory, 20 bytes each, and identities of packs and bases."""

    contents: dict[str, bytes] = field(default_factory=dict)
    packs: set[str] = field(default_factory=set)
    bases: set[str] = field(default_factory=set)

    def add(self, manifest: Manifest) -> None:
        """Have all that a manifest names in it."""
        for name, directory in manifest.directories.items():
            before, more = self.contents.get(name, b""), directory.digests
            if before != more:
                self.contents[name] = b"".join(sorted(_each(before) | _each(more)))
        self.packs.update(pack.identity for pack in manifest.packs.values())
        self.bases.update({manifest.base.identity} if manifest.base else ())


class Collector:
    """One run over a tenant's objects."""

    def __init__(self, vault: Vault, *, threads: int = THREADS) -> None:
        self._vault = vault
        self._crew = Crew(threads)

    def run(self, expired: Collection[str] = ()) -> CollectReport:
        """Remove the manifests ``expired``, and then every object that none of the others names.

        :raises Busy: while a backup runs, and nothing is removed
        :raises Unreadable: when there is a manifest that cannot be read: what it names is not known
        """
        started = time.monotonic()
        report = CollectReport()
        with lease.held(self._vault.store, lease.Kind.COLLECTOR) as held, suppress(LeaseOver):
            self._collect(frozenset(expired), report, held)
            report.finished = True
        report.seconds = round(time.monotonic() - started, 3)
        return report

    def _collect(self, expired: frozenset[str], report: CollectReport, held: lease.Lease) -> None:
        for name in sorted(expired):
            held.require()
            self._vault.store.delete(manifest_name(name))
        named = self._named(report)

        def sweep(directory: str) -> _Swept:
            contents, digests = _each(named.contents.get(directory, b"")), self._vault.sizes(directory).items()
            found = [(bytes.fromhex(one) in contents, content_name(one), size) for one, size in digests]
            return self._remove(found, held)

        for _, swept in self._crew.each(sweep, DIRECTORIES):
            report.objects += swept.kept
            report.count(swept)
        packs = [(one in named.packs, pack_name(one), size) for one, size in self._vault.packs().items()]
        swept = self._remove(packs, held)
        report.packs += swept.kept
        report.count(swept)
        bases = [(one in named.bases, base_name(one), size) for one, size in self._vault.bases().items()]
        report.count(self._remove(bases, held))

    def _remove(self, found: Iterable[tuple[bool, str, int]], held: lease.Lease) -> _Swept:
        """Remove those of ``found`` (whether it is named, its name in the store, its size) that are not named."""
        swept = _Swept()
        for is_named, name, size in found:
            if is_named:
                swept.kept += 1
            elif not self._crew.stopped:
                held.require()
                self._vault.store.delete(name)
                swept.removed, swept.removed_bytes = swept.removed + 1, swept.removed_bytes + size
        return swept

    def _named(self, report: CollectReport) -> _Named:
        """Return what the manifests name."""
        named = _Named()
        for name in self._vault.manifests():
            named.add(self._vault.manifest(name))
            report.manifests += 1
        return named


def _each(digests: bytes) -> set[bytes]:
    return {digests[start : start + DIGEST_SIZE] for start in range(0, len(digests), DIGEST_SIZE)}


def remove_all(store: Store, *, threads: int = THREADS) -> int:
    """Remove every object of a tenant that is no more, whoever wrote it; return how many there were."""
    names = [one.name for one in store.list("")]
    for _ in Crew(threads).each(store.delete, names):
        pass
    return len(names)

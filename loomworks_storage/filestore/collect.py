"""Remove what no manifest names: of backups that were killed, and of manifests whose time is over.

It works alone (see ``lease``): a backup counts on objects that it has seen long before its manifest names them. Killed
at any line it has removed nothing that a manifest names, and the next run goes on.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

from . import lease
from .crew import THREADS, Crew
from .errors import LeaseOver
from .location import content_name, manifest_name
from .manifest import DIRECTORIES
from .store import Store
from .vault import Vault


@dataclass
class CollectReport:
    """What a collector did; sizes in bytes of objects."""

    manifests: int = 0  # that are kept
    objects: int = 0  # that are kept
    removed: int = 0
    removed_bytes: int = 0
    finished: bool = False  # or else the time was over: the next run goes on
    seconds: float = 0.0


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

        def sweep(directory: str) -> tuple[int, int, int]:
            kept = removed = size_removed = 0
            for digest, size in self._vault.sizes(directory).items():
                if bytes.fromhex(digest) in named:
                    kept += 1
                elif not self._crew.stopped:
                    held.require()
                    self._vault.store.delete(content_name(digest))
                    removed, size_removed = removed + 1, size_removed + size
            return kept, removed, size_removed

        for _, (kept, removed, size) in self._crew.each(sweep, DIRECTORIES):
            report.objects += kept
            report.removed += removed
            report.removed_bytes += size

    def _named(self, report: CollectReport) -> set[bytes]:
        """Return the digests that the manifests name."""
        named: set[bytes] = set()
        for name in self._vault.manifests():
            named.update(bytes.fromhex(digest) for digest, _ in self._vault.manifest(name))
            report.manifests += 1
        return named


def remove_all(store: Store, *, threads: int = THREADS) -> int:
    """Remove every object of a tenant that is no more; return how many there were."""
    names = [one.name for folder in ("manifests", "objects", "leases") for one in store.list(folder)]
    for _ in Crew(threads).each(store.delete, [*names, "key"]):
        pass
    return len(names)

"""Bring a tenant's files to the store: what is new goes there, and a manifest says what there is.

First every directory that changed is looked into; large files are sent at once. Then the small ones that are new are
packed, or where they are few, sent one by one. Nothing is removed and nothing good rewritten, so that it may be killed
at any line and run again, by two at once as well: what is there is not sent again. The manifest comes last, and only
when the store lists every object and pack that it names.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from itertools import chain
from threading import Lock

from . import lease
from .crew import THREADS, Crew, grouped
from .errors import NotProven, ObjectMissing
from .folder import Folder
from .head import Head
from .listing import Listing
from .manifest import DIRECTORIES, Directory, Manifest, State
from .pack import FEW, batches, sparse
from .sending import BackupReport, Look, Sender
from .vault import Vault

PATIENCE = (0.2, 0.8, 2.0)  # seconds between looks at a file that may still be being written

Tell = Callable[[str, float], None]


class Backup:
    """One run over ``folder``."""

    def __init__(
        self,
        vault: Vault,
        folder: Folder,
        tell: Tell = lambda stage, share: None,
        *,
        threads: int = THREADS,
        patience: Sequence[float] = PATIENCE,
        wait: float = lease.WAIT,
        few: int = FEW,
    ) -> None:
        """Prepare it.

        :param wait: seconds for which the end of a collector is waited for
        :param few: small files: fewer new ones are not packed
        """
        self._vault = vault
        self._folder = folder
        self._tell = tell
        self._crew = Crew(threads)
        self._sender = Sender(vault, folder, self._crew, patience)
        self._wait = wait
        self._few = few
        # Of threads that each ask the system about a thousand files all wait for Python's lock, three times as long.
        self._looking = Lock()
        self._previous: Manifest | None = None
        self._reuse_states = False
        self._replace: frozenset[str] = frozenset()

    def run(
        self, name: str, database: str, *, audit: bool = False, replace: Collection[str] = (), may_lack: bool = False
    ) -> BackupReport:
        """Write the manifest ``name`` of what the folder of ``database`` holds.

        :param audit: look into every directory and hash every file, whatever the last manifest says; what is left of
            packs that are mostly dead is packed anew
        :param replace: digests whose objects a check found damaged: they are written again
        :param may_lack: a folder that is not there has no files, as before the first one is written
        :raises FolderMissing, NotProven, WrongKey, Busy, LeaseOver and what the store raises: then there is no manifest
        """
        started = time.monotonic()
        repeated = True
        self._sender.begin(None, name, frozenset())
        self._vault.open()
        try:
            manifest = self._vault.manifest(name)
        except ObjectMissing:
            if not may_lack:
                self._folder.require()
            with lease.held_after_waiting(self._vault.store, lease.Kind.BACKUP, self._wait) as held:
                manifest = self._collect(name, database, audit=audit, replace=frozenset(replace))
                held.require()
                repeated = not self._vault.put_manifest(name, manifest)
            if repeated:
                manifest = self._vault.manifest(name)  # another run was first
        report = self._sender.report
        report.files, report.bytes, report.repeated = len(manifest), manifest.size, repeated
        if isinstance(manifest, Manifest):  # in an unchanged one nothing is
            report.damaged, report.mendable = manifest.split_damaged()
        report.seconds = round(time.monotonic() - started, 3)
        return report

    def _collect(self, name: str, database: str, *, audit: bool, replace: frozenset[str]) -> Manifest | Head:
        newest = self._vault.newest_heads()
        head = next(newest, None)
        stored = Listing(self._vault, 0 if head is None else head.own_count)
        if not audit and not replace and (unchanged := self._unchanged(head, database, stored)):
            return unchanged
        if head is not None and not self._crew.alone:
            stored.begin()
        self._replace = replace
        self._previous = self._vault.newest_manifest(chain(() if head is None else [head], newest))
        self._reuse_states = self._previous is not None and self._previous.database == database and not audit
        dying = sparse(self._previous) if self._previous is not None and audit else frozenset()
        self._sender.begin(self._previous, name, replace, audit=audit, sparse=dying, stored=stored)
        manifest = Manifest(database, datetime.now(UTC).isoformat(), packs=self._sender.packs)
        manifest.base = None if self._previous is None else self._previous.base
        self._fill(manifest, DIRECTORIES)
        self._prove(manifest)
        report = self._sender.report
        manifest.damaged = dict(sorted(report.damaged.items()))
        manifest.directories = {name: one for name, one in manifest.directories.items() if one or one.state}
        manifest.forget_packs()
        report.unfinished = sorted(set(report.unfinished))
        return manifest

    def _unchanged(self, head: Head | Manifest | None, database: str, stored: Listing) -> Head | None:
        """Return the last manifest's head for this one: nothing has changed, and ``stored`` has all that it names.

        None where that takes more than a look.
        """
        now = datetime.now(UTC).isoformat()
        if not isinstance(head, Head) or head.database != database or head.damaged or not head.tells_all_objects:
            return None
        if not all(head.has_state(name, self._folder.state(name)) for name in DIRECTORIES):
            return None
        if not self._vault.has_base(head) or not stored.has_all(head):
            return None
        self._sender.count(directories_unchanged=len(DIRECTORIES))
        head.taken_at = now
        return head

    def _fill(self, manifest: Manifest, directories: Collection[str]) -> None:
        """Have the files of these directories in the store and in the manifest."""
        small: dict[str, Directory] = {}
        looks = [look for _, found in self._crew.each(self._looks, grouped(directories)) for look in found]
        changed = [(look.name, look.state) for look in looks if not self._is_unchanged(look)]
        manifest.directories |= {look.name: look.known for look in looks}
        self._sender.count(directories_unchanged=len(looks) - len(changed), directories_scanned=len(changed))
        for done, ((name, _), (found, waiting)) in enumerate(self._crew.each(self._scan, changed), 1):
            manifest.directories[name] = found
            small |= {name: waiting} if waiting else {}
            self._tell("files", done / len(changed))
        sent = self._sent(small)
        while sent:
            name, parts = sent.popitem()
            manifest.directories[name] = manifest.directories[name].merged(parts)

    def _sent(self, small: dict[str, Directory]) -> dict[str, list[Directory]]:
        """Have small files in the store, and return those that are; ``small`` is used up, for the memory's sake."""
        total, done = sum(len(one) for one in small.values()), 0
        if total < self._few:
            work, items = self._sender.one_by_one, list(small.values())
        else:
            work, items = self._sender.batch, batches(small)
        sent: dict[str, list[Directory]] = {}
        for item, parts in self._crew.each(work, items):
            for name, part in parts:
                sent.setdefault(name, []).append(part)
            done += len(item)
            self._tell("new files", done / total)
        return sent

    def sent_so_far(self) -> dict[str, int]:
        """Return how many files and bytes of content this run has sent by now."""
        report = self._sender.report
        return {"uploaded": report.uploaded, "uploaded_bytes": report.uploaded_bytes}

    # --- one directory ----------------------------------------------------------------------------

    def _looks(self, names: Sequence[str]) -> list[Look]:
        return [self._sender.look(name, self._folder.state(name)) for name in names]

    def _is_unchanged(self, look: Look) -> bool:
        """Tell whether a directory is as the last manifest has it, and nothing of it has to be written again."""
        same = self._reuse_states and look.state is not None and look.state == look.known.state
        return same and not any(look.known.size_of(digest) is not None for digest in self._replace)

    def _scan(self, place: tuple[str, State | None]) -> tuple[Directory, Directory]:
        """Return which files of a directory are in the store, and which small ones are yet to be sent.

        :param place: the directory's name, and how it looked before it was looked into
        """
        look = self._sender.look(*place)  # it names each file, so it ends here
        with self._looking:
            doubtful = self._compare(look)
        look.stored = self._sender.stored.directory(look.name) if doubtful else {}
        for digest, size in sorted(doubtful):
            if self._crew.stopped:
                break
            self._sender.file(digest, size, look)
        return look.result(), Directory(look.small)

    def _compare(self, look: Look) -> list[tuple[str, int]]:
        """Return which files (digest, size in bytes) have to be looked at, and have ``look`` know what has gone.

        What the last manifest has of the folder is in the store, as it was when its content was what its name said. Its
        size is not asked for: what has become of it since is for an audit to find, as where nothing has changed. What
        an audit has found is looked at until it is mended.
        """
        known = look.known.names()
        doubted = (self._replace | self._sender.suspects) if self._reuse_states else known
        trusted = known - doubted if doubted else known  # a copy of them all costs as much as reading their names
        found, gone = self._folder.changes(look.name, trusted)
        look.gone = gone | (known - trusted) if doubted else gone
        return list(found.items())

    # --- the proof --------------------------------------------------------------------------------

    def _prove(self, manifest: Manifest) -> None:
        """Have the store list every object of the manifest; what has gone from it since the last one is brought again.

        :raises NotProven: when it still does not
        """
        lacking = self._lacking(manifest, DIRECTORIES)
        if lacking:
            self._reuse_states = False
            self._sender.stored = Listing(self._vault, manifest.own_count)
            self._fill(manifest, lacking)
            lacking = self._lacking(manifest, lacking)
        if lacking:
            names = ", ".join(sorted(digest for digests in lacking.values() for digest in digests)[:5])
            raise NotProven(
                f"the object store does not list what was written to it: {names}",
                "Check the bucket's life cycle and who else writes to it, and run it again.",
            )

    def _lacking(self, manifest: Manifest, directories: Collection[str]) -> dict[str, list[str]]:
        listing = self._sender.stored.again(manifest.own_count, self._sender.written)

        def lacking(names: Sequence[str]) -> dict[str, list[str]]:
            return {name: digests for name in names if (digests := listing.lacking(name, manifest))}

        found, groups = {}, grouped(directories)
        for done, (_, digests) in enumerate(self._crew.each(lacking, groups), 1):
            self._tell("proof", done / len(groups))
            found |= digests
        return found

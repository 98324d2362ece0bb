"""Bring a tenant's files to the store: what is new goes there, and a manifest says what there is.

Nothing is removed and nothing good rewritten, so that it may be killed at any line and run again, by two at once as
well: what is there is not sent again. The manifest comes last, and only when the store lists every object that it
names.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock

from . import container, lease
from .crew import THREADS, Crew
from .errors import NotProven, ObjectMissing, WrongContent
from .folder import Folder
from .listing import Listing
from .manifest import DIRECTORIES, NOTHING, Directory, Manifest, State
from .vault import Vault

YOUNG = 60.0  # seconds: a file changed later than that may still be being written
PATIENCE = (0.2, 0.8, 2.0)  # seconds between looks at such a file
UNREADABLE = {errno.EIO, errno.EINVAL, errno.ELOOP, errno.EACCES}  # what is wrong with one file, not with the volume

Tell = Callable[[str, float], None]


@dataclass
class BackupReport:
    """What a backup did; sizes in bytes of content."""

    manifest: str
    files: int = 0
    bytes: int = 0
    uploaded: int = 0
    uploaded_bytes: int = 0
    there: int = 0  # files looked at whose objects were there
    replaced: int = 0  # objects of another size than they should have, or that were said to be damaged
    directories_scanned: int = 0
    directories_unchanged: int = 0
    vanished: int = 0  # files that Odoo removed meanwhile
    unfinished: list[str] = field(default_factory=list)  # files being written; the next backup has them
    damaged: dict[str, str] = field(
        default_factory=dict
    )  # files that are not what their name says, and how it is known
    repeated: bool = False  # the manifest was there already
    seconds: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether every file of the folder is what it should be, and in the store."""
        return not self.damaged


@dataclass
class _Look:
    """What is known of a directory while it is looked into: digests, and sizes in bytes."""

    name: str
    state: State | None
    known: dict[str, int]  # of contents, by the last manifest
    stored: dict[str, int] = field(default_factory=dict)  # of objects
    good: dict[str, int] = field(default_factory=dict)  # of contents that are in the store


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
    ) -> None:
        """Prepare it.

        :param wait: seconds for which the end of a collector is waited for
        """
        self._vault = vault
        self._folder = folder
        self._tell = tell
        self._crew = Crew(threads)
        self._patience = patience
        self._wait = wait
        self._counting = Lock()
        self._previous: Manifest | None = None
        self._reuse_states = False
        self._audit = self._distrust = False
        self._replace: frozenset[str] = frozenset()

    def run(
        self, name: str, database: str, *, audit: bool = False, replace: Collection[str] = (), may_lack: bool = False
    ) -> BackupReport:
        """Write the manifest ``name`` of what the folder of ``database`` holds.

        :param audit: look into every directory and hash every file, whatever the last manifest says
        :param replace: digests whose objects a check found damaged: they are written again
        :param may_lack: a folder that is not there has no files, as before the first one is written
        :raises FolderMissing, NotProven, WrongKey, Busy, LeaseOver and what the store raises: then there is no manifest
        """
        started = time.monotonic()
        self._report = BackupReport(name)
        self._vault.open()
        try:
            manifest = self._vault.manifest(name)
            self._report.repeated = True
        except ObjectMissing:
            if not may_lack:
                self._folder.require()
            with lease.held_after_waiting(self._vault.store, lease.Kind.BACKUP, self._wait) as held:
                manifest = self._collect(database, audit=audit, replace=frozenset(replace))
                held.require()
                written = self._vault.put_manifest(name, manifest)
            if not written:
                manifest = self._vault.manifest(name)  # another run was first
                self._report.repeated = True
        self._report.files, self._report.bytes = len(manifest), manifest.size
        self._report.damaged = dict(manifest.damaged)
        self._report.seconds = round(time.monotonic() - started, 3)
        return self._report

    def _collect(self, database: str, *, audit: bool, replace: frozenset[str]) -> Manifest:
        self._audit, self._replace = audit, replace
        self._previous = self._vault.newest_manifest()
        self._stored = Listing(self._vault, len(self._previous or ()))
        self._reuse_states = self._previous is not None and self._previous.database == database and not audit
        manifest = Manifest(database, datetime.now(UTC).isoformat())
        for done, (directory, found) in enumerate(self._crew.each(self._directory, DIRECTORIES), 1):
            manifest.directories[directory] = found
            self._tell("files", done / len(DIRECTORIES))
        self._prove(manifest)
        manifest.damaged = dict(sorted(self._report.damaged.items()))
        manifest.directories = {name: one for name, one in manifest.directories.items() if one or one.state}
        self._report.unfinished = sorted(set(self._report.unfinished))
        return manifest

    # --- one directory ----------------------------------------------------------------------------

    def _directory(self, name: str) -> Directory:
        """Have the files of a directory in the store, and return which they are."""
        state = self._folder.state(name)
        known = self._previous.directory(name) if self._previous else NOTHING
        unchanged = self._reuse_states and state is not None and state == known.state
        if unchanged and not any(digest in self._replace for digest, _ in known):
            self._count(directories_unchanged=1)
            return known
        self._count(directories_scanned=1)
        return self._scan(_Look(name, state, dict(known)))

    def _scan(self, look: _Look) -> Directory:
        found = self._folder.files(look.name)
        doubtful = {digest: size for digest, size in found.items() if self._doubts(digest, size, look)}
        look.good = {digest: size for digest, size in found.items() if digest not in doubtful}
        look.stored = self._stored.directory(look.name) if doubtful else {}
        for digest, size in sorted(doubtful.items()):
            if self._crew.stopped:
                break
            self._file(digest, size, look)
        return Directory(look.good, look.state)

    def _doubts(self, digest: str, size: int, look: _Look) -> bool:
        return self._audit or self._distrust or digest in self._replace or look.known.get(digest) != size

    # --- one file ---------------------------------------------------------------------------------

    def _file(self, digest: str, size: int, look: _Look) -> None:
        """Have a file in the store and among the good ones, or the reason why not in the report."""
        if self._is_there(digest, size, look) and (not self._audit or self._folder.has_content(digest)):
            self._count(there=1)
            look.good[digest] = size
            return
        for pause in (*self._patience, None):
            try:
                look.good[digest] = self._upload(digest, look)
                return
            except FileNotFoundError:
                self._count(vanished=1)
                return
            except (WrongContent, OSError) as error:
                if isinstance(error, OSError) and error.errno not in UNREADABLE:
                    raise
                if pause is None or not self._young(digest):
                    self._reject(digest, error, look)
                    return
            time.sleep(pause)

    def _is_there(self, digest: str, size: int, look: _Look) -> bool:
        return look.stored.get(digest) == container.sealed_size(size) and digest not in self._replace

    def _upload(self, digest: str, look: _Look) -> int:
        with self._folder.open(digest) as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(0)
            if self._is_there(digest, size, look):  # so it is the file that is wrong
                raise WrongContent(f"the file {digest} has another content than its name says")
            replace = digest in look.stored
            written = self._vault.put(digest, stream, size, replace=replace)
        self._count(uploaded=written, uploaded_bytes=size * written, there=not written, replaced=replace)
        return size

    def _young(self, digest: str) -> bool:
        try:
            return time.time() - self._folder.path(digest).lstat().st_mtime < YOUNG
        except FileNotFoundError:
            return True

    def _reject(self, digest: str, error: WrongContent | OSError, look: _Look) -> None:
        """Leave a file out, unless an earlier backup has it from the time when it was good."""
        look.state = None  # to be looked at again
        earlier = look.known.get(digest)
        if earlier is not None and self._is_there(digest, earlier, look):
            look.good[digest] = earlier
        with self._counting:
            if self._young(digest):
                self._report.unfinished.append(digest)
            else:
                self._report.damaged[digest] = error.message if isinstance(error, WrongContent) else str(error.strerror)

    def _count(self, **more: int) -> None:
        with self._counting:
            for name, number in more.items():
                setattr(self._report, name, getattr(self._report, name) + number)

    # --- the proof --------------------------------------------------------------------------------

    def _prove(self, manifest: Manifest) -> None:
        """Have the store list every object of the manifest; what has gone from it since the last one is brought again.

        :raises NotProven: when it still does not
        """
        lacking = self._lacking(manifest, DIRECTORIES)
        if lacking:
            self._distrust, self._reuse_states = True, False
            self._stored = Listing(self._vault, len(manifest))
            for directory, found in self._crew.each(self._directory, lacking):
                manifest.directories[directory] = found
            lacking = self._lacking(manifest, lacking)
        if lacking:
            names = ", ".join(sorted(digest for digests in lacking.values() for digest in digests)[:5])
            raise NotProven(
                f"the object store does not list what was written to it: {names}",
                "Check the bucket's life cycle and who else writes to it, and run it again.",
            )

    def _lacking(self, manifest: Manifest, directories: Collection[str]) -> dict[str, list[str]]:
        listing = Listing(self._vault, len(manifest))
        checked = self._crew.each(lambda name: listing.lacking(name, manifest.directory(name)), directories)
        found = {}
        for done, (directory, digests) in enumerate(checked, 1):
            self._tell("proof", done / len(directories))
            if digests:
                found[directory] = digests
        return found

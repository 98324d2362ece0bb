"""Feed a recovering server with WAL: fetched ahead, several segments at once, and unpacked by the time it asks.

The server's restore command is a few lines of shell: it says what it wants in one folder and waits until that lies in
another one, or is said not to exist. Objects go through the overlay repository, so that it is pgBackRest that decrypts
and unpacks them and compares their checksums. What they say of other databases is taken out then (``wal_filter``), one
segment after another.
"""

from __future__ import annotations

import errno
import mmap
import os
import re
import shutil
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from ...loomworks_tenant.errors import LoomworksError
from ..repository.segments import NAME, Segment
from ..repository.store import Store
from .errors import ProgramFailed, WalDamaged, WalNotFiltered
from .overlay import write_file
from .programs import Programs
from .scratch import Scratch, no_room
from .wal_filter import EVERYTHING, PAGE, Selection, WalFilter

AHEAD = 16  # segments beyond the one that is asked for
MOST_AT_ONCE = 24  # segments that the filter goes through to come to the one that is asked for: 384 MiB
KEPT = 4  # segments behind it: the last ones are asked for again when recovery ends
FETCHING, UNPACKING = 4, 2  # threads
LOOK = 0.01  # seconds between two looks at what is wanted
DAMAGE = ("[ChecksumError]", "[CryptoError]", "[FormatError]")  # pgBackRest's words for what is wrong with a segment
OBJECT = re.compile(r"/([0-9A-F]{24}|[0-9A-F]{8}\.history)(-[0-9a-f]{40})?(\.[a-z0-9]+)?$")

HISTORY = ".history"
TIMELINE_DIGITS = 8  # hexadecimal, with which names of segments and histories begin
CONTROL, LABEL = "global/pg_control", "backup_label"  # in a folder of data
SYSTEM_SIZE = 8  # bytes of a system identifier, with which the control file begins
SYSTEM_AT = 24  # where it is in a segment

# Linked, not copied: the scratch server only reads what is restored, and its pg_wal is on the same file system.
COMMAND = """#!/bin/sh
feed='{folder}'
: > "$feed/wanted/$1"
until [ -e "$feed/ready/$1" ] || [ -e "$feed/none/$1" ] || [ -e "$feed/over" ]; do sleep 0.01; done
[ -e "$feed/ready/$1" ] && exec ln -f "$feed/ready/$1" "$2"
exit 1
"""

CONFIGURATION = """[global]
repo1-type=posix
repo1-path={overlay}
repo1-cipher-type=aes-256-cbc
lock-path={lock}
log-level-file=off
log-level-console=warn
log-level-stderr=warn

[{stanza}]
pg1-path={known}
"""


class WalFeed:
    """The WAL of one archive from a segment on, for the server in ``scratch``.

    :param selection: of the databases whose pages replay passes over, where all is on one timeline
    :param timeline: that is replayed to; None: the newest
    """

    def __init__(
        self,
        store: Store,
        programs: Programs,
        scratch: Scratch,
        archive_id: str,
        first: Segment,
        selection: Selection = EVERYTHING,
        timeline: int | None = None,
    ) -> None:
        self._store = store
        self._programs = programs
        self._scratch = scratch
        self._folder = scratch.root / "wal"
        self._archive = f"archive/{store.location.stanza}/{archive_id}"
        self.first = first
        self._objects: dict[str, str] = {}
        self._order: list[str] = []
        self._fetched: dict[str, Future] = {}
        self._unpacked: dict[str, Future] = {}
        self._ready: dict[str, Future] = {}
        self._asked: set[str] = set()
        self._filter = None if selection.of_all else WalFilter(selection, first.number)
        self._timeline = timeline
        self._system = b""  # identifier of the server that the backup is of
        self._filtered = 0  # segments whose turn has come
        self._served: set[str] = set()  # that were asked for, and are ready
        self._reached = 0
        self._ended = threading.Event()
        self._unpacking = threading.Event()
        self._fetching = ThreadPoolExecutor(FETCHING, thread_name_prefix="wal-fetch")
        self._working = ThreadPoolExecutor(UNPACKING, thread_name_prefix="wal-unpack")
        self._filtering = ThreadPoolExecutor(1, thread_name_prefix="wal-filter")  # each needs what the one before left
        self._thread = threading.Thread(target=self._run, name="wal-feed", daemon=True)
        self.error: LoomworksError | None = None  # why no more WAL came
        self.newest: Segment | None = None  # the last one asked for that there is

    @property
    def command(self) -> str:
        """What PostgreSQL calls as its restore command."""
        return f'{self._folder}/restore-command %f "%p"'

    def open(self) -> None:
        """List what there is and begin to fetch it.

        :raises RepositoryUnreachable, RepositoryDenied: when it cannot be listed
        """
        for found in self._store.list(self._archive):
            match = OBJECT.search(found.name)
            if match and found.size:
                self._objects[match[1]] = found.name
        self._order = sorted(
            (name for name in self._objects if NAME.match(name) and Segment.parse(name).number >= self.first.number),
            key=lambda name: (Segment.parse(name).number, name),
        )
        if (self._timeline or self._newest_timeline()) != self.first.timeline:
            self._filter = None
        if self._filter:
            self._order = [name for name in self._order if Segment.parse(name).timeline == self.first.timeline]
        info = f"archive/{self._store.location.stanza}/archive.info"
        write_file(self._scratch.overlay / info, self._store.read(info))
        for name in self._objects:
            if name.endswith(HISTORY):  # pgBackRest looks at them before it restores
                self._fetch(name)
        self._make_folders()
        self._scratch.owned()
        self._thread.start()

    @property
    def passed(self) -> int:
        """How many records have been taken out so far."""
        return self._filter.passed if self._filter else 0

    @property
    def filters(self) -> bool:
        """Whether anything is taken out."""
        return self._filter is not None

    def has(self, segment: Segment) -> bool:
        """Tell whether the archive has a segment."""
        return segment.name in self._objects

    def unpack(self) -> None:
        """Begin to unpack: the control file, by which pgBackRest knows the server, has been restored.

        It reads a copy. The server that starts now writes its own anew and then takes the label of the backup away, and
        pgBackRest refuses what it reads before the one with what it does not find after the other.
        """
        known = self._folder / "known"
        for folder in (known, known / "global"):
            folder.mkdir(mode=0o700)
            self._scratch.own(folder)
        shutil.copy(self._scratch.data / CONTROL, known / CONTROL)
        self._system = (known / CONTROL).read_bytes()[:SYSTEM_SIZE]
        (known / LABEL).touch()
        for path in (known / CONTROL, known / LABEL):
            self._scratch.own(path)
        self._unpacking.set()

    def close(self) -> None:
        """Stop, and let a waiting restore command end."""
        self._ended.set()
        self._unpacking.set()
        if self._folder.exists():
            (self._folder / "over").touch()
        if self._thread.is_alive():
            self._thread.join()
        for pool in (self._fetching, self._working, self._filtering):
            pool.shutdown(cancel_futures=True)

    def _newest_timeline(self) -> int:
        return max(int(name[:TIMELINE_DIGITS], 16) for name in self._objects) if self._objects else 0

    # --- the feeding thread -------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                self._answer()
                self._fetch_ahead()
                self._check_asked()
                self._forget()
                self._ended.wait(LOOK)
        except Exception as error:  # noqa: BLE001  (whatever it is: the server must not wait for ever)
            self.error = error if isinstance(error, LoomworksError) else _of_the_disk(error)
            (self._folder / "over").touch()

    def _answer(self) -> None:
        """Note what is wanted, and say what there is not."""
        for path in sorted((self._folder / "wanted").iterdir()):
            name = path.name
            path.unlink()
            if name not in self._objects:
                (self._folder / "none" / name).touch()
                continue
            if name in self._order:
                self.newest, self._reached = Segment.parse(name), self._order.index(name)
            self._asked.add(name)
            self._start(name)

    def _fetch_ahead(self) -> None:
        for name in self._order[self._reached : self._reached + AHEAD]:
            self._start(name)

    def _check_asked(self) -> None:
        """Raise what went wrong with a segment that recovery waits for; one behind the target need not be good."""
        for name in [name for name in self._asked if name in self._ready and self._ready[name].done()]:
            self._asked.discard(name)
            self._ready[name].result()
            self._served.add(name)

    def _start(self, name: str) -> None:
        """Have it made ready, and before it those that the filter has not seen yet.

        The server first asks for the segment with the checkpoint of the backup, which may be behind the first one.

        :raises WalNotFiltered: when those would be too many for the scratch space
        """
        if name in self._ready:
            return
        if not self._filter or name not in self._order:
            self._make_ready_soon(name, None)
            return
        index = self._order.index(name)
        if index - self._filtered > MOST_AT_ONCE:
            raise WalNotFiltered(f"the checkpoint is {index} segments behind the beginning of the backup")
        for number in range(min(self._filtered, index), index + 1):
            self._make_ready_soon(self._order[number], self._following(number))
        self._filtered = max(self._filtered, index + 1)

    def _following(self, index: int) -> str | None:
        """Return the segment that follows one, if the archive has it."""
        number = Segment.parse(self._order[index]).number
        then = self._order[index + 1 : index + 2]
        return then[0] if then and Segment.parse(then[0]).number == number + 1 else None

    def _make_ready_soon(self, name: str, following: str | None) -> None:
        """Have it made ready, unless that has been begun and not been forgotten since."""
        if name in self._ready:
            return
        for one in (name, following):
            if one and one not in self._unpacked:
                self._fetched[one] = self._fetching.submit(self._fetch, one)
                self._unpacked[one] = self._working.submit(self._unpack, one)
        then = self._unpacked.get(following)
        self._ready[name] = self._filtering.submit(self._make_ready, name, self._unpacked[name], following, then)

    def _forget(self) -> None:
        """Make room. What was never asked for is to come yet: the server has begun behind it.

        The server keeps what it has replayed, under another name of the same file, and does not read it again but for
        prepared transactions: it stumbles over those, and all WAL is replayed and kept then.
        """
        for name in self._order[max(0, self._reached - 2 * AHEAD) : max(0, self._reached - KEPT)]:
            if name in self._served:
                self._served.discard(name)
                del self._ready[name], self._unpacked[name]
                if self._filter:
                    os.truncate(self._folder / "ready" / name, 0)
                (self._folder / "ready" / name).unlink(missing_ok=True)
                (self._scratch.overlay / self._objects[name]).unlink(missing_ok=True)

    def _fetch(self, name: str) -> None:
        target = self._scratch.overlay / self._objects[name]
        write_file(target, self._store.read(self._objects[name]))
        self._scratch.own(target)

    def _unpack(self, name: str) -> None:
        self._fetched.pop(name).result()
        self._unpacking.wait()
        if self._ended.is_set():
            return
        new = self._folder / "unpacked" / name
        options = [f"--config={self._folder}/pgbackrest.conf", f"--stanza={self._store.location.stanza}"]
        secret = {"PGBACKREST_REPO1_CIPHER_PASS": self._store.location.cipher_pass}
        try:
            self._programs.run("pgbackrest", *options, "archive-get", name, new, env=secret)
        except ProgramFailed as error:
            if self._scratch.is_full(error.message):
                raise no_room() from error
            if not any(kind in error.message for kind in DAMAGE):
                raise  # it was killed, or the disk does not answer: that says nothing of the segment
            raise WalDamaged(f"the WAL segment {name} cannot be read: {error.message}") from error
        if NAME.match(name):
            self._check_system(name, new)

    def _check_system(self, name: str, path: Path) -> None:
        """The server would take a segment of another one for the end of all WAL."""
        with path.open("rb") as stream:
            system = stream.read(SYSTEM_AT + SYSTEM_SIZE)[SYSTEM_AT:]
        if system != self._system:
            found, own = (int.from_bytes(one, "little") for one in (system, self._system))
            raise WalDamaged(f"the WAL segment {name} is of another server: of {found}, and the backup is of {own}")

    def _make_ready(self, name: str, unpacked: Future, following: str | None, then: Future | None) -> None:
        unpacked.result()
        new = self._folder / "unpacked" / name
        if self._ended.is_set():
            return
        if self._filter and NAME.match(name):
            if name not in self._order:
                raise WalNotFiltered(f"{name} is asked for, of another timeline")
            with new.open("r+b") as stream, mmap.mmap(stream.fileno(), 0) as data, memoryview(data) as view:
                self._filter.segment(Segment.parse(name).number, view, lambda: self._beginning(following, then))
        new.rename(self._folder / "ready" / name)

    def _beginning(self, name: str | None, unpacked: Future | None) -> bytes | None:
        """Return the first page of a segment, or None where there is none.

        :raises WalNotFiltered: when it cannot be read
        """
        if name is None or unpacked is None:
            return None
        if not unpacked.exception():
            for folder in ("unpacked", "ready"):
                with suppress(FileNotFoundError), (self._folder / folder / name).open("rb") as stream:
                    return stream.read(PAGE)
        raise WalNotFiltered(f"a record goes on in {name}, which cannot be read")

    def _make_folders(self) -> None:
        for name in ("", "wanted", "none", "ready", "unpacked"):
            path = self._folder / name
            path.mkdir(mode=0o700)
            self._scratch.own(path)
        command = self._folder / "restore-command"
        command.write_text(COMMAND.format(folder=self._folder))
        command.chmod(0o755)
        values = {
            "overlay": self._scratch.overlay,
            "lock": self._scratch.lock,
            "stanza": self._store.location.stanza,
            "known": self._folder / "known",
        }
        (self._folder / "pgbackrest.conf").write_text(CONFIGURATION.format(**values))


def _of_the_disk(error: Exception) -> LoomworksError:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return no_room()
    return ProgramFailed(f"the WAL could not be kept: {error!r}")

"""What a backup does with one file, and with many small ones: it is in the store, or it is known why not."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import count
from threading import BoundedSemaphore, Lock

from . import container
from .crew import Crew
from .errors import WrongContent
from .folder import Folder
from .listing import Listing
from .manifest import NOTHING, Directory, Manifest, Pack, Place, State
from .pack import SMALL, offsets, packed
from .vault import Vault

YOUNG = 60.0  # seconds: a file changed later than that may still be being written
UNREADABLE = {errno.EIO, errno.EINVAL, errno.ELOOP, errno.EACCES}  # what is wrong with one file, not with the volume
PACKS_AT_ONCE = 4  # in memory at the same time

_AS_BEFORE = State(0, 0)


@dataclass
class BackupReport:
    """What a backup did; sizes in bytes of content."""

    manifest: str
    files: int = 0
    bytes: int = 0
    uploaded: int = 0
    uploaded_bytes: int = 0
    there: int = 0  # files looked at whose objects were there
    packs: int = 0  # that were written; what they hold is counted as uploaded
    replaced: int = 0  # objects of another size than they should have, or that were said to be damaged
    directories_scanned: int = 0
    directories_unchanged: int = 0
    vanished: int = 0  # files that Odoo removed meanwhile
    unfinished: list[str] = field(default_factory=list)  # files being written; the next backup has them
    damaged: dict[str, str] = field(default_factory=dict)  # files without a good copy, and how it is known
    mendable: dict[str, str] = field(default_factory=dict)  # files that are damaged, of which the store has good copies
    repeated: bool = False  # the manifest was there already
    seconds: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether the store has every file of the folder as it should be."""
        return not self.damaged


@dataclass
class Look:
    """What is known of a directory while it is looked into: digests, and sizes in bytes."""

    name: str
    state: State | None
    known: Directory  # by the last manifest
    gone: Collection[str] = ()  # of what is known: not there any more, or to be looked at
    stored: dict[str, int] = field(default_factory=dict)  # of objects
    good: dict[str, int] = field(default_factory=dict)  # of contents that are in the store
    places: dict[str, Place] = field(default_factory=dict)  # of those of them that are in packs
    small: dict[str, int] = field(default_factory=dict)  # of contents that are yet to be sent, best in packs

    def keep(self, digest: str, size: int, place: Place | None = None) -> None:
        """Have a content among the good ones."""
        self.good[digest] = size
        if place:
            self.places[digest] = place

    def found(self) -> Directory:
        """The contents that were found good in this look."""
        return Directory(self.good, self.state, self.places)

    def result(self) -> Directory:
        """The directory as the manifest has it: what is known and not gone, and what was found good."""
        return self.known.changed(self.gone, self.found(), self.state)


class Sender:
    """The files of ``folder`` on their way into ``vault``; for several threads at once."""

    def __init__(self, vault: Vault, folder: Folder, crew: Crew, patience: Sequence[float]) -> None:
        """Prepare it.

        :param patience: seconds between looks at a file that is being written
        """
        self._vault = vault
        self._folder = folder
        self._crew = crew
        self._patience = patience
        self._counting = Lock()
        self._packing = BoundedSemaphore(PACKS_AT_ONCE)
        self.begin(None, "", frozenset())

    def begin(
        self,
        previous: Manifest | None,
        name: str,
        replace: frozenset[str],
        *,
        audit: bool = False,
        sparse: frozenset[int] = frozenset(),
        stored: Listing | None = None,
    ) -> None:
        """Prepare a run that writes the manifest ``name``.

        :param stored: what the store has; otherwise it is asked when that is needed
        :param sparse: numbers of the packs of ``previous`` whose contents are to be packed anew
        """
        self.report = BackupReport(name)
        self.stored = stored or Listing(self._vault)
        # By their numbers, in ``previous`` and in what becomes.
        self.packs = {} if previous is None else dict(previous.packs)
        self.written: list[Pack] = []
        self._numbers = count(max(self.packs, default=-1) + 1)
        self._previous, self._audit, self._sparse = previous, audit, sparse
        # What has no good copy may have an object that is no good: one that was to be replaced by a file that is none.
        lost, mendable = ({}, {}) if previous is None else previous.split_damaged()
        self._replace = replace | lost.keys()
        self.suspects = frozenset(mendable)  # files that were damaged, and may be still

    def look(self, name: str, state: State | None) -> Look:
        """Return what is known of a directory."""
        return Look(name, state, NOTHING if self._previous is None else self._previous.directory(name))

    # --- one file ---------------------------------------------------------------------------------

    def file(self, digest: str, size: int, look: Look) -> None:
        """Have a file among the good ones when it is in the store; else among the small ones, or sent."""
        read = self._audit or digest in self.suspects
        if self._is_there(digest, size, look) and (not read or self._folder.has_content(digest)):
            self.count(there=1)
            look.keep(digest, size, self._place(digest, size, look))
        elif size <= SMALL and self._is_new(digest, look):
            look.small[digest] = size
        else:
            self.send(digest, look)

    def send(self, digest: str, look: Look) -> None:
        """Have a file in the store, in an object of its own, and among the good ones, or the reason why not told."""
        for pause in (*self._patience, None):
            try:
                look.keep(digest, self._upload(digest, look))
                return
            except FileNotFoundError:
                self.count(vanished=1)
                return
            except (WrongContent, OSError) as error:
                if isinstance(error, OSError) and error.errno not in UNREADABLE:
                    raise
                if pause is None or not self._young(digest):
                    self._reject(digest, error, look)
                    return
            time.sleep(pause)

    def count(self, **more: int) -> None:
        """Add to the report."""
        with self._counting:
            for name, number in more.items():
                setattr(self.report, name, getattr(self.report, name) + number)

    def _is_new(self, digest: str, look: Look) -> bool:
        """Tell whether no object has this name, and no pack in which it would stay has this content."""
        if digest in look.stored or digest in self._replace:
            return False
        return not self._is_there(digest, look.known.size_of(digest), look)

    def _is_there(self, digest: str, size: int | None, look: Look) -> bool:
        if size is None or digest in self._replace:
            return False
        return look.stored.get(digest) == container.sealed_size(size) or bool(self._place(digest, size, look))

    def _place(self, digest: str, size: int, look: Look, sparse: frozenset[int] | None = None) -> Place | None:
        """Return where the last manifest has this content, in a pack that is there and not one of ``sparse``."""
        place = look.known.place_of(digest)
        if place is None or place.pack in (self._sparse if sparse is None else sparse):
            return None
        there = look.known.size_of(digest) == size and self.stored.has_pack(self.packs.get(place.pack))
        return place if there and digest not in self._replace else None

    def _upload(self, digest: str, look: Look) -> int:
        with self._folder.open(digest) as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(0)
            if self._is_there(digest, size, look):  # so it is the file that is wrong
                raise WrongContent(f"the file {digest} has another content than its name says")
            replace = digest in look.stored
            written = self._vault.put(digest, stream, size, replace=replace)
        self.count(uploaded=written, uploaded_bytes=size * written, there=not written, replaced=replace)
        return size

    def _young(self, digest: str) -> bool:
        try:
            return time.time() - self._folder.path(digest).lstat().st_mtime < YOUNG
        except FileNotFoundError:
            return True

    def _reject(self, digest: str, error: WrongContent | OSError, look: Look) -> None:
        """Leave a file out, unless an earlier backup has it from the time when it was good."""
        look.state = None  # to be looked at again
        earlier = look.known.size_of(digest)
        place = None if earlier is None else self._place(digest, earlier, look, frozenset())
        if place or self._is_there(digest, earlier, look):
            look.keep(digest, earlier, place)
        with self._counting:
            if self._young(digest):
                self.report.unfinished.append(digest)
            else:
                self.report.damaged[digest] = error.message if isinstance(error, WrongContent) else str(error.strerror)

    # --- small files ------------------------------------------------------------------------------

    def one_by_one(self, files: Directory) -> list[tuple[str, Directory]]:
        """Have small files of one directory in the store, each in an object of its own; return those that are."""
        digests = [digest for digest, _ in files]
        look = self.look(digests[0][:2], _AS_BEFORE)
        for digest in digests:
            if self._crew.stopped:
                break
            self.send(digest, look)
        return [(look.name, look.found())]

    def batch(self, files: Directory) -> list[tuple[str, Directory]]:
        """Have small files in one pack, and return those that are in the store, by directory.

        Those that are not what they should be are looked at one by one.
        """
        looks = {name: self.look(name, _AS_BEFORE) for name in sorted({digest[:2] for digest, _ in files})}
        pack, good, odd = packed(files), list(files), []
        if not self._audit and self.stored.has_pack(pack):  # of a run that was killed
            self.count(there=len(good))
        else:
            with self._packing:
                good, odd, sealed = self._seal(files)
                pack = packed(good)
                self._put(pack, good, sealed)
        number = self._number(pack) if good else 0
        for (digest, size), offset in zip(good, offsets(good), strict=False):
            looks[digest[:2]].keep(digest, size, Place(number, offset))
        for digest in odd:
            self.send(digest, looks[digest[:2]])
        return [(name, look.found()) for name, look in looks.items()]

    def _seal(self, files: Directory) -> tuple[list[tuple[str, int]], list[str], list[bytes]]:
        """Return the files that are what they should be, the digests of the others, and what is to be sent."""
        good, odd, sealed = [], [], []
        for digest, size in files:
            try:
                with self._folder.open(digest) as stream:
                    sealed.append(self._vault.seal(digest, stream, size))
                good.append((digest, size))
            except (WrongContent, FileNotFoundError):
                odd.append(digest)
            except OSError as error:
                if error.errno not in UNREADABLE:
                    raise
                odd.append(digest)
        return good, odd, sealed

    def _put(self, pack: Pack, files: list[tuple[str, int]], sealed: list[bytes]) -> None:
        if not files:
            return
        wrong = self.stored.packs().get(pack.identity, pack.size) != pack.size
        written = self._vault.put_pack(pack, sealed, replace=wrong)
        with self._counting:
            self.written.append(pack)  # by us, or by another run just now
        if written:
            size = sum(size for _, size in files)
            self.count(packs=1, uploaded=len(files), uploaded_bytes=size, replaced=wrong)
        else:
            self.count(there=len(files))

    def _number(self, pack: Pack) -> int:
        with self._counting:
            number = next(self._numbers)
            self.packs[number] = pack
        return number

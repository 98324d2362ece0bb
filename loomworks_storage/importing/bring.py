"""Bring a source's files onto a tenant's volume: each is hashed before it gets its name, and what is there stays.

It may be killed at any line and run again; the source is only read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from threading import Lock

from ..filestore.blocks import verified
from ..filestore.crew import THREADS, Crew
from ..filestore.errors import ObjectMissing, WrongContent
from ..filestore.folder import BLOCK, Folder
from .errors import SourceUnreadable
from .source import Inventory, Member, Source

Tell = Callable[[str, float], None]


@dataclass
class BringReport:
    """What was brought; sizes in bytes."""

    files: int = 0  # of the source
    bytes: int = 0
    brought: int = 0
    brought_bytes: int = 0
    kept: int = 0  # that were there, and right
    wrong: dict[str, str] = field(default_factory=dict)  # digests of files that are not brought, and why
    seconds: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether every file of the source is on the volume."""
        return not self.wrong


class Bringing:
    """One run from ``source`` to ``folder``."""

    def __init__(
        self,
        source: Source,
        folder: Folder,
        tell: Tell = lambda stage, share: None,
        *,
        threads: int = THREADS,
    ) -> None:
        self._source = source
        self._folder = folder
        self._tell = tell
        self._crew = Crew(threads)
        self._counting = Lock()

    def run(self, found: Inventory) -> BringReport:
        """Have the files of ``found`` in the folder; those that are not what their names say are named, and left.

        :raises VolumeFull: when there is no room for them
        """
        started = time.monotonic()
        self._report = BringReport(len(found.files), found.bytes)
        self._here: dict[str, dict[str, int]] = {}
        directories: dict[str, list[str]] = {}
        for digest in found.files:
            directories.setdefault("" if self._source.in_order else digest[:2], []).append(digest)
        for _ in self._crew.each(lambda name: self._files(directories[name], found), directories):
            pass
        if self._folder.root.is_dir():
            self._folder.flush()
        self._report.wrong = dict(sorted(self._report.wrong.items()))
        self._report.seconds = round(time.monotonic() - started, 3)
        return self._report

    def _files(self, digests: list[str], found: Inventory) -> None:
        for digest in digests:
            if self._crew.stopped:
                return
            self._file(digest, found.files[digest])
            self._tell("files", self._done() / len(found.files))

    def _file(self, digest: str, member: Member) -> None:
        if self._directory(digest[:2]).get(digest) == member.size and self._folder.has_content(digest):
            self._count(kept=1)
        else:
            self._bring(digest, member)

    def _directory(self, name: str) -> dict[str, int]:
        """Have a directory, and return what was in it."""
        if name not in self._here:
            self._folder.make(name)
            self._here[name] = self._folder.files(name)
        return self._here[name]

    def _bring(self, digest: str, member: Member) -> None:
        try:
            self._folder.write(digest, self._verified(digest, member))
        except (WrongContent, SourceUnreadable, ObjectMissing) as error:
            with self._counting:
                self._report.wrong[digest] = error.message
        else:
            self._count(brought=1, brought_bytes=member.size)

    def _verified(self, digest: str, member: Member) -> Iterator[bytes]:
        """Yield a file's content; end well only if it is as long as the source says, and what its name says."""
        with closing(_blocks(self._source, member)) as blocks:
            yield from verified(blocks, member.size, digest, "its content is not what its name says")

    def _done(self) -> int:
        with self._counting:
            return self._report.brought + self._report.kept + len(self._report.wrong)

    def _count(self, **more: int) -> None:
        with self._counting:
            for name, number in more.items():
                setattr(self._report, name, getattr(self._report, name) + number)


def _blocks(source: Source, member: Member) -> Iterator[bytes]:
    with source.open(member) as stream:
        while block := stream.read(BLOCK):
            yield block

"""Sources in an object store: a folder or an archive below one prefix of a bucket, read and never written."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from ..filestore.errors import ObjectMissing
from ..filestore.location import Location
from ..filestore.store import Store
from .errors import SourceUnreadable, TooLargeToLook
from .source import Member, Source, ZipSource

AHEAD = 1024 * 1024  # bytes that are fetched at once
ARCHIVE = ".zip"
NO_TENANT = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class SourceLocation(Location):
    """A bucket of which only what is below ``prefix`` is looked at."""

    prefix: str = ""

    @classmethod
    def of(cls, other: Location, prefix: str) -> SourceLocation:
        """Return the part of the bucket of ``other`` that is below ``prefix``."""
        return cls(**{name: getattr(other, name) for name in Location.__dataclass_fields__}, prefix=prefix.strip("/"))

    def object_key(self, name: str) -> str:
        """Return the key in the bucket of an object named below the prefix."""
        return f"{self.prefix}/{name}" if self.prefix else name


class StoredFolder(Source):
    """A folder of an object store."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name = store, name.strip("/")

    def members(self) -> Iterator[Member]:
        """Yield every object below the folder."""
        for one in self._store.list(self._name):
            yield Member(one.name.removeprefix(f"{self._name}/"), one.size)

    @contextmanager
    def open(self, member: Member) -> Iterator[io.BufferedReader]:
        """Open an object, of which is read what is needed."""
        with io.BufferedReader(_Ranges(self._store, f"{self._name}/{member.name}", member.size), AHEAD) as stream:
            yield stream


class WithDump(Source):
    """A source whose dump lies elsewhere."""

    def __init__(self, source: Source, store: Store, dump: Member) -> None:
        self._source, self._store, self._dump = source, store, dump
        self._called = dump.name.rpartition("/")[2]
        self.in_order = source.in_order

    def members(self) -> Iterator[Member]:
        """Yield the dump, and every file of the source."""
        yield Member(self._called, self._dump.size)
        yield from self._source.members()

    @contextmanager
    def open(self, member: Member) -> Iterator[BinaryIO]:
        """Open the dump, or a file of the source."""
        if member.name != self._called:
            with self._source.open(member) as stream:
                yield stream
            return
        with io.BufferedReader(_Ranges(self._store, self._dump.name, self._dump.size), AHEAD) as stream:
            yield stream


@contextmanager
def opened(store: Store, name: str, dump: str = "", most: int = 0) -> Iterator[Source]:
    """Yield the source of this name: a folder, or where it ends so, a zip.

    :param dump: the name of the dump, where it is not in the source
    :param most: bytes that are read of an archive; 0: as many as are needed
    :raises SourceUnreadable: when there is none
    :raises TooLargeToLook: when more than ``most`` are read, here or later
    """
    with _opened(store, name, most) as source:
        if not dump:
            yield source
            return
        try:
            size = store.size(dump)
        except ObjectMissing as error:
            raise SourceUnreadable(
                f"there is no dump {dump}", "Check the place of sources and the line's dump."
            ) from error
        yield WithDump(source, store, Member(dump, size))


@contextmanager
def _opened(store: Store, name: str, most: int) -> Iterator[Source]:
    if not name.endswith(ARCHIVE):
        if next(store.list(name.strip("/")), None) is None:
            raise SourceUnreadable(
                f"there is nothing below {name}", "Check the place of sources and the line's source."
            )
        yield StoredFolder(store, name)
        return
    try:
        size = store.size(name)
    except ObjectMissing as error:
        raise SourceUnreadable(
            f"there is no archive {name}", "Check the place of sources and the line's source."
        ) from error
    with io.BufferedReader(_Ranges(store, name, size, most), AHEAD) as stream:
        yield ZipSource(stream)


class _Ranges(io.RawIOBase):
    """An object as a stream that can be positioned, read by ranges; of it at most ``most`` bytes, unless that is 0."""

    def __init__(self, store: Store, name: str, size: int, most: int = 0) -> None:
        self._store, self._name, self._size, self._at = store, name, size, 0
        self._most, self._read = most, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:
        size = min(len(buffer), self._size - self._at)
        if size <= 0:
            return 0
        self._read += size
        if self._most and self._read > self._most:
            raise TooLargeToLook(f"more than {self._most} bytes of {self._name} would be read")
        data = self._store.read_range(self._name, self._at, size)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

"""What a source holds: a folder or a zip with the dump of a database and the files that belong to it.

Known are Odoo's own backup (``dump.sql``, ``manifest.json`` and ``filestore/ab/ab…`` in a zip), the same in a folder,
and a folder with a dump beside a filestore as it stands on a disk (``filestore/<database>/ab/ab…``, or ``ab/ab…``).
"""

from __future__ import annotations

import lzma
import re
import struct
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import BinaryIO

from .errors import DumpMissing, DumpRefused, SourceRefused, SourceUnreadable, TooLargeToLook

MOST_MEMBERS = 2_000_000
MOST_RATIO = 1200  # unpacked to packed; deflate reaches 1,032

_FILE = re.compile(
    r"(?:filestore/)?(?:(?P<database>[A-Za-z0-9_][A-Za-z0-9._-]*)/)?(?P<folder>[0-9a-f]{2})/(?P<digest>(?P=folder)[0-9a-f]{38})"
)
_DUMP = re.compile(r"[^/]+\.(?:sql|dump|pgdump|pgc|backup)")
_CUSTOM = b"PGDMP"
_LEADS = re.compile(
    rb"(?:\s|--[^\n]*\n)*+(?:SET |SELECT |CREATE |BEGIN|\\restrict )"
)  # takes linear time, whatever it is given
_BEGINNING = 64 * 1024  # bytes of a dump that tell what it is
# What the standard library raises at an archive that is spoilt, or packed in a way that it does not know.
_SPOILT = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    KeyError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)


class DumpKind(StrEnum):
    """How a dump was written."""

    PLAIN = "plain"  # statements, for psql
    CUSTOM = "custom"  # pg_dump's own format, for pg_restore


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a source: its name in it, and its size in bytes, as the source says."""

    name: str
    size: int


@dataclass(frozen=True)
class Dump:
    """The dump of a source."""

    name: str
    kind: DumpKind
    size: int  # bytes


@dataclass
class Inventory:
    """What a source holds; sizes in bytes."""

    dump: Dump
    database: str = ""  # that the files were of, where the source says so
    files: dict[str, Member] = field(default_factory=dict)  # by digest
    others: int = 0  # members that are nothing of an Odoo's; they are left where they are

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(one.size for one in self.files.values())


class Source(ABC):
    """A folder or an archive that is only read."""

    in_order = False  # whether reading is fast only in the order of the members, one after the other

    @abstractmethod
    def members(self) -> Iterator[Member]:
        """Yield every plain file."""

    @abstractmethod
    def open(self, member: Member) -> AbstractContextManager[BinaryIO]:
        """Open one for reading."""


class ZipSource(Source):
    """A zip; ``stream`` can be positioned, and is the caller's to close."""

    in_order = True

    def __init__(self, stream: BinaryIO) -> None:
        with _readable("the archive is no zip that can be read"):
            self._zip = zipfile.ZipFile(stream)
        self._packed = sum(one.compress_size for one in self._zip.infolist())

    def members(self) -> Iterator[Member]:
        """Yield every file.

        :raises SourceRefused: at the first that is encrypted or there twice; at the end, when all are too large
        """
        found, seen = 0, set()
        for one in sorted(self._zip.infolist(), key=lambda one: one.header_offset):
            if one.filename.endswith("/"):  # a folder
                continue
            if one.flag_bits & 1:
                raise SourceRefused(f"{one.filename} of the archive is encrypted", "Pack it without a password.")
            if one.filename in seen:
                raise SourceRefused(f"{one.filename} is in the archive more than once")
            seen.add(one.filename)
            found += one.file_size
            yield Member(one.filename, one.file_size)
        if found > MOST_RATIO * max(1, self._packed):
            raise SourceRefused("the archive says that it is far larger unpacked than a zip can be")

    @contextmanager
    def open(self, member: Member) -> Iterator[_Unpacked]:
        """Open a file; what is read of it is checked by the archive's own sums.

        :raises SourceUnreadable: here, or when it is read
        """
        otherwise = f"{member.name} of the archive cannot be read"
        with _readable(otherwise):
            stream = self._zip.open(member.name)
        with stream:
            yield _Unpacked(stream, otherwise)


class _Unpacked:
    """A file of a zip, which says ``otherwise`` where it is spoilt."""

    def __init__(self, stream: BinaryIO, otherwise: str) -> None:
        self._stream, self._otherwise = stream, otherwise

    def read(self, size: int = -1) -> bytes:
        with _readable(self._otherwise):
            return self._stream.read(size)


@contextmanager
def _readable(otherwise: str) -> Iterator[None]:
    try:
        yield
    except _SPOILT as error:
        raise SourceUnreadable(f"{otherwise}: {str(error) or type(error).__name__}") from error


def inventory(source: Source, most: int = 0) -> Inventory:
    """Return what a source holds; only names, sizes and the beginning of the dump are looked at.

    :param most: members that are looked at; 0: as many as a source may have
    :raises TooLargeToLook: when there are more than ``most``
    :raises DumpMissing, DumpRefused, SourceRefused, SourceUnreadable: when it is not what an import takes
    """
    dumps: list[Member] = []
    found: dict[str, dict[str, Member]] = {}
    others = 0
    for number, member in enumerate(source.members()):
        if most and number >= most:
            raise TooLargeToLook(f"the source has more than {most} files")
        if number >= MOST_MEMBERS:
            raise SourceRefused(f"the source has more than {MOST_MEMBERS} files")
        if match := _FILE.fullmatch(member.name):
            found.setdefault(match["database"] or "", {})[match["digest"]] = member
        elif _DUMP.fullmatch(member.name):
            dumps.append(member)
        elif member.name != "manifest.json":
            others += 1
    database, files = _files(found)
    return Inventory(_dump(source, dumps), database, files, others)


def require_expected(found: Inventory, files: int = 0, size: int = 0) -> None:
    """Be sure that a source holds what whoever took it out says that it does; 0: nobody says.

    :param size: of all files, in bytes
    :raises SourceRefused: saying both numbers
    """
    for what, wanted, there in (("files", files, len(found.files)), ("bytes of files", size, found.bytes)):
        if wanted and wanted != there:
            raise SourceRefused(
                f"the source has {there} {what}, and {wanted} are expected",
                "Copy it whole, or correct the number that is expected.",
            )


def _files(found: dict[str, dict[str, Member]]) -> tuple[str, dict[str, Member]]:
    if len(found) > 1:
        names = ", ".join(sorted(name or "(none)" for name in found))
        raise SourceRefused(
            f"the source has files of several databases: {names}", "Give each tenant a folder or an archive of its own."
        )
    return next(iter(found.items()), ("", {}))


def _dump(source: Source, dumps: list[Member]) -> Dump:
    if len(dumps) != 1:
        names = ", ".join(sorted(one.name for one in dumps)[:5]) or "none"
        raise DumpMissing(f"the source has to have one dump of a database beside its files; found: {names}")
    [member] = dumps
    with source.open(member) as stream:
        beginning = stream.read(_BEGINNING)
    if beginning.startswith(_CUSTOM):
        return Dump(member.name, DumpKind.CUSTOM, member.size)
    if _LEADS.match(beginning):
        return Dump(member.name, DumpKind.PLAIN, member.size)
    raise DumpRefused(
        f"{member.name} is neither a plain nor a custom dump of pg_dump",
        "Make it with pg_dump --no-owner --no-privileges, unpacked, or with --format=custom.",
    )

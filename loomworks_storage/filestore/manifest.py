"""What a backup holds: for each file its digest, its size and where it is, and how each directory looked.

It is packed for a million files in memory; how it is stored, ``head`` says. The formats of before are still read here:
lines of JSON under gzip, and a line of JSON with packs and files of each directory (:meth:`Directory.to_blocks`).
Objects and packs do not know the manifests that name them; what no manifest names can go.
"""

from __future__ import annotations

import gzip
import io
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .blocks import Blocks
from .directory import DIGEST_SIZE, DIRECTORIES, NOTHING, At, Directory, Pack, Place, State
from .errors import ObjectDamaged, UnknownFormat

__all__ = ["DIGEST_SIZE", "DIRECTORIES", "NOTHING", "At", "Base", "Directory", "Manifest", "Pack", "Place", "State"]

LINES, WHOLE = 1, 2  # the formats of before

_PACK = struct.Struct("<I20sQ")  # number, identity, size in bytes


class Base(NamedTuple):
    """An object that several manifests begin with: its name, 40 hexadecimal digits, and its size in bytes."""

    identity: str
    size: int


@dataclass
class Manifest:
    """One backup: all files of ``database`` as they were from ``taken_at`` (ISO 8601) on."""

    database: str
    taken_at: str
    directories: dict[str, Directory] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)  # files that are not what their name says, and why so
    packs: dict[int, Pack] = field(default_factory=dict)  # by their numbers in this manifest
    base: Base | None = field(default=None, compare=False)  # what it is stored with, if the same will do

    def __len__(self) -> int:
        return sum(len(one) for one in self.directories.values())

    def __iter__(self) -> Iterator[tuple[str, int]]:
        for _, directory in sorted(self.directories.items()):
            yield from directory

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(one.size for one in self.directories.values())

    @property
    def own_count(self) -> int:
        """How many files have objects of their own."""
        return sum(one.own_count for one in self.directories.values())

    def split_damaged(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return the damaged files that this backup has no good copy of, and those that it has one of."""
        mendable = {digest: why for digest, why in self.damaged.items() if self.size_of(digest) is not None}
        return {digest: why for digest, why in self.damaged.items() if digest not in mendable}, mendable

    def directory(self, name: str) -> Directory:
        """Return one of the 256 directories; one without files is empty."""
        return self.directories.get(name, NOTHING)

    def size_of(self, digest: str) -> int | None:
        """Return the size of one file, or None when the backup does not have it."""
        return self.directory(digest[:2]).size_of(digest)

    def at(self, digest: str) -> At | None:
        """Return where a file is in a pack, or None when it is in none."""
        place = self.directory(digest[:2]).place_of(digest)
        return At(self.packs[place.pack], place.offset) if place else None

    def forget_packs(self) -> None:
        """Name no pack in which no file of this backup is."""
        used = set().union(*(one.packs for one in self.directories.values()))
        self.packs = {number: pack for number, pack in self.packs.items() if number in used}

    @classmethod
    def of_lines(cls, data: bytes) -> Manifest:
        """Read one of the first format."""
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as unpacked:
            return cls._read_lines(json.loads(line) for line in unpacked)

    @classmethod
    def of_whole(cls, header: dict[str, Any], stream: Blocks) -> Manifest:
        """Read one of the second format, behind its header."""
        found = cls(header["database"], header["taken_at"], damaged=header["damaged"], packs=read_packs(header, stream))
        for name, inode, modified, count in header["directories"]:
            state = State(inode, modified) if inode is not None else None
            found.directories[name] = Directory.read(stream, count, state)
        found.require_all(header)
        return found

    def require_all(self, said: dict[str, Any]) -> None:
        """Be sure that it is as large as ``said``, and names the packs of its files.

        :raises ObjectDamaged: when not
        """
        if (said["files"], said["bytes"]) != (len(self), self.size):
            raise ObjectDamaged("a manifest does not have as many files as it says")
        if not set().union(*(one.packs for one in self.directories.values())) <= self.packs.keys():
            raise ObjectDamaged("a manifest does not name the packs of its files")

    @classmethod
    def _read_lines(cls, lines: Iterator[dict[str, Any]]) -> Manifest:
        header = next(lines)
        if header["format"] != LINES:
            raise UnknownFormat(f"a manifest has the format {header['format']}")
        found = cls(header["database"], header["taken_at"], damaged=header["damaged"])
        for line in lines:
            if "directory" not in line:
                found.require_all(line)
                return found
            state = State(line["inode"], line["modified"]) if line["inode"] is not None else None
            found.directories[line["directory"]] = Directory(line["files"], state)
        raise ObjectDamaged("a manifest ends early")


def write_packs(packs: dict[int, Pack]) -> Iterator[bytes]:
    """Yield packs as they are stored."""
    for number, pack in sorted(packs.items()):
        yield _PACK.pack(number, bytes.fromhex(pack.identity), pack.size)


def read_packs(header: dict[str, Any], stream: Blocks) -> dict[int, Pack]:
    """Read the packs that :func:`write_packs` wrote behind ``header``."""
    found = (_PACK.unpack(stream.read(_PACK.size)) for _ in range(header["packs"]))
    return {number: Pack(identity.hex(), size) for number, identity, size in found}

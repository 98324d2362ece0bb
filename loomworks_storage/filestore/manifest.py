"""What a backup holds: for each file its digest, its size and where it is, and how each directory looked.

It is packed for a million files, in memory and as it is stored: a line of JSON that says what follows, then the packs,
then the files of each directory (:meth:`Directory.to_blocks`), all numbers little-endian. Digests do not compress, so
nothing is compressed. The first format, lines of JSON under gzip, is still read. Objects and packs do not know the
manifests that name them; what no manifest names can go.
"""

from __future__ import annotations

import gzip
import io
import json
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .blocks import Blocks
from .directory import DIGEST_SIZE, DIRECTORIES, NOTHING, At, Directory, Pack, Place, State
from .errors import ObjectDamaged, UnknownFormat

__all__ = ["DIGEST_SIZE", "DIRECTORIES", "NOTHING", "At", "Directory", "Manifest", "Pack", "Place", "State"]

FORMAT, OLD_FORMAT = 2, 1

_GZIP = b"\x1f\x8b"
_PACK = struct.Struct("<I20sQ")  # number, identity, size in bytes


@dataclass
class Manifest:
    """One backup: all files of ``database`` as they were from ``taken_at`` (ISO 8601) on."""

    database: str
    taken_at: str
    directories: dict[str, Directory] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)  # files that are not what their name says, and why so
    packs: dict[int, Pack] = field(default_factory=dict)  # by their numbers in this manifest

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

    def to_bytes(self) -> bytes:
        """Return it as it is stored, before encryption."""
        return b"".join(self.to_blocks())

    def to_blocks(self) -> Iterator[bytes]:
        """Yield it as it is stored, before encryption, a directory at a time."""
        yield f"{json.dumps(self._header(), separators=(',', ':'))}\n".encode()
        for number, pack in sorted(self.packs.items()):
            yield _PACK.pack(number, bytes.fromhex(pack.identity), pack.size)
        for _, directory in sorted(self.directories.items()):
            yield from directory.to_blocks()

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read what :meth:`to_bytes` returned, or the first format.

        :raises ObjectDamaged, UnknownFormat: when it is neither
        """
        return cls.from_blocks([data])

    @classmethod
    def from_blocks(cls, blocks: Iterable[bytes]) -> Manifest:
        """Read it from blocks of any sizes, as :meth:`from_bytes` does."""
        stream = Blocks(blocks)
        try:
            if stream.begins_with(_GZIP):
                with gzip.GzipFile(fileobj=io.BytesIO(stream.rest())) as unpacked:
                    return cls._read_lines(json.loads(line) for line in unpacked)
            return cls._read(stream)
        except (OSError, EOFError, ValueError, KeyError, TypeError, StopIteration) as error:
            raise ObjectDamaged(f"a manifest cannot be read: {error}") from error

    def _header(self) -> dict[str, Any]:
        lines = [
            [name, one.state and one.state.inode, one.state and one.state.modified, len(one)]
            for name, one in sorted(self.directories.items())
        ]
        return {
            "format": FORMAT,
            "database": self.database,
            "taken_at": self.taken_at,
            "damaged": self.damaged,
            "packs": len(self.packs),
            "directories": lines,
            "files": len(self),
            "bytes": self.size,
        }

    @classmethod
    def _read(cls, stream: Blocks) -> Manifest:
        header = json.loads(stream.line())
        if header["format"] != FORMAT:
            raise UnknownFormat(f"a manifest has the format {header['format']}")
        found = cls(header["database"], header["taken_at"], damaged=header["damaged"])
        for _ in range(header["packs"]):
            number, identity, size = _PACK.unpack(stream.read(_PACK.size))
            found.packs[number] = Pack(identity.hex(), size)
        for name, inode, modified, count in header["directories"]:
            state = State(inode, modified) if inode is not None else None
            found.directories[name] = Directory.read(stream, count, state)
        found._require_all(header)
        if not set().union(*(one.packs for one in found.directories.values())) <= found.packs.keys():
            raise ObjectDamaged("a manifest does not name the packs of its files")
        if stream.rest():
            raise ObjectDamaged("a manifest has more than it says")
        return found

    @classmethod
    def _read_lines(cls, lines: Iterator[dict[str, Any]]) -> Manifest:
        header = next(lines)
        if header["format"] != OLD_FORMAT:
            raise UnknownFormat(f"a manifest has the format {header['format']}")
        found = cls(header["database"], header["taken_at"], damaged=header["damaged"])
        for line in lines:
            if "directory" not in line:
                found._require_all(line)
                return found
            state = State(line["inode"], line["modified"]) if line["inode"] is not None else None
            found.directories[line["directory"]] = Directory(line["files"], state)
        raise ObjectDamaged("a manifest ends early")

    def _require_all(self, said: dict[str, Any]) -> None:
        if (said["files"], said["bytes"]) != (len(self), self.size):
            raise ObjectDamaged("a manifest does not have as many files as it says")

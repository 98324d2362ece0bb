"""What a backup holds: for each file its digest and size, and how each directory looked, packed for a million files.

It is written as lines of JSON, compressed: a header, a line for each directory that has files, and an end. Objects do
not know the manifests that name them; what no manifest names can go.
"""

from __future__ import annotations

import gzip
import io
import json
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import ObjectDamaged, UnknownFormat

FORMAT = 1
DIRECTORIES = tuple(f"{number:02x}" for number in range(256))
DIGEST_SIZE = 20  # bytes
COMPRESSION = 6


@dataclass(frozen=True)
class State:
    """What changes in a directory when a file comes or goes: its time, and which directory it is."""

    inode: int
    modified: int  # nanoseconds since 1970


class Directory:
    """The files of one of the 256 directories."""

    def __init__(self, files: Mapping[str, int] | Iterable[tuple[str, int]] = (), state: State | None = None) -> None:
        """Keep ``files`` (digest and size in bytes); without a ``state`` the next backup looks into it again."""
        pairs = sorted(dict(files).items())
        self.state = state
        self._digests = b"".join(bytes.fromhex(digest) for digest, _ in pairs)
        self._sizes = array("Q", [size for _, size in pairs])

    def __len__(self) -> int:
        return len(self._sizes)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        for index, size in enumerate(self._sizes):
            yield self._digest(index).hex(), size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Directory) and list(self) == list(other)

    __hash__ = None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(self._sizes)

    def size_of(self, digest: str) -> int | None:
        """Return the size of one file, or None when it is not there."""
        wanted = bytes.fromhex(digest)
        index = bisect_left(range(len(self)), wanted, key=self._digest)
        return self._sizes[index] if index < len(self) and self._digest(index) == wanted else None

    def _digest(self, index: int) -> bytes:
        return self._digests[index * DIGEST_SIZE : (index + 1) * DIGEST_SIZE]


NOTHING = Directory()


@dataclass
class Manifest:
    """One backup: all files of ``database`` as they were from ``taken_at`` (ISO 8601) on."""

    database: str
    taken_at: str
    directories: dict[str, Directory] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)  # files of the folder without a good copy, and why

    def __len__(self) -> int:
        return sum(len(one) for one in self.directories.values())

    def __iter__(self) -> Iterator[tuple[str, int]]:
        for _, directory in sorted(self.directories.items()):
            yield from directory

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(one.size for one in self.directories.values())

    def directory(self, name: str) -> Directory:
        """Return one of the 256 directories; one without files is empty."""
        return self.directories.get(name, NOTHING)

    def size_of(self, digest: str) -> int | None:
        """Return the size of one file, or None when the backup does not have it."""
        return self.directory(digest[:2]).size_of(digest)

    def to_bytes(self) -> bytes:
        """Return it as it is stored, before encryption."""
        stream = io.BytesIO()
        with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=COMPRESSION, mtime=0) as packed:
            for line in self._lines():
                packed.write(f"{json.dumps(line, separators=(',', ':'))}\n".encode())
        return stream.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read what :meth:`to_bytes` returned.

        :raises ObjectDamaged, UnknownFormat: when it is not that
        """
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
                return cls._read(json.loads(line) for line in packed)
        except (OSError, EOFError, ValueError, KeyError, TypeError, StopIteration) as error:
            raise ObjectDamaged(f"a manifest cannot be read: {error}") from error

    def _lines(self) -> Iterator[dict[str, Any]]:
        yield {"format": FORMAT, "database": self.database, "taken_at": self.taken_at, "damaged": self.damaged}
        for name, directory in sorted(self.directories.items()):
            state = directory.state
            yield {
                "directory": name,
                "inode": state and state.inode,
                "modified": state and state.modified,
                "files": dict(directory),
            }
        yield {"files": len(self), "bytes": self.size}

    @classmethod
    def _read(cls, lines: Iterator[dict[str, Any]]) -> Manifest:
        header = next(lines)
        if header["format"] != FORMAT:
            raise UnknownFormat(f"a manifest has the format {header['format']}")
        found = cls(header["database"], header["taken_at"], damaged=header["damaged"])
        for line in lines:
            if "directory" not in line:
                if (line["files"], line["bytes"]) != (len(found), found.size):
                    raise ObjectDamaged("a manifest does not have as many files as it says")
                return found
            state = State(line["inode"], line["modified"]) if line["inode"] is not None else None
            found.directories[line["directory"]] = Directory(line["files"], state)
        raise ObjectDamaged("a manifest ends early")

"""A manifest as it is stored: a head of its own, and a base that it shares with those before and after it.

Most files are what they were in the last backup. So the head says how each directory looked, which packs there are, and
what has been edited since the base was written; a backup that finds nothing changed reads and writes nothing but
heads. Where edits have become many, there is a new base. All is packed: a line of JSON that says what follows, then
packs and files (:meth:`Directory.to_blocks`), all numbers little-endian. Digests do not compress, so nothing is
compressed. A base has no file with an object of its own where those are few, so that a head alone tells all objects.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .blocks import Blocks
from .directory import DIGEST_SIZE, NOTHING, Directory, State
from .errors import ObjectDamaged, UnknownFormat
from .manifest import WHOLE, Base, Manifest, Pack, read_packs, write_packs

FORMAT = 3
EDITS = 10_000  # files: a head with more of them gets a new base

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Line:
    """What a head says of a directory: how it looked, its files and their bytes, and how they come out of the base."""

    state: State | None
    count: int
    size: int
    gone: frozenset[bytes]  # digests
    more: Directory
    anew: bool  # whatever the base has of it is not meant

    @classmethod
    def of(cls, directory: Directory, base: Base | None) -> Line:
        """Return what is to be said of a directory."""
        facts = directory.state, len(directory), directory.size
        if base and directory.origin == base.identity:
            return cls(*facts, directory.gone, directory.more or NOTHING, anew=False)
        return cls(*facts, frozenset(), directory, anew=True)

    @property
    def edits(self) -> int:
        """How many files differ from the base."""
        return len(self.gone) + len(self.more)

    def facts(self) -> list[Any]:
        """Return what the line of JSON says of the directory."""
        state = self.state and [self.state.inode, self.state.modified]
        return [state, self.count, self.size, len(self.gone), len(self.more), self.anew]

    def applied(self, directory: Directory, origin: str) -> Directory:
        """Return the directory, given what the base of this identity has of it; that is used up."""
        if self.anew:
            found, origin = self.more, ""
        else:
            found = directory.edited(self.gone, self.more) if self.edits else directory
        if (len(found), found.size) != (self.count, self.size):
            raise ObjectDamaged("a manifest's base is not what its head was written for")
        found.state, found.origin = self.state, origin
        return found


@dataclass
class Head:
    """What is stored of one manifest alone."""

    database: str
    taken_at: str
    lines: dict[str, Line]
    base: Base | None = None
    damaged: dict[str, str] = field(default_factory=dict)
    packs: dict[int, Pack] = field(default_factory=dict)
    own_count: int = 0  # files with objects of their own

    def __len__(self) -> int:
        return sum(line.count for line in self.lines.values())

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(line.size for line in self.lines.values())

    @property
    def edits(self) -> int:
        """How many files differ from the base."""
        return sum(line.edits for line in self.lines.values())

    @classmethod
    def of(cls, manifest: Manifest, base: Base | None) -> Head:
        """Return the head of a manifest whose directories may have come out of ``base``."""
        lines = {name: Line.of(one, base) for name, one in sorted(manifest.directories.items())}
        base = None if all(line.anew for line in lines.values()) else base
        facts = manifest.damaged, manifest.packs, manifest.own_count
        return cls(manifest.database, manifest.taken_at, lines, base, *facts)

    @property
    def tells_all_objects(self) -> bool:
        """Whether no file that is in the base alone has an object of its own."""
        return sum(line.more.own_count for line in self.lines.values()) == self.own_count

    def has_state(self, name: str, state: State | None) -> bool:
        """Tell whether a directory looked like this, as far as that can be told."""
        return name in self.lines and state is not None and self.lines[name].state == state

    # --- as it is stored --------------------------------------------------------------------------

    def to_blocks(self) -> Iterator[bytes]:
        """Yield it as it is stored, before encryption, a directory at a time."""
        yield _line(self._header())
        yield from write_packs(self.packs)
        for line in self.lines.values():
            yield b"".join(sorted(line.gone))
            yield from line.more.to_blocks()

    def _header(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "database": self.database,
            "taken_at": self.taken_at,
            "damaged": self.damaged,
            "base": self.base,
            "packs": len(self.packs),
            "own": self.own_count,
            "directories": [[name, *line.facts()] for name, line in self.lines.items()],
            "files": len(self),
            "bytes": self.size,
        }

    @classmethod
    def read(cls, header: Mapping[str, Any], stream: Blocks) -> Head:
        """Read it behind its header."""
        found = cls(header["database"], header["taken_at"], {}, damaged=header["damaged"], own_count=header["own"])
        found.base = Base(*header["base"]) if header["base"] else None
        found.packs = read_packs(header, stream)
        for name, state, count, size, gone, more, anew in header["directories"]:
            digests = stream.read(gone * DIGEST_SIZE)
            each = frozenset(digests[at : at + DIGEST_SIZE] for at in range(0, len(digests), DIGEST_SIZE))
            files = Directory.read(stream, more, None)
            found.lines[name] = Line(State(*state) if state else None, count, size, each, files, anew)
        if (header["files"], header["bytes"]) != (len(found), found.size):
            raise ObjectDamaged("a manifest does not have as many files as it says")
        return found

    # --- with its base ----------------------------------------------------------------------------

    def manifest(self, base: Iterable[bytes] = ()) -> Manifest:
        """Return the manifest, given what is stored as its base.

        :raises ObjectDamaged, UnknownFormat: when that is not its base
        """
        found = Manifest(self.database, self.taken_at, damaged=self.damaged, packs=self.packs, base=self.base)
        found.directories = dict.fromkeys(self.lines, NOTHING)  # in their order
        waiting = dict(self.lines)
        for name, directory in read_base(base) if self.base else ():
            if name in waiting:
                found.directories[name] = waiting.pop(name).applied(directory, self.base.identity)
        for name, line in waiting.items():
            found.directories[name] = line.applied(Directory(), "")
        found.require_all({"files": len(self), "bytes": self.size})
        return found


def read(blocks: Iterable[bytes]) -> Head | Manifest:
    """Read a head, or a manifest of before there were heads, from blocks of any sizes.

    :raises ObjectDamaged, UnknownFormat: when it is neither
    """
    stream = Blocks(blocks)
    with _readable("a manifest"):
        if stream.begins_with(_GZIP):
            return Manifest.of_lines(stream.rest())
        header = json.loads(stream.line())
        if header["format"] not in (WHOLE, FORMAT):
            raise UnknownFormat(f"a manifest has the format {header['format']}")
        found = Head.read(header, stream) if header["format"] == FORMAT else Manifest.of_whole(header, stream)
        if stream.rest():
            raise ObjectDamaged("a manifest has more than it says")
        return found


def base_of(manifest: Manifest) -> tuple[dict[str, int], bool]:
    """Return how many files of each directory go into a new base, and whether all do.

    Those with objects of their own do not where they are few: a head alone can tell them then.
    """
    every = manifest.own_count > EDITS // 2
    counts = {name: len(one) - (0 if every else one.own_count) for name, one in sorted(manifest.directories.items())}
    return counts, every


def write_base(manifest: Manifest) -> Iterator[bytes]:
    """Yield a new base for a manifest, before encryption, a directory at a time."""
    counts, every = base_of(manifest)
    yield _line({"format": FORMAT, "directories": list(counts.items())})
    for name in counts:
        directory = manifest.directories[name]
        yield from (directory if every else directory.split()[0]).to_blocks()


def rebased(manifest: Manifest, base: Base) -> Head:
    """Return the head of a manifest whose base is what :func:`write_base` yielded."""
    _, every = base_of(manifest)
    head = Head.of(manifest, None)
    head.base = base
    for name, one in manifest.directories.items():
        more = NOTHING if every else one.split()[1]
        head.lines[name] = Line(one.state, len(one), one.size, frozenset(), more, anew=False)
    return head


def read_base(blocks: Iterable[bytes]) -> Iterator[tuple[str, Directory]]:
    """Yield the directories of a base.

    :raises ObjectDamaged, UnknownFormat: when it is none
    """
    stream = Blocks(blocks)
    with _readable("a manifest's base"):
        header = json.loads(stream.line())
        if header["format"] != FORMAT:
            raise UnknownFormat(f"a manifest's base has the format {header['format']}")
        for name, count in header["directories"]:
            yield name, Directory.read(stream, count, None)
        if stream.rest():
            raise ObjectDamaged("a manifest's base has more than it says")


def _line(what: dict[str, Any]) -> bytes:
    return f"{json.dumps(what, separators=(',', ':'))}\n".encode()


@contextmanager
def _readable(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise ObjectDamaged(f"{what} cannot be read: {error}") from error

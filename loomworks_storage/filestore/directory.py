"""The files of one of the 256 directories: digests, sizes and places, packed for a million files."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from .blocks import Blocks

DIRECTORIES = tuple(f"{number:02x}" for number in range(256))
DIGEST_SIZE = 20  # bytes

_OWN = 0xFFFFFFFF  # instead of a pack's number: the content has an object of its own


@dataclass(frozen=True)
class State:
    """What changes in a directory when a file comes or goes: its time, and which directory it is."""

    inode: int
    modified: int  # nanoseconds since 1970


class Pack(NamedTuple):
    """An object that holds several contents: its name, 40 hexadecimal digits, and its size in bytes."""

    identity: str
    size: int


class At(NamedTuple):
    """Where a content is, whatever the manifest: in which pack, and how many bytes from the pack's beginning."""

    pack: Pack
    offset: int


class Place(NamedTuple):
    """Where a content is in a pack: the pack's number in this manifest, and bytes from the pack's beginning."""

    pack: int
    offset: int


class Directory:
    """The files of one of the 256 directories."""

    def __init__(
        self,
        files: Mapping[str, int] | Iterable[tuple[str, int]] = (),
        state: State | None = None,
        places: Mapping[str, Place] | None = None,
    ) -> None:
        """Keep ``files`` (digest and size in bytes); without a ``state`` the next backup looks into it again.

        :param places: of the contents that are in packs; the others have objects of their own
        """
        pairs = sorted(dict(files).items())
        found = places or {}
        self.state = state
        self._digests = b"".join(bytes.fromhex(digest) for digest, _ in pairs)
        self._sizes = array("Q", [size for _, size in pairs])
        at = [found.get(digest, Place(_OWN, 0)) for digest, _ in pairs]
        self._packs, self._offsets = array("I", [one.pack for one in at]), array("I", [one.offset for one in at])

    def __len__(self) -> int:
        return len(self._sizes)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        for index, size in enumerate(self._sizes):
            yield self._digest(index).hex(), size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Directory) and list(self.entries()) == list(other.entries())

    __hash__ = None

    @property
    def digests(self) -> bytes:
        """The digests of all files in their order, 20 bytes each."""
        return self._digests

    @cached_property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(self._sizes)

    @cached_property
    def packs(self) -> frozenset[int]:
        """Numbers of the packs in which files of it are."""
        return frozenset(self._numbers - {_OWN})

    @property
    def own_count(self) -> int:
        """How many of its files have objects of their own."""
        return self._packs.count(_OWN)

    @cached_property
    def _numbers(self) -> set[int]:
        return set(self._packs)

    def entries(self) -> Iterator[tuple[str, int, Place | None]]:
        """Yield each file's digest, size, and place in a pack; None: it has an object of its own."""
        for (digest, size), number, offset in zip(self, self._packs, self._offsets, strict=True):
            yield digest, size, None if number == _OWN else Place(number, offset)

    def own(self) -> Iterator[tuple[str, int]]:
        """Yield digest and size of the files that have objects of their own."""
        if _OWN not in self._numbers:
            return
        for index, number in enumerate(self._packs):
            if number == _OWN:
                yield self._digest(index).hex(), self._sizes[index]

    def size_of(self, digest: str) -> int | None:
        """Return the size of one file, or None when it is not there."""
        index = self._index(digest)
        return None if index is None else self._sizes[index]

    def place_of(self, digest: str) -> Place | None:
        """Return where one file is in a pack, or None when it is in none."""
        index = self._index(digest)
        if index is None or self._packs[index] == _OWN:
            return None
        return Place(self._packs[index], self._offsets[index])

    def names(self) -> frozenset[str]:
        """Return the digests of all files."""
        text, width = self._digests.hex(), 2 * DIGEST_SIZE
        return frozenset(text[at : at + width] for at in range(0, len(text), width))

    def changed(self, gone: Iterable[str], other: Directory, state: State | None) -> Directory:
        """Return one without ``gone``, with the files of ``other``, those that it has already as ``other`` has them.

        It costs as much as there are changes, and a copy.
        """
        found, start = Directory((), state), 0
        edits = {bytes.fromhex(digest): None for digest in gone}
        edits |= {other._digest(index): index for index in range(len(other))}
        for digest, index in sorted(edits.items()):
            end = bisect_left(range(len(self)), digest, start, key=self._digest)
            found._take(self, start, end)
            if index is not None:
                found._take(other, index, index + 1)
            start = end + (end < len(self) and self._digest(end) == digest)
        found._take(self, start, len(self))
        return found

    def merged(self, others: Iterable[Directory]) -> Directory:
        """Return one with the files of ``others`` as well; its state is kept, unless one of them has none."""
        found = self
        for one in others:
            found = found.changed((), one, found.state and one.state and self.state)
        return found

    def to_blocks(self) -> Iterator[bytes]:
        """Yield its files as they are stored."""
        yield self._digests
        for values in (self._sizes, self._packs, self._offsets):
            yield _little_endian(values).tobytes()

    @classmethod
    def read(cls, stream: Blocks, count: int, state: State | None) -> Directory:
        """Read ``count`` files as :meth:`to_blocks` wrote them."""
        found = cls((), state)
        found._digests = stream.read(count * DIGEST_SIZE)
        for values in (found._sizes, found._packs, found._offsets):
            values.frombytes(stream.read(count * values.itemsize))
            _little_endian(values, copy=False)
        return found

    def _take(self, other: Directory, start: int, end: int) -> None:
        """Have files of ``other`` come behind its own."""
        self._digests += other._digests[start * DIGEST_SIZE : end * DIGEST_SIZE]
        self._sizes += other._sizes[start:end]
        self._packs += other._packs[start:end]
        self._offsets += other._offsets[start:end]

    def _index(self, digest: str) -> int | None:
        wanted = bytes.fromhex(digest)
        index = bisect_left(range(len(self)), wanted, key=self._digest)
        return index if index < len(self) and self._digest(index) == wanted else None

    def _digest(self, index: int) -> bytes:
        return self._digests[index * DIGEST_SIZE : (index + 1) * DIGEST_SIZE]


NOTHING = Directory()


def _little_endian(values: array, *, copy: bool = True) -> array:
    if sys.byteorder == "little":
        return values
    values = array(values.typecode, values) if copy else values
    values.byteswap()
    return values

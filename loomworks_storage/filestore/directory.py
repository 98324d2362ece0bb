"""The files of one of the 256 directories: digests, sizes and places, packed for a million files."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Set
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
    """The files of one of the 256 directories.

    One that came out of a stored base (see ``head``) knows what has been edited since, while that is less than all of
    it: it is its ``origin`` without ``gone`` and with ``more``.
    """

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
        self.origin = ""  # identity of the base that its edits are of; "": of none
        self.gone: frozenset[bytes] = frozenset()  # digests that are not there any more, or are others in ``more``
        self.more: Directory | None = None  # files that the base does not have, or has elsewhere
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
        gone = frozenset(map(bytes.fromhex, gone))
        found = self._spliced(gone, other)
        found.state = state
        # What has little left of the base is better named whole: edits take more room, in memory as well.
        if self.origin and len(self.gone) + len(self.more or ()) + len(gone) + len(other) <= len(found):
            found.origin, found.gone = self.origin, self.gone | gone
            found.more = (self.more or NOTHING)._spliced(gone, other)
        return found

    def edited(self, gone: frozenset[bytes], more: Directory) -> Directory:
        """Return what has become of this one, that of a base, by edits."""
        found = self._spliced(gone, more)
        found.gone, found.more = gone, more
        return found

    def split(self) -> tuple[Directory, Directory]:
        """Return the files that are in packs, and those that have objects of their own."""
        own = Directory(self.own())
        return (self.changed((digest for digest, _ in own), NOTHING, None) if own else self), own

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

    def _spliced(self, gone: Set[bytes], other: Directory) -> Directory:
        """Return its files but for ``gone``, and those of ``other``."""
        edits: dict[bytes, int | None] = dict.fromkeys(gone)
        edits |= {other._digest(index): index for index in range(len(other))}
        found, start = Directory(), 0
        for digest, index in sorted(edits.items()):
            end = bisect_left(range(len(self)), digest, start, key=self._digest)
            found._take(self, start, end)
            if index is not None:
                found._take(other, index, index + 1)
            start = end + (end < len(self) and self._digest(end) == digest)
        found._take(self, start, len(self))
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

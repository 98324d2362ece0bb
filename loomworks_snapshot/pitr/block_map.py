"""Where the blocks of one file are when base backups keep only those that changed (pgBackRest's "block incremental").

The format is that of pgBackRest 2.55, src/command/backup/blockMap.c: numbers are varints of seven bits, the lowest
first; references count the backups of the manifest's list; a reference has super blocks, a super block blocks, and of
each block there is a checksum. Only the places of the super blocks are read here: pgBackRest itself checks the blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..repository.errors import UnknownFormat

_LAST = 1
_REFERENCE_BUNDLE, _REFERENCE_CONTINUES = 2, 2  # the first time, and later
_REFERENCE_OFFSET, _REFERENCE_ENDS = 4, 4
_SUPER_BLOCK_RESIZED = 2
_SUPER_BLOCK_PARTIAL = 4


@dataclass(frozen=True)
class SuperBlock:
    """One stored piece: in the backup of this place in the list, in a bundle (0: the file's own object)."""

    reference: int
    bundle: int
    offset: int
    length: int


@dataclass
class _Reference:
    bundle: int
    offset: int
    block_size: int
    length: int = 0


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self) -> int:
        value = shift = 0
        while True:
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def skip(self, count: int) -> None:
        self._at += count

    def at_end(self) -> bool:
        return self._at == len(self._data)


def read(data: bytes, block_size: int, checksum_size: int) -> list[SuperBlock]:
    """Return the super blocks that a map (decrypted) names, each once for every time it is named.

    :raises UnknownFormat: when it is no map as this engine knows it
    """
    try:
        reader = _Reader(data)
        found = list(_super_blocks(reader, block_size, checksum_size))
    except (IndexError, KeyError) as error:
        raise UnknownFormat("a block map of the repository ends early") from error
    if not reader.at_end():
        raise UnknownFormat("a block map of the repository is longer than it says")
    return found


def _super_blocks(reader: _Reader, block_size: int, checksum_size: int) -> Iterator[SuperBlock]:
    if reader.number() & 1:
        raise UnknownFormat("a block map of the repository has another version")
    known: dict[int, _Reference] = {}
    length = 0
    last = False
    while not last:
        word = reader.number()
        last = bool(word & _LAST)
        number = word >> 3
        continued = number in known and bool(word & _REFERENCE_CONTINUES)
        reference = _reference(reader, known, number, word, block_size)
        offset = reference.offset
        super_last = False
        while not super_last:
            if continued:
                super_last, partial = bool(word & _REFERENCE_ENDS), True
                length = reference.length
                continued = False
            else:
                flags = reader.number()
                super_last, partial = bool(flags & _LAST), bool(flags & _SUPER_BLOCK_PARTIAL)
                length = _signed(flags >> 3) + length if length else flags >> 3
                if flags & _SUPER_BLOCK_RESIZED:
                    reference.block_size = _size(reader, block_size)
                reference.offset, reference.length = offset, length
            reader.skip(_blocks(reader, reference.block_size, block_size, partial) * checksum_size)
            yield SuperBlock(number, reference.bundle, offset, length)
            offset += length


def _reference(reader: _Reader, known: dict[int, _Reference], number: int, word: int, block_size: int) -> _Reference:
    """Return the reference with the place of its next super block."""
    if number not in known:
        bundle = reader.number() if word & _REFERENCE_BUNDLE else 0
        offset = reader.number() if word & _REFERENCE_OFFSET else 0
        known[number] = _Reference(bundle, offset, block_size)
    elif not word & _REFERENCE_CONTINUES:
        reference = known[number]
        reference.offset += reference.length
        if word & _REFERENCE_OFFSET:
            reference.offset += reader.number()
    return known[number]


def _size(reader: _Reader, block_size: int) -> int:
    word = reader.number()
    return (word >> 1) * block_size + (reader.number() if word & 1 else 0)


def _blocks(reader: _Reader, size: int, block_size: int, partial: bool) -> int:
    """Return how many blocks of a super block the file takes from here."""
    if not partial:
        return -(-size // block_size)
    word = reader.number()
    if word & 1:
        reader.number()  # the first block's place in the super block
    return (word >> 1) + 1


def _signed(number: int) -> int:
    return (number >> 1) ^ -(number & 1)

"""Have replay pass over what WAL says of other databases' pages.

A record that changes pages of one of these databases becomes one that does nothing (``XLOG_NOOP``), in place: it keeps
its length, its transaction and what it carries. Its checksum is corrected by the difference, as a CRC is linear and the
record's header is what it ends with. All other records are as they were: commits, shared catalogues. Where it is known
which database is wanted, those that are made on the way are passed over from their first page on, too.

Either all records of a database are passed over or none: replay refuses a change of a page that it has not seen before.
So everything that is not as expected ends in WalNotFiltered, and nothing is left half done. The format is PostgreSQL's
(src/include/access/xlogrecord.h, xlog_internal.h), of the one version that ``MAGIC`` names.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache

from ..repository.segments import SEGMENT_SIZE
from .errors import WalNotFiltered

MAGIC = 0xD116  # of PostgreSQL 17's pages
PAGE = 8192  # bytes
NEEDED = 48  # bytes of a record that decide: its header, and that of its first block up to the database

_PAGE = struct.Struct("<HHIQI4x")  # magic, flags, timeline, address, bytes left of the record before
_LONG = struct.Struct("<HHIQI4xQII")  # a segment's first page: and system, bytes of a segment, bytes of a page
_CONTINUED, _OVERWRITTEN = 1, 8  # flags: the page begins with the rest of a record; that rest never came
_RECORD = struct.Struct("<I12xH2xI")  # bytes in all, kind (what of it, and resource manager), CRC
_KIND_AT, _KIND = 16, struct.Struct("<H2xI")
_FIRST_AT = _RECORD.size  # of the header of the first block, where there is one
_LAST_BLOCK = 32  # greater numbers say that something else follows
_HAS_IMAGE, _HAS_HOLE, _COMPRESSED = 0x10, 0x01, 0x1C
_NUMBER = struct.Struct("<I")
_DATABASE_AT = 8  # in a block's header without image: behind its own 4 bytes and the tablespace
_MANAGER_AT, _DATABASES = 17, 4  # resource manager that makes and drops databases
_WHAT, _MAKES = 0xF0, (0x00, 0x10)  # which of its records make one, by copying files or by WAL
_SHORT_DATA, _MADE_AT = 255, 26  # what follows no block: a header of two bytes, then the database's number
_NOTHING = 0x20  # the kind of record that does nothing: XLOG_NOOP of the resource manager 0
_POLYNOMIAL = 0x82F63B78  # of CRC-32C, the bits the other way round


@dataclass(frozen=True)
class Selection:
    """Which databases are passed over, by their numbers: ``others``; and all that are made later, where the one that is
    wanted is known (``own``)."""

    others: Collection[int] = ()
    own: int | None = None

    @property
    def of_all(self) -> bool:
        """Whether nothing is passed over."""
        return not self.others and self.own is None


EVERYTHING = Selection()


class WalFilter:
    """Goes through the segments of one timeline, in their order; through one of them again at any time.

    :param first: number of the first segment
    """

    def __init__(self, selection: Selection, first: int) -> None:
        self._others = set(selection.others)
        self._own = selection.own
        self._seen = {first - 1}
        self._begun: dict[int, bytes] = {}  # by a segment's number: the beginning of a record that ends in it
        self.passed = 0  # records, those behind the target that have been read ahead included

    def segment(self, number: int, data: memoryview, following: Callable[[], bytes | None]) -> None:
        """Filter a segment, in place; again is as good as once.

        :param data: all of it, writable
        :param following: gives the beginning of the next segment (a page is enough), or None where there is none
        :raises WalNotFiltered: when it is not as expected, or comes before the one before it
        """
        if number - 1 not in self._seen:
            raise WalNotFiltered("its segments do not follow each other")
        try:
            self._segment(number, data, following)
        except (struct.error, IndexError, ValueError) as error:
            raise WalNotFiltered(f"a segment cannot be read: {error}") from error
        self._seen.add(number)

    def _segment(self, number: int, data: memoryview, following: Callable[[], bytes | None]) -> None:
        start = self._start(number, data)
        if begun := self._begun.get(number):
            self._finish(begun, data)
        end = self._records(data, start)
        if end < SEGMENT_SIZE:
            self._last(number, data, end, following)

    def _start(self, number: int, data: memoryview) -> int:
        """Return where the first record begins; the pages are what they should be."""
        if len(data) != SEGMENT_SIZE:
            raise WalNotFiltered(f"a segment has {len(data)} bytes")
        _, flags, _, address, left, _, segment_size, page_size = _LONG.unpack_from(data)
        if (address, segment_size, page_size) != (number * SEGMENT_SIZE, SEGMENT_SIZE, PAGE):
            raise WalNotFiltered(f"segments have {segment_size} bytes, pages {page_size}, one begins at {address:X}")
        low, high, flags_of_all = bytes(data[0::PAGE]), bytes(data[1::PAGE]), bytes(data[2::PAGE])
        used = len(low) - low[::-1].index(MAGIC & 0xFF) if MAGIC & 0xFF in low else 0
        if not used or set(low[:used]) != {MAGIC & 0xFF} or set(high[:used]) != {MAGIC >> 8} or any(high[used:]):
            raise WalNotFiltered("its pages are not of PostgreSQL 17")
        if any(one & _OVERWRITTEN for one in flags_of_all):
            raise WalNotFiltered("a record in it was not written to its end: the server was stopped hard")
        return _after(_LONG.size, left) if flags & _CONTINUED else _LONG.size

    def _records(self, data: memoryview, at: int) -> int:
        """Filter the records from ``at`` on; return where the last one is whose beginning is not whole, or the end.

        This is what takes the time: some 600,000 turns for a GiB, or ten times as many.
        """
        while at < SEGMENT_SIZE:
            room = PAGE - at % PAGE
            if room == PAGE:
                at, room = at + _PAGE.size, PAGE - _PAGE.size
            if room >= NEEDED:
                length = self._whole(data, at)
            elif at + room < SEGMENT_SIZE:
                length = self._split(data, at)
            else:
                return at
            if length < _RECORD.size:
                if length:
                    raise WalNotFiltered(f"a record has {length} bytes")
                return SEGMENT_SIZE  # the rest of it is empty
            size = (length + 7) & ~7
            at = at + size if size <= room else _after(at + room + _PAGE.size, size - room)
        return at

    def _whole(self, data: memoryview, at: int) -> int:
        """Filter a record whose beginning is on one page, faster than by :meth:`_is_others`; return its length."""
        length, kind, crc = _RECORD.unpack_from(data, at)
        if data[at + 24] <= 32 and length > 24:
            database = at + 32
            if data[at + 25] & 0x10:
                image = data[at + 32]
                database += 7 if image & 0x01 and image & 0x1C else 5
            if _NUMBER.unpack_from(data, database)[0] in self._others:
                _KIND.pack_into(data, at + 16, _NOTHING, crc ^ _difference(kind))
                self.passed += 1
        elif data[at + _MANAGER_AT] == _DATABASES:
            self._note_made(data[at : at + NEEDED])
        return length

    def _split(self, data: memoryview, at: int) -> int:
        """Filter a record whose beginning goes over two pages of this segment; return its length."""
        room = PAGE - at % PAGE
        head = bytes(data[at : at + room]) + bytes(data[at + room + _PAGE.size : at + _PAGE.size + NEEDED])
        if self._is_others(head):
            where = at + _KIND_AT + (_PAGE.size if room <= _KIND_AT else 0)
            self._pass_over(data, where)
        return _NUMBER.unpack_from(head)[0]

    def _last(self, number: int, data: memoryview, at: int, following: Callable[[], bytes | None]) -> None:
        """Filter a record whose beginning goes on in the next segment, or leave it to that one."""
        while at < SEGMENT_SIZE:
            begun = bytes(data[at:])
            length = _NUMBER.unpack_from(begun)[0]
            if not length:
                return
            if length > len(begun):
                break
            if length > _FIRST_AT:
                self._note_made(begun)
            at += (length + 7) & ~7  # it is too short to say anything of a page
        else:
            return
        if len(begun) <= _KIND_AT:
            self._begun[number + 1] = begun
            return
        then = following()
        if then is not None and self._is_others(begun + _continued(begun, then)):
            self._pass_over(data, at + _KIND_AT)

    def _finish(self, begun: bytes, data: memoryview) -> None:
        """Filter a record that begins in the segment before this one."""
        if self._is_others(begun + _continued(begun, data)):
            self._pass_over(data, _LONG.size + _KIND_AT - len(begun))

    def _is_others(self, head: bytes) -> bool:
        """Tell whether a record changes pages of one of the other databases, by its first bytes; note one it makes."""
        if head[_FIRST_AT] > _LAST_BLOCK or _NUMBER.unpack_from(head)[0] <= _FIRST_AT:
            self._note_made(head)
            return False
        at = _FIRST_AT + _DATABASE_AT
        if head[_FIRST_AT + 1] & _HAS_IMAGE:
            image = head[_FIRST_AT + 8]
            at += 7 if image & _HAS_HOLE and image & _COMPRESSED else 5
        return _NUMBER.unpack_from(head, at)[0] in self._others

    def _note_made(self, head: bytes | memoryview) -> None:
        """Pass over, from here on, a database that a record makes, unless it is the one that is wanted."""
        if self._own is None or head[_MANAGER_AT] != _DATABASES or head[_KIND_AT] & _WHAT not in _MAKES:
            return
        if head[_FIRST_AT] != _SHORT_DATA:
            raise WalNotFiltered("it tells of a new database in a way that is not known")
        if (number := _NUMBER.unpack_from(head, _MADE_AT)[0]) != self._own:
            self._others.add(number)

    def _pass_over(self, data: memoryview, at: int) -> None:
        what, crc = _KIND.unpack_from(data, at)
        _KIND.pack_into(data, at, _NOTHING, crc ^ _difference(what))
        self.passed += 1


def _continued(begun: bytes, data: bytes | memoryview) -> bytes:
    """Return the beginning of what a segment has of a record of which ``begun`` is before it."""
    _, flags, _, _, left, *_ = _LONG.unpack_from(data)
    if not flags & _CONTINUED or left != _NUMBER.unpack_from(begun)[0] - len(begun):
        raise WalNotFiltered("a record ends with its segment, and should not")
    return bytes(data[_LONG.size : _LONG.size + NEEDED])


def _after(at: int, left: int) -> int:
    """Return where what comes ``left`` bytes of records behind ``at`` is, on a page that has been begun."""
    left = (left + 7) & ~7
    room = PAGE - at % PAGE
    if left <= room:
        return at + left
    pages, rest = divmod(left - room, PAGE - _PAGE.size)
    return at + room + pages * PAGE + (_PAGE.size + rest if rest else 0)


@cache
def _difference(kind: int) -> int:
    """Return what a record's CRC changes by when its kind, the last but two bytes it covers, becomes nothing."""
    crc = 0
    for byte in (*(kind ^ _NOTHING).to_bytes(2, "little"), 0, 0):
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
    return crc

"""WAL positions and the names of WAL segments, as PostgreSQL writes them (src/include/access/xlog_internal.h)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import total_ordering

SEGMENT_SIZE = 16 * 1024 * 1024  # bytes; initdb's default, which the image keeps
PER_LOG = 0x1_0000_0000 // SEGMENT_SIZE
NAME = re.compile(r"^[0-9A-F]{24}$")
_LSN = re.compile(r"^([0-9A-F]{1,8})/([0-9A-F]{1,8})$", re.IGNORECASE)


def parse_lsn(text: str) -> int:
    """Return ``"16/B374D848"`` as a number of bytes.

    :raises ValueError: for anything else
    """
    match = _LSN.match(text)
    if not match:
        raise ValueError(f"{text!r} is no WAL position: it looks like 16/B374D848")
    return (int(match[1], 16) << 32) | int(match[2], 16)


def format_lsn(lsn: int) -> str:
    """Return a number of bytes as PostgreSQL writes it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


@total_ordering
@dataclass(frozen=True)
class Segment:
    """One WAL segment: a timeline and its number on it."""

    timeline: int
    number: int

    @classmethod
    def parse(cls, name: str) -> Segment:
        """Read a name of 24 hexadecimal digits.

        :raises ValueError: for anything else
        """
        if not NAME.match(name):
            raise ValueError(f"{name!r} is no name of a WAL segment")
        return cls(int(name[:8], 16), int(name[8:16], 16) * PER_LOG + int(name[16:], 16))

    @classmethod
    def holding(cls, timeline: int, lsn: int) -> Segment:
        """Return the segment in which the byte at ``lsn`` lies."""
        return cls(timeline, lsn // SEGMENT_SIZE)

    @classmethod
    def ending(cls, timeline: int, lsn: int) -> Segment:
        """Return the last segment that is needed to reach ``lsn``: the one with the byte before it."""
        return cls(timeline, max(lsn - 1, 0) // SEGMENT_SIZE)

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{self.timeline:08X}{self.number // PER_LOG:08X}{self.number % PER_LOG:08X}"

    @property
    def folder(self) -> str:
        """The folder of the archive in which pgBackRest keeps it: the first 16 digits."""
        return self.name[:16]

    @property
    def start(self) -> int:
        """The position of its first byte."""
        return self.number * SEGMENT_SIZE

    def __lt__(self, other: Segment) -> bool:
        return (self.timeline, self.number) < (other.timeline, other.number)


def between(first: Segment, last: Segment) -> Iterator[Segment]:
    """Yield every segment from ``first`` to ``last``, both included, on their one timeline."""
    for number in range(first.number, last.number + 1):
        yield Segment(first.timeline, number)

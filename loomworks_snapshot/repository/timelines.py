"""Timelines: where each branched off, as PostgreSQL's ``.history`` files say.

Source: src/backend/access/transam/timeline.c, and XLogFileReadAnyTLI for which segment is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from .errors import RepositoryDamaged
from .segments import SEGMENT_SIZE, Segment, parse_lsn

FIRST = 1  # the timeline of a server that was never promoted; it has no file
NAME = re.compile(r"^([0-9A-F]{8})\.history$")
_LINE = re.compile(r"^\s*(\d+)\s+([0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8})(\s|$)")


@dataclass(frozen=True)
class Branch:
    """A part of the way: ``timeline`` from ``start`` on; the next branch's start is its end."""

    timeline: int
    start: int
    left_because: str = field(default="", compare=False)  # in PostgreSQL's words; empty at the last one


@dataclass(frozen=True)
class Path:
    """The way that recovery takes along one timeline and its ancestors, the oldest first."""

    branches: tuple[Branch, ...]

    @classmethod
    def parse(cls, timeline: int, text: str) -> Path:
        """Read the ``.history`` file of ``timeline``: one line for each ancestor, with where it was left.

        :raises RepositoryDamaged: when it is not one
        """
        branches, start = [], 0
        for line in text.splitlines():
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            match = _LINE.match(line)
            if not match:
                raise RepositoryDamaged(f"the history of timeline {timeline} has a line that is none: {line[:80]!r}")
            branches.append(Branch(int(match[1]), start, line[match.end() :].strip()))
            start = parse_lsn(match[2])
        return cls((*branches, Branch(timeline, start)))

    @property
    def timeline(self) -> int:
        """The timeline at its end."""
        return self.branches[-1].timeline

    @property
    def start(self) -> int:
        """Where its last timeline begins."""
        return self.branches[-1].start

    def end_of(self, timeline: int) -> int | None:
        """Return where the way leaves ``timeline``: None when it does not take it, and no end at its last one."""
        for branch, following in self._pairs():
            if branch.timeline == timeline:
                return following
        return None

    def holds(self, timeline: int, lsn: int) -> bool:
        """Tell whether what was written on ``timeline`` up to ``lsn`` lies on this way."""
        end = self.end_of(timeline)
        return end is not None and lsn <= end

    def timelines(self, first: int, last: int) -> tuple[int, ...]:
        """Return the timelines of the segments with the numbers from ``first`` to ``last``."""
        return tuple(dict.fromkeys(segment.timeline for segment in self.segments(first, last)))

    def segment(self, number: int) -> Segment:
        """Return the segment that recovery reads at this number.

        The one in which a timeline begins is read from that timeline: it starts with a copy of its parent's.
        """
        later = (one for one in reversed(self.branches) if one.start // SEGMENT_SIZE <= number)
        return Segment(next(later, self.branches[0]).timeline, number)

    def segments(self, first: int, last: int) -> Iterator[Segment]:
        """Yield the segments that recovery reads, by numbers from ``first`` to ``last``."""
        for number in range(first, last + 1):
            yield self.segment(number)

    def _pairs(self) -> Iterable[tuple[Branch, int]]:
        ends = [branch.start for branch in self.branches[1:]]
        return zip(self.branches, [*ends, ENDLESS], strict=True)


ENDLESS = 1 << 64


def file_name(timeline: int) -> str:
    """Return the name of a timeline's file."""
    return f"{timeline:08X}.history"

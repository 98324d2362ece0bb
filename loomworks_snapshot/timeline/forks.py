"""Spans of time that the server's present way does not have: it was taken back since, or a failover lost them.

Replay to a time within such a span ends at the first commit after it, which is one of the new timeline: what comes out
is the state at the fork, without a word. WAL says where a fork is, and not when; what is known near it tells the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..repository.archive import Archive
from ..repository.segments import SEGMENT_SIZE, Segment
from ..repository.timelines import Branch
from .spans import Span

TO_THE_END = "no recovery target specified"  # getRecoveryStopReason of src/backend/access/transam/xlogrecovery.c


@dataclass(frozen=True)
class Known:
    """A position in the WAL and when the server was there, in seconds since 1970."""

    timeline: int
    position: int
    moment: float


def abandoned(archive: Archive, timeline: int, known: Iterable[Known], now: float) -> list[Span]:
    """Return the spans of time of which the way along ``timeline`` may not have what the server did, the oldest first.

    Each begins at the last moment that is known to be before the fork, and ends at the first one known to be behind it;
    its ends are on the way. A fork behind which nothing was left, as of a failover without loss, is none.

    :raises RepositoryUnreachable, RepositoryDenied, WrongKey, RepositoryDamaged: when nobody can tell
    """
    path = archive.path(timeline)
    if not path:
        return []
    known = list(known)
    points = [one for one in known if path.holds(one.timeline, one.position)]
    forks = [then for one, then in pairwise(path.branches) if _left_something(archive, one, then, known)]
    return [_around(then.start, points, now) for then in forks]


def _left_something(archive: Archive, branch: Branch, following: Branch, known: Sequence[Known]) -> bool:
    """Tell whether there is WAL behind the fork that is not on the way: of the timeline, or of one in between."""
    at_fork = Segment(branch.timeline, following.start // SEGMENT_SIZE)
    between = range(branch.timeline + 1, following.timeline)
    return (
        _holds_more(archive, at_fork, branch, following, known)
        or archive.has_after(at_fork)
        or any(other in between for other in archive.known_timelines)
    )


def _holds_more(archive: Archive, at_fork: Segment, branch: Branch, following: Branch, known: Sequence[Known]) -> bool:
    """Tell whether the archived segment of the fork goes on behind it.

    Recovery to the end of the archive forks within its last segment, where the last record goes on in one that never
    came: nothing is lost then, unless something behind the fork is known.
    """
    if not archive.sizes(at_fork):
        return False
    if branch.left_because != TO_THE_END:
        return True
    return any(one.timeline == branch.timeline and one.position > following.start for one in known)


def _around(fork: int, points: Sequence[Known], now: float) -> Span:
    before = [one.moment for one in points if one.position <= fork]
    behind = [one.moment for one in points if one.position > fork]
    return Span(max(before, default=0.0), min(behind, default=now))


def span_of(moment: float, spans: Iterable[Span]) -> Span | None:
    """Return the span in whose inside the moment lies, or None."""
    return next((one for one in spans if one.since < moment < one.until), None)

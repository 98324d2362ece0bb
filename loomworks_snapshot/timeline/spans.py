"""The spans of time to which a tenant can be brought back, and why not to the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise


class Why(StrEnum):
    """Why a moment cannot be restored."""

    FUTURE = "future"
    BEFORE_TENANT = "before_tenant"
    BEFORE_BACKUPS = "before_backups"
    GAP = "gap"  # WAL between two base backups is missing
    NO_BACKUPS = "no_backups"


@dataclass(frozen=True, order=True)
class Span:
    """From a moment to another one, in seconds since 1970."""

    since: float
    until: float

    def holds(self, moment: float) -> bool:
        """Tell whether the moment lies in it; its ends do."""
        return self.since <= moment <= self.until


def restorable(reached: Iterable[Span], born: float, now: float) -> list[Span]:
    """Return what can be restored, in order, no two of them touching.

    :param reached: what each base backup leads to
    :param born: since when the tenant's database has been there
    """
    found: list[Span] = []
    for span in sorted(reached):
        clipped = Span(max(span.since, born), min(span.until, now))
        if clipped.since > clipped.until:
            continue
        if found and clipped.since <= found[-1].until:
            found[-1] = Span(found[-1].since, max(found[-1].until, clipped.until))
        else:
            found.append(clipped)
    return found


def without(spans: Sequence[Span], holes: Iterable[Span]) -> list[Span]:
    """Return the spans less the insides of the holes; the ends of a hole stay."""
    found = list(spans)
    for hole in holes:
        pieces = [
            (Span(one.since, min(one.until, hole.since)), Span(max(one.since, hole.until), one.until)) for one in found
        ]
        found = [piece for pair in pieces for piece in pair if piece.since <= piece.until]
    return found


def gaps(spans: Sequence[Span], now: float) -> list[Span]:
    """Return what lies between the spans, and after the last one."""
    edges = [*((one.since, one.until) for one in spans), (now, now)] if spans else []
    return [Span(before[1], after[0]) for before, after in pairwise(edges) if before[1] < after[0]]


def why_not(moment: float, spans: Sequence[Span], born: float, now: float) -> Why | None:
    """Return why this moment cannot be restored, or None when it can."""
    if moment > now:
        return Why.FUTURE
    if moment < born:
        return Why.BEFORE_TENANT
    if any(span.holds(moment) for span in spans):
        return None
    if not spans:
        return Why.NO_BACKUPS
    return Why.BEFORE_BACKUPS if moment < spans[0].since else Why.GAP

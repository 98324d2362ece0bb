"""Which snapshots of one tenant are kept: the newest of each hour, day, week and month, for as many as the plan says.

Only snapshots that can be restored count: a failed one never stands in for a good one of the same day.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

FAILED_KEPT = timedelta(days=14)  # how long a snapshot that cannot be restored waits for its repository, from then on


@dataclass(frozen=True)
class Policy:
    """How many hours, days, weeks and months (UTC; weeks begin on Monday) keep their newest snapshot."""

    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0


@dataclass(frozen=True)
class Kept:
    """A snapshot as the rules see it; times are UTC."""

    key: Hashable
    moment: datetime
    ready: bool = True
    forever: bool = False
    until: datetime | None = None  # set: kept until then, whatever the rules say; None: the rules decide
    failed_since: datetime | None = None  # when it was first seen that it cannot be restored; None: as of its moment


PERIODS: dict[str, Callable[[datetime], Hashable]] = {
    "hourly": lambda moment: (moment.date(), moment.hour),
    "daily": lambda moment: moment.date(),
    "weekly": lambda moment: moment.isocalendar()[:2],
    "monthly": lambda moment: (moment.year, moment.month),
}


def expendable(snapshots: Iterable[Kept], policy: Policy, now: datetime) -> list[Hashable]:
    """Return the keys of the snapshots that may expire, the oldest first.

    Never one that is kept forever, and never the newest that can be restored.
    """
    everything = sorted(snapshots, key=_age)
    kept = {one.key for one in _kept_by_rules([one for one in everything if one.ready], policy)}
    return [one.key for one in everything if one.key not in kept and _has_ended(one, now)]


def _kept_by_rules(ready: Sequence[Kept], policy: Policy) -> list[Kept]:
    """Return what the rules keep of ``ready`` (the oldest first)."""
    ruled = [one for one in ready if one.until is None]
    kept = list(ready[-1:])
    for name, period in PERIODS.items():
        newest = {period(one.moment): one for one in ruled}  # later ones replace earlier ones
        kept += list(newest.values())[-count:] if (count := getattr(policy, name)) > 0 else []
    return kept


def _has_ended(one: Kept, now: datetime) -> bool:
    if one.forever:
        return False
    if one.until is not None:
        return one.until <= now
    return one.ready or (one.failed_since or one.moment) + FAILED_KEPT <= now


def _age(one: Kept) -> tuple[datetime, str]:
    return one.moment, str(one.key)

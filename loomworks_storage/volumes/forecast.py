"""On which day a volume is full, if it goes on as in the last weeks.

The slope is the median of those between all pairs of readings (Theil and Sen): one large import, or one clean-up, does
not bend it. Where little is known, or nothing grows, that is the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import combinations
from statistics import median

WINDOW = timedelta(days=28)  # what is older says little of the next weeks
LEAST_SPAN = timedelta(days=1)
LEAST_READINGS = 6
MOST_READINGS = 60  # of which all pairs are looked at
HORIZON = timedelta(days=2 * 365)  # what fills up later than that is not filling up
RISING = 0.6  # the share of pairs that must rise: else it goes up and down
DAY = 86400  # seconds


class Outlook(StrEnum):
    """What can be said of a volume."""

    UNKNOWN = "unknown"  # too few readings, or over too short a time
    STEADY = "steady"  # it does not grow, or not noticeably
    GROWING = "growing"  # it will be full on a day


@dataclass(frozen=True)
class Reading:
    """How many bytes were used at a moment (UTC)."""

    at: datetime
    used: float


@dataclass(frozen=True)
class Forecast:
    """The outlook; bytes a day and the day on which it is full where it grows."""

    outlook: Outlook
    per_day: float = 0.0
    full_on: date | None = None


def forecast(readings: Sequence[Reading], size: float, now: datetime) -> Forecast:
    """Say when a file system of ``size`` bytes is full, by its readings in the order of time."""
    recent = [one for one in readings if one.at >= now - WINDOW]
    if len(recent) < LEAST_READINGS or recent[-1].at - recent[0].at < LEAST_SPAN:
        return Forecast(Outlook.UNKNOWN)
    slopes = _slopes(_spread(recent))
    per_day = median(slopes)
    rising = sum(one > 0 for one in slopes) / len(slopes)
    left = max(0.0, size - recent[-1].used)
    if rising < RISING or per_day * HORIZON.days <= left:
        return Forecast(Outlook.STEADY)
    return Forecast(Outlook.GROWING, per_day, (now + timedelta(days=left / per_day)).date())


def _spread(readings: Sequence[Reading]) -> list[Reading]:
    """Return at most so many readings, evenly over the time, the first and the last among them.

    By time, not by number: recent hours have more readings than weeks ago, and count no more.
    """
    first, last = readings[0].at, readings[-1].at
    step = (last - first) / (MOST_READINGS - 1)
    slots = {round((one.at - first) / step): one for one in readings}
    return [slots[number] for number in sorted(slots)]


def _slopes(readings: Sequence[Reading]) -> list[float]:
    """Return the bytes a day between each pair."""
    points = [((one.at - readings[0].at).total_seconds(), one.used) for one in readings]
    return [
        (used - before) * DAY / (at - earlier)
        for (earlier, before), (at, used) in combinations(points, 2)
        if at > earlier
    ]

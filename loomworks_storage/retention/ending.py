"""The end of a tenant's data: never before the day promised, and never before its people have been told of that day.

A tenant whose subscription has ended is *suspended*, later *archived*, later *erased*. Archiving and erasing are
promised for a day. Each is told twice ahead. Whoever was not told in time, as when the control plane was away, gets
the whole time from the telling on: the day moves, and only ever to later. All moments are UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from enum import StrEnum

FIRST_LEAD = timedelta(days=14)  # between the first telling and what it announces
LAST_LEAD = timedelta(days=3)  # between the last telling and what it announces


class Stage(StrEnum):
    """How far a tenant is on its way to its end."""

    SERVING = "serving"  # its subscription goes on
    ENDED = "ended"  # the subscription is over: suspended, everything is kept
    ARCHIVED = "archived"  # soft deleted: Odoo is gone, volume and database are kept
    ERASED = "erased"  # nothing is left, or somebody has asked for that


@dataclass(frozen=True)
class Terms:
    """For how many days a plan keeps the data: after the subscription's end, and after archiving."""

    ended_days: int
    retention_days: int

    def archived_from(self, ended: datetime) -> datetime:
        """Return when a tenant is archived whose subscription ended then."""
        return ended + timedelta(days=max(0, self.ended_days))

    def erased_from(self, archived: datetime) -> datetime:
        """Return when a tenant is erased that was archived then."""
        return archived + timedelta(days=max(0, self.retention_days))


@dataclass(frozen=True)
class Life:
    """Where a tenant stands; what was promised is kept, whatever its plan says by now."""

    stage: Stage
    expires: date | None = None  # the subscription's last day
    archive_at: datetime | None = None  # promised
    erase_at: datetime | None = None  # promised


def kept_until(archived: datetime, archive_at: datetime, erase_at: datetime) -> datetime:
    """Return when a tenant is erased that was promised these days, and is archived at ``archived``.

    Not before the day that was promised, and where it is archived later than promised, as much later.
    """
    return max(erase_at, archived + (erase_at - archive_at))


@dataclass(frozen=True)
class Dates:
    """What is to come, as far as it is known; None: not foreseen, or over."""

    suspended: datetime | None = None
    archived: datetime | None = None
    erased: datetime | None = None


def foresee(life: Life, terms: Terms) -> Dates:
    """Return the dates that stand before a tenant."""
    if life.stage == Stage.ARCHIVED:
        return Dates(erased=life.erase_at)
    if life.stage == Stage.ENDED and life.archive_at:
        return Dates(archived=life.archive_at, erased=life.erase_at or terms.erased_from(life.archive_at))
    if life.stage == Stage.SERVING and life.expires:
        suspended = datetime.combine(life.expires + timedelta(days=1), time.min)
        archived = terms.archived_from(suspended)
        return Dates(suspended, archived, terms.erased_from(archived))
    return Dates()


class Turn(StrEnum):
    """What is to be done about an end now."""

    WAIT = "wait"
    TELL = "tell"  # its people, for the first time
    REMIND = "remind"  # them, for the last time
    ACT = "act"  # archive, or erase


@dataclass(frozen=True)
class End:
    """An end that was promised, and what its people were told of it."""

    since: datetime  # when the stage that ends began
    promised: datetime
    told: datetime | None = None
    reminded: datetime | None = None

    def decide(self, now: datetime) -> tuple[Turn, datetime]:
        """Return what is to be done now, and the day that holds from now on; never earlier than the promised one."""
        day = self.earliest(now)
        if self.told is None:
            return (Turn.TELL if now >= day - self._lead(FIRST_LEAD) else Turn.WAIT), day
        if self.reminded is None:
            return (Turn.REMIND if now >= day - self._lead(LAST_LEAD) else Turn.WAIT), day
        return (Turn.ACT if now >= day else Turn.WAIT), day

    def earliest(self, now: datetime) -> datetime:
        """Return the first moment at which it may happen, were its people told now who have not been yet."""
        if self.told is None:
            return max(self.promised, now + self._lead(FIRST_LEAD))
        if self.reminded is None:
            return max(self.promised, now + self._lead(LAST_LEAD))
        return self.promised

    def after(self, turn: Turn, day: datetime, now: datetime) -> End:
        """Return the end as it stands once its people have been told of ``day``: it is promised anew."""
        if turn == Turn.TELL:
            once = self._lead(FIRST_LEAD) <= LAST_LEAD  # so short that one telling does for both
            return replace(self, promised=day, told=now, reminded=now if once else None)
        return replace(self, promised=day, reminded=now) if turn == Turn.REMIND else self

    def _lead(self, lead: timedelta) -> timedelta:
        """Nobody can be told longer ahead than the stage lasts."""
        return max(timedelta(0), min(lead, self.promised - self.since))

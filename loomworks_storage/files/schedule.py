"""Which tenants' files are to be backed up now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

FIRST = timedelta(hours=1)  # after the tenant was made: what its first visits write is backed up together
AFTER_FAILURE = timedelta(hours=1)  # of one that works; one that is stopped waits for the plan's hours


@dataclass(frozen=True)
class Turn:
    """What is known of one tenant's backups."""

    key: int
    made_at: datetime  # of the tenant
    hours: int  # between two backups; 0: none by itself
    last: datetime | None = None  # when the last good one was asked for
    failed: datetime | None = None  # when the last failed one was asked for
    stopped: bool = False  # nobody has written since that failed: it fails again until somebody sees to it

    @property
    def due_at(self) -> datetime:
        """When the next one is to be asked for."""
        turn = self.last + timedelta(hours=self.hours) if self.last else self.made_at + FIRST
        pause = timedelta(hours=self.hours) if self.stopped else AFTER_FAILURE
        return max(turn, self.failed + pause) if self.failed else turn


def due(turns: Iterable[Turn], now: datetime, room: int) -> list[int]:
    """Return the keys of at most ``room`` tenants whose turn it is, the longest waiting first."""
    waiting = sorted((turn for turn in turns if turn.hours and turn.due_at <= now), key=lambda turn: turn.due_at)
    return [turn.key for turn in waiting[: max(0, room)]]

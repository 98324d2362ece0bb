"""How long a server's repository holds what was erased: until the last base backup and WAL of that time have expired.

A base backup is of the whole server, and the WAL stays from the oldest full one on without a gap
(``backup/expiry.py``). So what was erased is gone as soon as the oldest base backup that is left began after it.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

SLACK_DAYS = 2  # a full backup may be late, and what has expired is removed by the next look after it


def least_days(window_days: int, full_every_days: int) -> int:
    """Return the shortest promise, in days, that a server with this policy can keep."""
    return window_days + full_every_days + SLACK_DAYS


def oldest_kept(now: datetime, forget_days: int, full_every_days: int) -> datetime | None:
    """Return the moment before which nothing may be kept, so that the promise holds; None without a promise (0).

    A kept moment holds its full backup, which may be a cycle older than itself.
    """
    return now - timedelta(days=forget_days - full_every_days - SLACK_DAYS) if forget_days else None


def is_gone(erased_at: datetime, backups_began: Collection[datetime]) -> bool:
    """Tell whether nothing is left of what was erased then; without a base backup, nobody knows."""
    return bool(backups_began) and min(backups_began) > erased_at


def usual_end(erased_at: datetime, window_days: int, full_every_days: int) -> datetime:
    """Return until when it is there where nobody's snapshot keeps it longer."""
    return erased_at + timedelta(days=least_days(window_days, full_every_days))

"""Whose turn it is: every tenant has its own minute, so that a thousand daily snapshots do not fall into one second."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

MINUTE = 60  # seconds


@dataclass(frozen=True)
class Rhythm:
    """How often a tenant wants a snapshot (minutes; 0: never), and when the last one was asked for (UTC)."""

    tenant: str  # its uuid, which decides on its minute
    minutes: int
    last: datetime | None


def due(rhythms: Iterable[Rhythm], now: datetime) -> list[str]:
    """Return the tenants whose turn has come since their last snapshot.

    A tenant that was not served for several turns (the control plane was away) gets one snapshot, not several.
    """
    return [one.tenant for one in rhythms if one.minutes > 0 and _is_due(one, now)]


def next_turn(rhythm: Rhythm, now: datetime) -> datetime | None:
    """Return when the next snapshot is taken: now, if it is due; None if never."""
    if rhythm.minutes <= 0:
        return None
    if _is_due(rhythm, now):
        return now
    seconds = rhythm.minutes * MINUTE
    turn = (_turn(rhythm, now) + 1) * seconds + _phase(rhythm)
    return datetime.fromtimestamp(turn, UTC).replace(tzinfo=None)


def _is_due(rhythm: Rhythm, now: datetime) -> bool:
    return rhythm.last is None or _turn(rhythm, rhythm.last) < _turn(rhythm, now)


def _turn(rhythm: Rhythm, moment: datetime) -> int:
    seconds = moment.replace(tzinfo=UTC).timestamp()
    return int((seconds - _phase(rhythm)) // (rhythm.minutes * MINUTE))


def _phase(rhythm: Rhythm) -> int:
    """Return the tenant's own offset in seconds: the same each time, and evenly spread over many tenants."""
    digest = hashlib.sha256(rhythm.tenant.encode()).digest()
    return int.from_bytes(digest[:8]) % (rhythm.minutes * MINUTE)

"""What becomes of a snapshot after a look at the repository. Never imports odoo."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .repository.verdict import Proof, Reason, Unproven, Verdict

SETTLE = 60.0  # seconds for which a new snapshot's problem is looked at again: segments may arrive out of order
PATIENCE = 60.0  # seconds after which what a new snapshot waits for is shown as a problem
SETTLE_LOOK = 2.0  # seconds between two looks at a new snapshot with a problem
NO_BACKUP_LOOK = 10.0  # seconds between two looks for the first base backup
LOOKS = ((30.0, 0.1), (120.0, 1.0), (600.0, 10.0))  # waited so long: look every so many seconds
LAST_LOOK = 60.0


class State(StrEnum):
    """Where a snapshot stands."""

    CREATING = "creating"  # asked for; not proven yet
    READY = "ready"  # the repository leads there
    RESTORING = "restoring"  # a restore is made from it
    FAILED = "failed"  # the repository does not lead there (any more)
    EXPIRED = "expired"  # given up; only the row is left


@dataclass(frozen=True)
class Seen:
    """A snapshot before the verdict; times in seconds."""

    state: State
    waited: float  # since it was asked for
    troubled: float | None = None  # since a problem was first seen
    fixed: bool = False  # its position was given: it cannot be taken again


@dataclass(frozen=True)
class Next:
    """What to do: the new state, seconds until the next look (None: none by itself)."""

    state: State
    pause: float | None = None
    problem: bool = False  # to be shown as one
    retake: bool = False  # its position leads nowhere and never will: take it again


def judge(seen: Seen, verdict: Verdict) -> Next:
    """Return what follows from a verdict.

    A new snapshot is given time, as archiving is. What was ready once has no excuse: it fails at once, and comes back
    when the repository is whole again.
    """
    proven = isinstance(verdict, Proof)
    if seen.state == State.RESTORING:
        return Next(State.RESTORING, problem=not proven)
    if proven:
        return Next(State.READY)
    return _judge_new(seen, verdict) if seen.state == State.CREATING else Next(State.FAILED, problem=True)


def _judge_new(seen: Seen, verdict: Unproven) -> Next:
    overdue = seen.waited > PATIENCE
    if verdict.reason == Reason.NO_BASE_BACKUP and not seen.fixed:
        return Next(State.CREATING, NO_BACKUP_LOOK, overdue, retake=True)
    if verdict.waiting:
        return Next(State.CREATING, look_after(seen.waited), overdue)
    if seen.troubled is None or seen.troubled < SETTLE:
        return Next(State.CREATING, SETTLE_LOOK, problem=True)
    return Next(State.FAILED, problem=True)


def look_after(waited: float) -> float:
    """Return the pause until the next look at a snapshot that has been waiting for so long."""
    return next((pause for limit, pause in LOOKS if waited < limit), LAST_LOOK)

"""Which work on a server's repository is wanted now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .base_backup import FULL, KINDS, BaseBackup, usable
from .work import Look, Work

DAY = 86_400  # seconds
MIB = 1024 * 1024  # bytes
RETRY_UP_TO = {"verify": DAY}  # seconds; anything else: an hour
RETRY_FROM = {"verify": 3600}  # seconds after a failure: verifying reads everything; anything else: a minute
UNSOUND_PAUSE = 6 * 3600  # seconds until another backup is made of a server whose pages have wrong checksums


@dataclass(frozen=True)
class Policy:
    """When base backups are made and for how long every moment stays restorable."""

    full_every: int = 7 * DAY  # seconds
    incremental_every: int = DAY  # seconds
    incremental_wal: int = 1024 * MIB  # bytes written since the last backup began: they bound a restore's replay
    window: int = 14 * DAY  # seconds
    check_every: int = DAY  # seconds
    verify_every: int = 7 * DAY  # seconds


def backup_wanted(look: Look, policy: Policy) -> str | None:
    """Return the kind of base backup that is due, or None.

    An incremental one builds on the newest there is, whatever that is worth: where it is no base, a full one is made.
    """
    backups = [work for work in look.work if work.kind in KINDS]
    if _pending(backups) or look.now < not_before(backups):
        return None
    own = [one for one in look.backups if one.system_identifier == look.system_identifier]
    if own and own[-1].failed and look.now - own[-1].stopped < UNSOUND_PAUSE:
        return None
    bases = usable(own)
    if _is_full_due([one.started for one in bases if one.kind == FULL], look, policy):
        return FULL
    if not _is_incremental_due(bases[-1], look, policy):
        return None
    return "incr" if bases[-1] == own[-1] else FULL


def _is_incremental_due(newest: BaseBackup, look: Look, policy: Policy) -> bool:
    if newest.timeline != look.timeline or look.lsn - newest.lsn_start >= policy.incremental_wal:
        return True
    return look.now - newest.started >= policy.incremental_every


def _is_full_due(starts: Sequence[int], look: Look, policy: Policy) -> bool:
    return not starts or look.now - max(starts) >= policy.full_every


def checks_wanted(look: Look, policy: Policy) -> list[str]:
    """Return which of ``check`` and ``verify`` are due, or are to be repeated because they failed."""
    first = min((one.stopped for one in look.backups), default=None)
    return [
        kind
        for kind, every in (("check", policy.check_every), ("verify", policy.verify_every))
        if _is_check_due(look, [one for one in look.work if one.kind == kind], first, every)
    ]


def _is_check_due(look: Look, work: Sequence[Work], first: int | None, every: int) -> bool:
    """Tell whether a check is wanted; there is nothing to look at before there is a backup."""
    if first is None or _pending(work) or look.now < not_before(work):
        return False
    done = [one.finished for one in work if one.succeeded and one.finished]
    return bool(failures(work)) or look.now - max(done, default=first) >= every


def failures(work: Sequence[Work]) -> list[Work]:
    """Return what has failed since the last success, the oldest first."""
    ended = [one for one in work if one.finished is not None]
    last = max((number for number, one in enumerate(ended) if one.succeeded), default=-1)
    return ended[last + 1 :]


def _pending(work: Sequence[Work]) -> bool:
    return any(one.finished is None for one in work)


def not_before(work: Sequence[Work]) -> float:
    """Return when the next attempt may begin: each failure doubles the pause."""
    failed = failures(work)
    if not failed:
        return 0
    kind = failed[-1].kind
    pause = RETRY_FROM.get(kind, 60) * 2 ** min(len(failed) - 1, 10)
    return (failed[-1].finished or 0) + min(pause, RETRY_UP_TO.get(kind, 3600))

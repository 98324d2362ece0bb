"""Which base backups may go: a full one with all that depend on it, or none of them.

What stays: the newest full backup; whatever restores any moment of the window; the best base of each kept target, and
the one from which its proof starts.
The WAL stays from the oldest remaining full backup until now without a gap, so whatever base is left can be replayed
to any later moment (docs/decisions/0015-scheduled-base-backups.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .base_backup import FULL, FULL_LABEL_SIZE, BaseBackup, usable


@dataclass(frozen=True)
class Target:
    """A moment to which somebody wants to go back: an LSN on a timeline of a server."""

    timeline: int
    lsn: int
    system_identifier: str = ""  # empty: of whichever server
    base_backup_label: str = ""  # from which its proof starts; empty: not known


def expendable(backups: Sequence[BaseBackup], window_start: float, targets: Iterable[Target | str]) -> list[str]:
    """Return the labels of the full backups that may be removed with their dependents, the oldest first.

    :param window_start: seconds since 1970; every moment since then must stay restorable
    :param targets: what is kept beyond the window; a text is the label of a base backup
    """
    bases = usable(backups)
    newest = max((one.started for one in bases if one.kind == FULL), default=None)
    covering = _start_of_set_before(bases, window_start)
    if newest is None or covering is None:
        return []
    since = min(newest, covering)
    needed = {label for target in targets for label in _needed(bases, target)}
    old = sorted((one for one in backups if one.kind == FULL and one.started < since), key=lambda one: one.started)
    return [one.label for one in old if one.label not in needed]


def _start_of_set_before(bases: Sequence[BaseBackup], moment: float) -> int | None:
    """Return when the set began that restores ``moment``; None when no base is as old."""
    best = max((one for one in bases if one.stopped <= moment), key=lambda one: one.stopped, default=None)
    return None if best is None else next(one.started for one in bases if one.label == best.set_label)


def _needed(bases: Sequence[BaseBackup], target: Target | str) -> set[str]:
    """Return the sets that hold the best base of ``target``, and the base that its proof names.

    One for each timeline up to the target's: where a timeline left its parent is not known here, so the base may
    be on either side of that point. A newer one on a way that the server has left is none: the proof knows.
    """
    if isinstance(target, str):
        return {target[:FULL_LABEL_SIZE]}
    best: dict[tuple[str, int], BaseBackup] = {}
    for one in sorted(bases, key=lambda base: base.lsn_stop):
        if one.timeline <= target.timeline and one.lsn_stop <= target.lsn and _is_of(one, target):
            best[one.system_identifier, one.timeline] = one
    named = [one for one in bases if one.label == target.base_backup_label]
    return {one.set_label for one in (*best.values(), *named)}


def _is_of(base: BaseBackup, target: Target) -> bool:
    return target.system_identifier in {"", base.system_identifier}

"""When people are warned of a volume that fills up, and when it grows by itself."""

from __future__ import annotations

from dataclasses import dataclass

LEVELS = (90, 80)  # percent, the graver first
BACK = 5  # percent below a level at which it is over: a volume at its edge warns once, not every few minutes
COARSE, FINE = 1024**3, 64 * 1024**2  # bytes: sizes grow in whole steps of these
NORMAL = 1024**3  # bytes from which on the step is coarse


@dataclass(frozen=True)
class Rule:
    """How a plan lets volumes grow by themselves: from ``at`` percent on (0: never), by percent, up to bytes."""

    at: int = 0
    by: int = 0
    ceiling: int = 0


def level(percent: float, before: int = 0) -> int:
    """Return the level of warning, 0 for none, of a volume that was at the level ``before``.

    >>> level(79.9), level(80), level(78, before=80), level(74.9, before=80), level(86, before=90), level(84, before=90)
    (0, 80, 80, 0, 90, 80)
    """
    for threshold in LEVELS:
        if percent >= threshold or (before >= threshold and percent > threshold - BACK):
            return threshold
    return 0


def next_size(size: int, percent: float, rule: Rule) -> int | None:
    """Return the size to which a volume of ``size`` bytes grows by itself now; None when it does not.

    >>> next_size(10 * COARSE, 85, Rule(at=80, by=20, ceiling=100 * COARSE)) // COARSE
    12
    """
    if not rule.at or percent < rule.at:
        return None
    step = COARSE if size >= NORMAL else FINE
    wanted = -(-(size * (100 + max(1, rule.by))) // (100 * step)) * step
    wanted = min(wanted, rule.ceiling)
    return wanted if wanted > size else None

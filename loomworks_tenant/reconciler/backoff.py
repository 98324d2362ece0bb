"""When to try again."""

from __future__ import annotations

import random

FIRST_DELAY = 1.0  # seconds
LONGEST_DELAY = 300.0  # seconds
JITTER = 0.2  # of the delay, so that what failed together does not come back together


def delay(attempts: int, rng: random.Random | None = None) -> float:
    """Return the seconds to wait after ``attempts`` failures (1, 2, 4, ... at most five minutes, give or take 20 %)."""
    base = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(max(attempts, 1) - 1, 16))
    return base * (1 + JITTER * (2 * (rng or random).random() - 1))

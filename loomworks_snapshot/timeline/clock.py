"""The server's WAL positions in time, known at some moments and in between by the straight line."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable


class WalClock:
    """Tells the position of a moment and the moment of a position; before the first and after the last, those."""

    def __init__(self, known: Iterable[tuple[float, int]]) -> None:
        """Take what is known.

        :param known: pairs of seconds since 1970 and a position in bytes; where two contradict each other, the
            position never falls
        """
        self._moments: list[float] = []
        self._positions: list[int] = []
        for moment, position in sorted(known):
            highest = max(position, self._positions[-1]) if self._positions else position
            if self._moments and self._moments[-1] == moment:
                self._positions[-1] = highest
            else:
                self._moments.append(moment)
                self._positions.append(highest)

    def position(self, moment: float) -> int:
        """Return about the position, in bytes, that the server had reached; 0 when nothing is known."""
        if not self._moments:
            return 0
        i = bisect_right(self._moments, moment)
        if i in (0, len(self._moments)):
            return self._positions[min(i, len(self._moments) - 1)]
        share = (moment - self._moments[i - 1]) / (self._moments[i] - self._moments[i - 1])
        return int(self._positions[i - 1] + share * (self._positions[i] - self._positions[i - 1]))

    def moment(self, position: int) -> float | None:
        """Return about when the server had come to this position; None when nothing is known."""
        if not self._positions:
            return None
        i = bisect_left(self._positions, position)
        if i in (0, len(self._positions)):
            return self._moments[min(i, len(self._positions) - 1)]
        share = (position - self._positions[i - 1]) / (self._positions[i] - self._positions[i - 1])
        return self._moments[i - 1] + share * (self._moments[i] - self._moments[i - 1])

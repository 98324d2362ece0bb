"""A work queue: a name is handled by one worker at a time, and again after a failure, later and later."""

from __future__ import annotations

import heapq
import threading
import time

FIRST_DELAY = 0.5  # seconds
LAST_DELAY = 60.0  # seconds


class WorkQueue:
    """Names to work on; adding one that already waits changes nothing."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: list[tuple[float, str]] = []
        self._waiting: set[str] = set()
        self._busy: set[str] = set()
        self._again: set[str] = set()
        self._failures: dict[str, int] = {}

    def add(self, name: str) -> None:
        """Have ``name`` handled soon; if it is being handled now, once more after that."""
        with self._changed:
            if name in self._busy:
                self._again.add(name)
            else:
                self._push(name, 0)

    def take(self) -> str:
        """Wait for a name that is due; :meth:`done` must follow."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._due)
                delay = self._due[0][0] - time.monotonic()
                if delay <= 0:
                    return self._pop()
                self._changed.wait(delay)

    def done(self, name: str, failed: bool) -> None:
        """Say how the work on ``name`` ended; after a failure it comes back by itself."""
        with self._changed:
            self._busy.discard(name)
            self._failures[name] = self._failures.get(name, 0) + 1 if failed else 0
            if failed:
                self._push(name, min(LAST_DELAY, FIRST_DELAY * 2 ** (self._failures[name] - 1)))
            elif name in self._again:
                self._push(name, 0)
            self._again.discard(name)

    def failures(self, name: str) -> int:
        """How many times in a row the work on ``name`` has failed."""
        return self._failures.get(name, 0)

    def _push(self, name: str, delay: float) -> None:
        if name in self._waiting and delay:
            return
        self._waiting.add(name)
        heapq.heappush(self._due, (time.monotonic() + delay, name))
        self._changed.notify()

    def _pop(self) -> str:
        name = heapq.heappop(self._due)[1]
        self._due = [entry for entry in self._due if entry[1] != name]
        heapq.heapify(self._due)
        self._waiting.discard(name)
        self._busy.add(name)
        return name

"""Many rows in parallel: whichever is due goes to a free thread, and no row to two threads at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

_logger = logging.getLogger(__name__)

POLL = 0.15  # seconds between two looks for due rows
BROKEN_PAUSE = 5.0  # seconds after work that broke without recording it
LINGER = 3.0  # seconds without anything due after which a run ends
PATIENCE = 30.0  # seconds; what is due within them is waited for: Odoo looks for later triggers once a minute


class Worker:
    """A bounded run over due work.

    :param due: returns the keys that are due now; it may name keys that are being worked on
    :param work: does one key's work in a thread of its own and handles its own failures durably; it returns the
        seconds for which this key needs no second look (rows keep whole seconds only)
    """

    def __init__(
        self, due: Callable[[], Iterable[Hashable]], work: Callable[[Hashable], float], threads: int = 8
    ) -> None:
        self._due = due
        self._work = work
        self._threads = threads
        self._running: dict[Hashable, Future] = {}
        self._not_before: dict[Hashable, float] = {}

    def run(self, seconds: float) -> None:
        """Work until nothing has been due for a while, or ``seconds`` have passed; then let the threads finish."""
        end = time.monotonic() + seconds
        quiet_since = time.monotonic()
        with ThreadPoolExecutor(self._threads, thread_name_prefix="loomworks") as pool:
            while time.monotonic() < end and time.monotonic() - quiet_since < LINGER:
                self._collect()
                if self._submit(pool) or self._running or self._upcoming():
                    quiet_since = time.monotonic()
                self._pause()
        self._collect()

    def _submit(self, pool: ThreadPoolExecutor) -> int:
        now = time.monotonic()
        free = [key for key in self._due() if key not in self._running and self._not_before.get(key, 0) <= now]
        new = free[: self._threads - len(self._running)]
        for key in new:
            self._running[key] = pool.submit(self._work, key)
        return len(new)

    def _upcoming(self) -> bool:
        now = time.monotonic()
        return any(now < at <= now + PATIENCE for at in self._not_before.values())

    def _collect(self) -> None:
        for key in [key for key, future in self._running.items() if future.done()]:
            future = self._running.pop(key)
            if future.exception():
                _logger.error("work on %s broke", key, exc_info=future.exception())
            pause = BROKEN_PAUSE if future.exception() else future.result()
            self._not_before[key] = time.monotonic() + pause

    def _pause(self) -> None:
        if self._running:
            wait(self._running.values(), POLL, FIRST_COMPLETED)
        else:
            time.sleep(POLL)

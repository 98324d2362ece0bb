"""Several threads on the 256 directories, and all of them stop where one fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = 8


class Crew:
    """The threads of one run; work that takes long asks :attr:`stopped` now and then."""

    def __init__(self, threads: int = THREADS) -> None:
        self._threads = threads
        self._stop = Event()

    @property
    def stopped(self) -> bool:
        """Whether there is no use in going on."""
        return self._stop.is_set()

    def each(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
        """Yield every item with its result, as they are done; raise what the first to fail raised."""
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="filestore")
        try:
            waiting = {pool.submit(work, item): item for item in items}
            for done in as_completed(waiting):
                yield waiting.pop(done), done.result()
        except BaseException:
            self._stop.set()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

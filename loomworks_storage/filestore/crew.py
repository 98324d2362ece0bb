"""Several threads on the 256 directories, and all of them stop where one fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import islice
from threading import Event
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = 8
AHEAD = 3  # items for each thread: one is worked on, the next ones wait
GROUP = 16  # directories: what is quickly done is not worth a turn for each


def grouped(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return ``names`` in groups."""
    names = tuple(names)
    return [names[start : start + GROUP] for start in range(0, len(names), GROUP)]


class Crew:
    """The threads of one run; work that takes long asks :attr:`stopped` now and then."""

    def __init__(self, threads: int = THREADS) -> None:
        self._threads = threads
        self.alone = threads == 1  # so that nothing is done out of turn
        self._stop = Event()

    @property
    def stopped(self) -> bool:
        """Whether there is no use in going on."""
        return self._stop.is_set()

    def each(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
        """Yield every item with its result, as they are done; raise what the first to fail raised.

        Items are taken as they are needed, so that there need not be room for all of them, or for all results.
        """
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="filestore")
        items, waiting = iter(items), {}
        try:
            while True:
                waiting |= {
                    pool.submit(work, item): item for item in islice(items, AHEAD * self._threads - len(waiting))
                }
                if not waiting:
                    break
                for done in wait(waiting, return_when=FIRST_COMPLETED).done:
                    yield waiting.pop(done), done.result()
        except BaseException:
            self._stop.set()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

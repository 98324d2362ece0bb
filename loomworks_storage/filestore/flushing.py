"""Have the volume write down what was restored while more of it comes, so that little is left for the end."""

from __future__ import annotations

from threading import Event, Lock, Thread
from types import TracebackType

from .folder import Folder

EVERY = 64 * 1024 * 1024  # bytes


class Flushing:
    """A thread that flushes the volume of ``folder`` whenever as much was written; it ends with the block.

    A volume that could not write tells whoever asks first, and nobody else: so it is this one that raises it.
    """

    def __init__(self, folder: Folder, every: int = EVERY) -> None:
        """Prepare it.

        :param every: bytes
        """
        self._folder = folder
        self._every = every
        self._waiting = 0  # bytes written since the last flush began
        self._counting = Lock()
        self._enough, self._over = Event(), False
        self._error: OSError | None = None
        self._thread = Thread(target=self._work, name="filestore-flush")

    def wrote(self, size: int) -> None:
        """Count ``size`` bytes that were written."""
        with self._counting:
            self._waiting += size
            if self._waiting >= self._every:
                self._enough.set()

    def __enter__(self) -> Flushing:
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over = True
        self._enough.set()
        self._thread.join()
        if self._error and error is None:
            raise self._error

    def _work(self) -> None:
        while self._enough.wait() and not self._over and not self._error:
            with self._counting:
                self._waiting = 0
                self._enough.clear()
            try:
                self._folder.flush()
            except OSError as error:
                self._error = error

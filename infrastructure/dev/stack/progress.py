"""Tell a person what is going on: one line a stage, with its time, and a record for the benchmarks."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Progress:
    """Numbered stages on a terminal or in a log, each timed and recorded in ``stages.jsonl``."""

    def __init__(self, total: int, record: Path) -> None:
        self._total = total
        self._count = 0
        self._record = record
        self._began = time.monotonic()

    @contextmanager
    def stage(self, title: str) -> Iterator[None]:
        """Announce ``title``, run the block, and print how long it took (or that it failed)."""
        self._count += 1
        began = time.monotonic()
        print(f"[{self._count:2}/{self._total}] {title:<58}", end="", flush=True)
        try:
            yield
        except BaseException:
            print(f" failed after {time.monotonic() - began:.1f} s", flush=True)
            raise
        seconds = time.monotonic() - began
        print(f" {seconds:7.1f} s", flush=True)
        self._write(title, seconds)

    def _write(self, title: str, seconds: float) -> None:
        self._record.parent.mkdir(parents=True, exist_ok=True)
        with self._record.open("a") as stream:
            stream.write(json.dumps({"stage": title, "seconds": round(seconds, 2)}) + "\n")

    def total_seconds(self) -> float:
        """Seconds since the first stage was announced."""
        return time.monotonic() - self._began


def say(message: str) -> None:
    """Print a line for the person at the terminal at once."""
    print(message, file=sys.stdout, flush=True)

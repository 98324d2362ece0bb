"""Fetch pieces of objects into files of the same layout: as few requests as sensible, several at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ..repository.store import Store

GAP = 64 * 1024  # bytes: fetching so many that nobody needs is cheaper than another request
PIECE = 8 * 1024 * 1024  # bytes: the longest single request
THREADS = 8


@dataclass(frozen=True, order=True)
class Piece:
    """A part of one object, in bytes."""

    name: str
    offset: int
    length: int

    @property
    def end(self) -> int:
        """The first byte after it."""
        return self.offset + self.length


def merged(pieces: Iterable[Piece]) -> list[Piece]:
    """Return the requests to make: neighbours taken together, long ones cut."""
    joined: list[Piece] = []
    for piece in sorted(pieces):
        last = joined[-1] if joined else None
        if last and last.name == piece.name and piece.offset <= last.end + GAP:
            joined[-1] = Piece(last.name, last.offset, max(last.end, piece.end) - last.offset)
        else:
            joined.append(piece)
    return [part for piece in joined for part in _cut(piece)]


def _cut(piece: Piece) -> Iterator[Piece]:
    for offset in range(piece.offset, piece.end, PIECE):
        yield Piece(piece.name, offset, min(PIECE, piece.end - offset))


def fetch(store: Store, requests: Iterable[Piece], root: Path, done: Callable[[int], None] = lambda size: None) -> None:
    """Write every piece to its own place in a file below ``root``; what is between stays a hole.

    :param done: told the size of each piece that has arrived
    :raises ObjectMissing: when an object is not there or too short
    """
    wanted = list(requests)
    for name in {piece.name for piece in wanted}:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch(mode=0o600)

    def one(piece: Piece) -> None:
        data = store.read_range(piece.name, piece.offset, piece.length)
        with (root / piece.name).open("r+b") as stream:
            os.pwrite(stream.fileno(), data, piece.offset)
        done(piece.length)

    with ThreadPoolExecutor(THREADS, thread_name_prefix="fetch") as pool:
        for _ in pool.map(one, wanted):
            pass

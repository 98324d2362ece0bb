"""A zip as a stream: what it is made of goes through, and nothing but its list of members is kept."""

from __future__ import annotations

import itertools
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator

LEVEL = 6
SAMPLE = 64 * 1024  # bytes
WORTH = 0.95  # of its size, at which it is no use to compress something


class Archive:
    """Yields the zip's bytes member by member, and at last its directory; members may have any size (zip64).

    All members are deflated: their sizes stand behind the data, and of stored data some readers then miss the end.
    """

    def __init__(self) -> None:
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_DEFLATED, allowZip64=True)
        self._time = time.gmtime()[:6]

    def member(self, name: str, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the member ``name``, which holds what ``blocks`` make up together."""
        info = zipfile.ZipInfo(name, self._time)
        info.compress_type = zipfile.ZIP_DEFLATED
        blocks = iter(blocks)
        first = next(blocks, b"")
        info._compresslevel = _level(first)  # public from Python 3.13 on, by another name
        with self._zip.open(info, "w", force_zip64=True) as stream:
            for block in itertools.chain([first], blocks):
                stream.write(block)
                yield from self._sink.taken()
        yield from self._sink.taken()

    def end(self) -> Iterator[bytes]:
        """Yield what follows the last member."""
        self._zip.close()
        yield from self._sink.taken()


def _level(first: bytes) -> int:
    """Return how hard to try, by how a content begins; what is compressed already goes through as it is."""
    sample = first[:SAMPLE]
    return LEVEL if len(zlib.compress(sample, 1)) < WORTH * len(sample) else 0


class _Sink:
    """What zipfile writes to: no file, so that it never goes back."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._blocks.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits here."""

    def taken(self) -> Iterator[bytes]:
        """Yield what was written since the last time."""
        blocks, self._blocks = self._blocks, []
        yield from filter(None, blocks)

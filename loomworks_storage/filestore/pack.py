"""Small contents side by side in one object: a *pack*.

Each is encrypted as if it were an object of its own, so that one can be read without the others, and none can be
moved. A pack is named by what is in it, in which order: two runs that pack the same contents write the same name, a
pack that is there need not be sent again, and wherever a manifest says that a content begins, it does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import accumulate

from . import container
from .manifest import DIRECTORIES, Directory, Manifest, Pack

SMALL = 1024 * 1024  # bytes: a larger content has an object of its own
USUAL, MOST = 2 * 1024 * 1024, 4 * 1024 * 1024  # bytes of a pack's contents
USUAL_FILES, MOST_FILES = 500, 1000
FEW = 64  # contents: fewer of them in a run have objects of their own, a pack is not worth the while
DEAD = 0.5  # share of a pack: with more than that named by nobody, an audit packs the others anew
DEEPEST = 32  # bits


def packed(files: Iterable[tuple[str, int]]) -> Pack:
    """Return the pack that has these contents (digest and size in bytes) in this order."""
    named, size = hashlib.sha1(usedforsecurity=False), 0
    for digest, length in files:
        named.update(bytes.fromhex(digest) + length.to_bytes(8, "big"))
        size += container.sealed_size(length)
    return Pack(named.hexdigest(), size)


def offsets(files: Iterable[tuple[str, int]]) -> list[int]:
    """Return where in their pack contents begin, and at last where it ends; in bytes."""
    return list(accumulate((container.sealed_size(size) for _, size in files), initial=0))


def batches(files: dict[str, Directory]) -> Iterator[Directory]:
    """Yield the contents of directories in batches for a pack each; ``files`` is used up meanwhile.

    A batch has the contents whose digests begin with the same bits, as many bits as there are files and bytes for. So
    one file more or less, between a run that was killed and the next, changes one batch and leaves the others.
    """
    bits = _bits(sum(one.size for one in files.values()), sum(len(one) for one in files.values()))
    waiting: dict[str, int] = {}
    beginning, size = 0, 0
    for digest, length in (pair for name in DIRECTORIES for pair in files.pop(name, ())):
        other = int(digest[:8], 16) >> (DEEPEST - bits)
        if waiting and (other != beginning or size + length > MOST or len(waiting) >= MOST_FILES):
            yield Directory(waiting)
            waiting, size = {}, 0
        beginning = other
        waiting[digest] = length
        size += length
    if waiting:
        yield Directory(waiting)


def sparse(manifest: Manifest) -> frozenset[int]:
    """Return the numbers of the packs of which the manifest needs only a small part."""
    alive = dict.fromkeys(manifest.packs, 0)
    for directory in manifest.directories.values():
        for _, size, place in directory.entries():
            if place:
                alive[place.pack] += container.sealed_size(size)
    return frozenset(number for number, pack in manifest.packs.items() if alive[number] < pack.size * (1 - DEAD))


def _bits(size: int, count: int) -> int:
    """Return how many bits of digests divide files into parts of about the usual size."""
    parts = max(size // USUAL, count // USUAL_FILES)
    return min(DEEPEST, parts.bit_length())

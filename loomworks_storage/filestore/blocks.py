"""Blocks of bytes, of any sizes, read as one stream."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from .errors import WrongContent

LONGEST_LINE = 64 * 1024 * 1024  # bytes


class Blocks:
    """A stream over ``blocks``; no more of them is taken than is asked for."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._waiting = bytearray()

    def begins_with(self, text: bytes) -> bool:
        """Tell whether ``text`` comes next."""
        self._have(len(text))
        return self._waiting.startswith(text)

    def read(self, size: int) -> bytes:
        """Return as many bytes.

        :raises EOFError: when there are not as many
        """
        self._have(size)
        if len(self._waiting) < size:
            raise EOFError("it ends early")
        found = bytes(self._waiting[:size])
        del self._waiting[:size]
        return found

    def line(self) -> bytes:
        """Return what comes before the next line feed; that is passed over."""
        while (end := self._waiting.find(b"\n")) < 0:
            size = len(self._waiting)
            self._have(size + 1)
            if len(self._waiting) == size or size > LONGEST_LINE:
                raise EOFError("it ends early")
        found = self.read(end)
        self.read(1)
        return found

    def rest(self) -> bytes:
        """Return all that there still is."""
        return bytes(self._waiting) + b"".join(self._blocks)

    def _have(self, size: int) -> None:
        while len(self._waiting) < size and (block := next(self._blocks, None)) is not None:
            self._waiting += block


def verified(blocks: Iterable[bytes], size: int, digest: str, otherwise: str) -> Iterator[bytes]:
    """Yield ``blocks``; end well only if they are ``size`` bytes in all, and the content of the SHA-1 ``digest``.

    :raises WrongContent: saying ``otherwise``
    """
    hashed, left = hashlib.sha1(usedforsecurity=False), size
    for block in blocks:
        left -= len(block)
        if left < 0:
            break
        hashed.update(block)
        yield block
    if left or hashed.hexdigest() != digest:
        raise WrongContent(otherwise)

"""The files that a database needs, fetched from the tenant's objects, each verified before it is passed on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ...loomworks_storage.filestore import container
from ...loomworks_storage.filestore.errors import ObjectDamaged, ObjectMissing
from ...loomworks_storage.filestore.manifest import DIGEST_SIZE, DIRECTORIES
from ...loomworks_storage.filestore.needed import needed
from ...loomworks_storage.filestore.places import Places
from ...loomworks_storage.filestore.vault import Vault

THREADS = 8
AHEAD = 16  # files that are being fetched or wait to be passed on
IN_MEMORY = 2 * 1024 * 1024  # bytes; a larger file is read twice: once to verify it, once to pass it on
ABSENT, DAMAGED, NO_NAME = "not in S3", "damaged in S3", "not a name of Odoo's filestore"


@dataclass(frozen=True)
class Content:
    """One file: its name below ``filestore/``, its size in bytes, and its content, which was seen to be right."""

    name: str
    size: int
    blocks: Iterable[bytes]


class Contents:
    """What a database needs, out of ``vault``; ``missing`` has the names of what could not be had, and why."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._places = Places(vault)
        self._digests: dict[str, bytes] = {}  # by directory; 20 bytes a file
        self.missing: dict[str, str] = {}
        self.count = 0

    def ask(self, cr: Any) -> None:
        """Learn which files the database needs, each once: attachments of one content may differ in its size.

        :param cr: better a server-side cursor
        """
        found: dict[str, bytearray] = {}
        for one in needed(cr):
            if one.digest:
                found.setdefault(one.digest[:2], bytearray()).extend(bytes.fromhex(one.digest))
            else:
                self.missing[one.name] = NO_NAME
        self._digests = {name: _each_once(found.pop(name)) for name in list(found)}
        self.count = sum(map(len, self._digests.values())) // DIGEST_SIZE

    def __iter__(self) -> Iterator[Content]:
        """Yield every file that can be had; some are fetched ahead, in order."""
        pool = ThreadPoolExecutor(THREADS, thread_name_prefix="export")
        waiting: deque[tuple[str, Future]] = deque()
        try:
            for digest, sealed in self._objects():
                fetch = self._fetch if sealed is not None else self._fetch_packed
                waiting.append((_name(digest), pool.submit(fetch, digest, sealed)))
                if len(waiting) >= AHEAD:
                    yield from self._result(*waiting.popleft())
            while waiting:
                yield from self._result(*waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def _objects(self) -> Iterator[tuple[str, int | None]]:
        """Yield each digest that is in the store, and the size of its object; None: it is in a pack."""
        for directory in DIRECTORIES:
            if directory not in self._digests:
                continue
            stored, digests = self._vault.sizes(directory), self._digests[directory]
            for start in range(0, len(digests), DIGEST_SIZE):
                digest = digests[start : start + DIGEST_SIZE].hex()
                if digest in stored:
                    yield digest, stored[digest]
                elif self._places.size(digest) is not None:
                    yield digest, None
                else:
                    self.missing[_name(digest)] = ABSENT

    def _fetch(self, digest: str, sealed: int) -> Content | None:
        """Return a file that was read to its end; None when the store does not give it back."""
        try:
            size = container.content_size(sealed)
            if size <= IN_MEMORY:
                return Content(_name(digest), size, [b"".join(self._vault.get(digest, size))])
            for _block in self._vault.get(digest, size):
                pass
        except (ObjectMissing, ObjectDamaged):
            return None
        return Content(_name(digest), size, self._vault.get(digest, size))

    def _fetch_packed(self, digest: str, _sealed: None) -> Content | None:
        try:
            content = self._places.read(digest)
        except (ObjectMissing, ObjectDamaged):
            return None
        return Content(_name(digest), len(content), [content])

    def _result(self, name: str, fetched: Future) -> Iterator[Content]:
        if content := fetched.result():
            yield content
        else:
            self.missing[name] = DAMAGED


def _each_once(digests: bytearray) -> bytes:
    starts = range(0, len(digests), DIGEST_SIZE)
    return b"".join(dict.fromkeys(bytes(digests[start : start + DIGEST_SIZE]) for start in starts))


def _name(digest: str) -> str:
    return f"{digest[:2]}/{digest}"

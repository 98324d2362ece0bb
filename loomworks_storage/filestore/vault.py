"""Contents and manifests, encrypted on their way into the store and checked on their way out."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from threading import BoundedSemaphore
from typing import BinaryIO

from . import container
from . import head as heads
from .blocks import verified
from .errors import NotProven, ObjectDamaged, ObjectMissing, ObjectShort, Unreadable, WrongKey
from .head import Head
from .key import Key
from .location import base_name, content_name, manifest_name, pack_name
from .manifest import DIGEST_SIZE, At, Base, Manifest, Pack
from .store import Store

BLOCK = 1024 * 1024  # bytes: what is read and hashed at once
PART = 5 * 1024 * 1024  # bytes: what is sent at once. S3 takes no less, and 10,000 of them: a file has at most 48 GiB
FETCH = 2 * 1024 * 1024  # bytes: what is fetched at once
MANIFEST_PART = 16 * 1024 * 1024  # bytes of a manifest that are fetched at once
FILES_IN_ONE_PIECE = 400_000  # of a base that is sent with one request: some 14 MiB
LARGE_AT_ONCE = 2  # contents of more than a block in memory at the same time

_AGAIN = "Check the bucket's life cycle and who else writes to it, and run it again."
_PROOF_NAME, _PROOF = "key", b"loomworks filestore"
TRIED = 3  # manifests, or bases, that cannot be read, before all is looked at anew


class Vault:
    """One tenant's objects under one key; safe to use by several threads at once."""

    def __init__(self, store: Store, key: Key) -> None:
        self.store = store
        self._key = key
        self._large = BoundedSemaphore(LARGE_AT_ONCE)

    def open(self) -> None:
        """Have the prefix belong to this key: the first to come leaves a small object that only it can read.

        :raises WrongKey: when it belongs to another key; a backup with that would be of use to nobody
        """
        try:
            proof = self.store.read(_PROOF_NAME)
        except ObjectMissing:
            self.store.put(_PROOF_NAME, b"".join(container.encrypt([_PROOF], self._key, _context(_PROOF_NAME))))
            proof = self.store.read(_PROOF_NAME)
        self._decrypted(_PROOF_NAME, proof)

    # --- contents ---------------------------------------------------------------------------------

    def objects(self, folder: str = "objects") -> Iterator[tuple[str, int]]:
        """Yield the digests whose objects are there, and the sizes of the objects."""
        for one in self.store.list(folder):
            yield one.name.rpartition("/")[2], one.size

    def sizes(self, directory: str) -> dict[str, int]:
        """Return the digests whose objects are there in one of the 256 directories, and the sizes of the objects."""
        return dict(self.objects(f"objects/{directory}"))

    def packs(self) -> dict[str, int]:
        """Return the identities of the packs that are there, and their sizes."""
        return dict(self.objects("packs"))

    def put(self, digest: str, stream: BinaryIO, size: int, *, replace: bool = False) -> bool:
        """Store ``size`` bytes of ``stream``; tell whether they were written, as :meth:`Store.put` does.

        :raises WrongContent: when they are not the content of this SHA-1, and nothing is stored
        """
        name = content_name(digest)
        objects = container.encrypt(_verified(stream, size, digest), self._key, _context(name))
        if size <= BLOCK:
            return self.store.put(name, b"".join(objects), replace=replace)
        with self._large:
            if size <= PART:
                return self.store.put(name, b"".join(objects), replace=replace)
            return self.store.put_parts(name, _joined(objects, PART), replace=replace)

    def seal(self, digest: str, stream: BinaryIO, size: int) -> bytes:
        """Return ``size`` bytes of ``stream`` as they stand in a pack.

        :raises WrongContent: when they are not the content of this SHA-1
        """
        blocks = _verified(stream, size, digest)
        return b"".join(container.encrypt(blocks, self._key, _context(content_name(digest))))

    def put_pack(self, pack: Pack, sealed: list[bytes], *, replace: bool = False) -> bool:
        """Store a pack; tell whether it was written, as :meth:`Store.put` does."""
        return self.store.put(pack_name(pack.identity), b"".join(sealed), replace=replace)

    def read_pack(self, pack: Pack) -> bytes:
        """Return a whole pack, as it is stored; ObjectMissing when it is not there."""
        return self.store.read(pack_name(pack.identity))

    def unseal(self, digest: str, size: int, sealed: bytes) -> bytes:
        """Return the content of this SHA-1 out of what stands in a pack.

        :raises ObjectDamaged, WrongKey, UnknownFormat: when it is not that
        """
        _require_size(digest, len(sealed), container.sealed_size(size))
        content = b"".join(container.decrypt([sealed], self._key, _context(content_name(digest))))
        if hashlib.sha1(content, usedforsecurity=False).hexdigest() != digest:
            raise ObjectDamaged(f"the object of {digest} holds another content")
        return content

    def get_packed(self, digest: str, size: int, at: At) -> bytes:
        """Return the content of this SHA-1 out of a pack, or where that fails, out of an object of its own.

        :raises ObjectMissing, ObjectDamaged, WrongKey, UnknownFormat: when neither does; what the pack said
        """
        try:
            name = pack_name(at.pack.identity)
            return self.unseal(digest, size, self.store.read_range(name, at.offset, container.sealed_size(size)))
        except (ObjectMissing, ObjectDamaged):
            with suppress(ObjectMissing, ObjectDamaged):
                return b"".join(self.get(digest, size))
            raise

    def get(self, digest: str, size: int) -> Iterator[bytes]:
        """Yield the content of this SHA-1 out of its own object; whoever takes it to the end knows that it is whole.

        :raises ObjectMissing, ObjectDamaged, WrongKey, UnknownFormat: when the store cannot give it back
        """
        hashed, count = hashlib.sha1(usedforsecurity=False), 0
        for chunk in container.decrypt(self._sealed(digest, size), self._key, _context(content_name(digest))):
            hashed.update(chunk)
            count += len(chunk)
            yield chunk
        if hashed.hexdigest() != digest or count != size:
            raise ObjectDamaged(f"the object of {digest} holds another content")

    def _sealed(self, digest: str, size: int) -> Iterator[bytes]:
        name, expected = content_name(digest), container.sealed_size(size)
        if size <= BLOCK:
            data = self.store.read(name)
            _require_size(digest, len(data), expected)
            yield data
            return
        with self._large:
            _require_size(digest, self.store.size(name), expected)
            yield from self.store.read_parts(name, expected, FETCH)

    # --- manifests --------------------------------------------------------------------------------

    def put_manifest(self, name: str, manifest: Manifest | Head) -> bool:
        """Store a manifest, and tell whether it was written: one of this name that is there stays.

        When it has little in common with its base any more, it gets a new one first.

        :raises NotProven: when the store does not have that then
        """
        head = manifest if isinstance(manifest, Head) else Head.of(manifest, manifest.base)
        if head is not manifest and head.edits > heads.EDITS:
            head = heads.rebased(manifest, self._put_base(manifest))
            if not self.has_base(head):
                raise NotProven("the object store does not have a manifest's base that was written to it", _AGAIN)
        name = manifest_name(name)
        return self.store.put(name, b"".join(container.encrypt(head.to_blocks(), self._key, _context(name))))

    def manifest(self, name: str) -> Manifest:
        """Return a manifest.

        :raises ObjectMissing, ObjectDamaged, WrongKey, UnknownFormat: when the store cannot give it back
        """
        return self.completed(self.head(name))

    def head(self, name: str) -> Head | Manifest:
        """Return what is stored of a manifest alone; all of it, when it was written before there were heads.

        :raises ObjectMissing, ObjectDamaged, WrongKey, UnknownFormat: when the store cannot give it back
        """
        return heads.read(self._whole(manifest_name(name)))

    def completed(self, head: Head | Manifest) -> Manifest:
        """Return the manifest of a head.

        :raises ObjectDamaged, WrongKey, UnknownFormat: when the store cannot give its base back
        """
        if isinstance(head, Manifest):
            return head
        try:
            return head.manifest(self._whole(base_name(head.base.identity)) if head.base else ())
        except ObjectMissing as error:
            raise ObjectDamaged(f"a manifest's base is not there: {error.message}") from error

    def has_base(self, head: Head) -> bool:
        """Tell whether the base of a head is there, with the right size."""
        try:
            return head.base is None or self.store.size(base_name(head.base.identity)) == head.base.size
        except ObjectMissing:
            return False

    def bases(self) -> dict[str, int]:
        """Return the identities of the bases that are there, and their sizes."""
        return dict(self.objects("bases"))

    def manifests(self) -> list[str]:
        """Return the names of all manifests."""
        return sorted(self.newest_manifests())

    def newest_manifests(self) -> list[str]:
        """Return the names of all manifests, the one written last first.

        The store's times may be whole seconds; within one, names tell, as they begin with the time.
        """
        found = sorted(self.store.list("manifests"), key=lambda one: (one.modified, one.name), reverse=True)
        return [one.name.removeprefix("manifests/").removesuffix(".jsonl.gz") for one in found]

    def newest_heads(self) -> Iterator[Head | Manifest]:
        """Yield what is stored of the last manifests written, the last one first, as far as it can be read.

        :raises WrongKey: when there is one of another key
        """
        failed = 0
        for name in self.newest_manifests():
            try:
                yield self.head(name)
            except WrongKey:
                raise  # whatever the prefix says of itself: sizes alone do not tell whose objects these are
            except (Unreadable, ObjectMissing):
                failed += 1
                if failed == TRIED:
                    return

    def newest_manifest(self, newest: Iterable[Head | Manifest] | None = None) -> Manifest | None:
        """Return the last manifest written that can be read, or None: then everything is looked at anew.

        :param newest: what :meth:`newest_heads` yielded, where it was asked before
        :raises WrongKey: when there is one of another key
        """
        failed: set[Base | None] = set()
        for head in self.newest_heads() if newest is None else newest:
            if head.base in failed:
                continue
            try:
                return self.completed(head)
            except WrongKey:
                raise
            except Unreadable:
                failed.add(head.base)
                if len(failed) == TRIED:
                    return None
        return None

    def _put_base(self, manifest: Manifest) -> Base:
        identity = secrets.token_hex(DIGEST_SIZE)
        name, size = base_name(identity), 0

        def counted(blocks: Iterable[bytes]) -> Iterator[bytes]:
            nonlocal size
            for block in blocks:
                size += len(block)
                yield block

        blocks = counted(container.encrypt(heads.write_base(manifest), self._key, _context(name)))
        if len(manifest) <= FILES_IN_ONE_PIECE:
            self.store.put(name, b"".join(blocks))
        else:
            self.store.put_parts(name, _joined(blocks, PART))
        return Base(identity, size)

    def _whole(self, name: str) -> Iterator[bytes]:
        """Yield what an object of any size holds; only at the end is it certain that it was all."""
        return container.decrypt(self._sealed_whole(name), self._key, _context(name))

    def _sealed_whole(self, name: str) -> Iterator[bytes]:
        offset = 0
        while True:
            try:
                part = memoryview(self.store.read_range(name, offset, MANIFEST_PART))
            except ObjectShort:
                return
            yield from (part[start : start + BLOCK] for start in range(0, len(part), BLOCK))
            if len(part) < MANIFEST_PART:
                return
            offset += len(part)

    def _decrypted(self, name: str, data: bytes) -> bytes:
        return b"".join(container.decrypt([data], self._key, _context(name)))


def _context(name: str) -> bytes:
    return f"loomworks filestore {name}".encode()


def _require_size(digest: str, size: int, expected: int) -> None:
    if size != expected:
        raise ObjectDamaged(f"the object of {digest} has {size} bytes, not {expected}")


def _verified(stream: BinaryIO, size: int, digest: str) -> Iterator[bytes]:
    """Yield ``size`` bytes of ``stream``; end well only if they are all it has and the content of ``digest``."""
    return verified(_read(stream, size + 1), size, digest, f"the file {digest} has another content than its name says")


def _read(stream: BinaryIO, most: int) -> Iterator[bytes]:
    while most and (block := stream.read(min(BLOCK, most))):
        most -= len(block)
        yield block


def _joined(blocks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield ``blocks`` joined to ``size`` bytes and more, the last what is left."""
    waiting = bytearray()
    for block in blocks:
        waiting += block
        if len(waiting) >= size:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)

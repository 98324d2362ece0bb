"""The format of an encrypted object, version 1.

::

    header   4  "LWFS"
             1  version: 1
             1  chunk size as a power of two: 20, that is 1 MiB
             2  zero
             8  identifier of the tenant's key
            32  salt, random for each object
    chunk    n  AES-256-GCM of the next chunk of the content, and 16 bytes of tag

All chunks but the last are whole; content of no bytes has one empty chunk. The AES key of an object is derived from the
tenant's key and the object's salt (HKDF-SHA256), so it encrypts this object alone, and a nonce only has to be new
within it: 11 bytes of the chunk's number and one that is 1 for the last chunk. Header and *context* (what the object is
named) are authenticated with every chunk. Therefore no chunk can be changed, left out, moved, added or taken from
another object.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .errors import ObjectDamaged, UnknownFormat, WrongKey
from .key import Key

MAGIC, VERSION = b"LWFS", 1
HEADER = struct.Struct(">4sBBH8s32s")
SALT_SIZE, TAG_SIZE = 32, 16  # bytes
CHUNK_POWER = 20
POWERS = range(4, 25)  # what a reader takes; a larger chunk would not fit its memory


def sealed_size(size: int) -> int:
    """Return the size of the object that holds ``size`` bytes."""
    chunks = max(1, -(-size >> CHUNK_POWER))
    return HEADER.size + size + chunks * TAG_SIZE


def content_size(sealed: int) -> int:
    """Return how many bytes an object of ``sealed`` bytes holds.

    :raises ObjectDamaged: when no object has this size
    """
    chunks = -(-(sealed - HEADER.size) // ((1 << CHUNK_POWER) + TAG_SIZE))
    size = sealed - HEADER.size - chunks * TAG_SIZE
    if size < 0 or sealed_size(size) != sealed:
        raise ObjectDamaged(f"an object of {sealed} bytes was not written whole")
    return size


def encrypt(blocks: Iterable[bytes], key: Key, context: bytes, power: int = CHUNK_POWER) -> Iterator[bytes]:
    """Yield the object for the content that ``blocks`` make up together, however it is cut into them.

    Nothing of the last chunk is yielded before ``blocks`` have ended.
    """
    salt = os.urandom(SALT_SIZE)
    header = HEADER.pack(MAGIC, VERSION, power, 0, key.identifier, salt)
    cipher = AESGCM(key.for_object(salt))
    yield header
    for nonce, chunk in _numbered(blocks, 1 << power):
        yield cipher.encrypt(nonce, chunk, header + context)


def decrypt(blocks: Iterable[bytes], key: Key, context: bytes) -> Iterator[bytes]:
    """Yield the content chunk by chunk, each authentic; only after the last is it certain that none is missing.

    :raises ObjectDamaged, WrongKey, UnknownFormat: when it is not the object that was written under this name
    """
    blocks = iter(blocks)
    start = bytearray()
    for block in blocks:
        start += block
        if len(start) >= HEADER.size:
            break
    header = bytes(start[: HEADER.size])
    cipher, power = _open(header, key)
    rest = bytes(start[HEADER.size :])
    for nonce, chunk in _numbered(_after(rest, blocks), (1 << power) + TAG_SIZE):
        try:
            yield cipher.decrypt(nonce, chunk, header + context)
        except (InvalidTag, ValueError) as error:
            raise ObjectDamaged("an object is not the one that was written: a chunk's authentication fails") from error


def _open(header: bytes, key: Key) -> tuple[AESGCM, int]:
    if len(header) < HEADER.size:
        raise ObjectDamaged("an object ends before its header does")
    magic, version, power, _, identifier, salt = HEADER.unpack(header)
    if magic != MAGIC:
        raise ObjectDamaged("an object does not begin as one of a filestore does")
    if version != VERSION or power not in POWERS:
        raise UnknownFormat(f"an object has the format {version} with chunks of 2^{power} bytes")
    if identifier != key.identifier:
        raise WrongKey(
            f"an object needs the key {identifier.hex()}, not {key.identifier.hex()}",
            "Give the key with which the tenant's files were backed up.",
        )
    return AESGCM(key.for_object(salt)), power


def _after(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from others


def _numbered(blocks: Iterable[bytes], size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield (nonce, chunk): chunks of ``size`` bytes, the last one what is left, and at least one."""
    number, waiting = 0, bytearray()
    for block in blocks:
        waiting += block
        while len(waiting) > size:  # one byte more, so that it is not the last
            yield _nonce(number, last=False), bytes(waiting[:size])
            del waiting[:size]
            number += 1
    yield _nonce(number, last=True), bytes(waiting)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\1" if last else b"\0")

"""pgBackRest's encryption: AES-256-CBC, key and vector by OpenSSL's EVP_BytesToKey with SHA-1 and one round.

Files of their own begin with ``Salted__`` and eight bytes of salt, as ``openssl enc -md sha1`` writes them; parts of
files ("raw") begin with the salt.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from itertools import chain

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from .errors import WrongKey

MAGIC = b"Salted__"
SALT_SIZE = 8
KEY_SIZE, VECTOR_SIZE = 32, 16


def decrypt(data: bytes, passphrase: str, *, raw: bool = False) -> bytes:
    """Return the plain text.

    :raises WrongKey: when it cannot be that of this passphrase
    """
    return b"".join(decrypted([data], passphrase, raw=raw))


def decrypted(pieces: Iterable[bytes], passphrase: str, *, raw: bool = False) -> Iterator[bytes]:
    """Yield the plain text of a file that comes in pieces; the first one has all of its head.

    :raises WrongKey: when it cannot be that of this passphrase; with the last piece, as a rule
    """
    coming = iter(pieces)
    first = next(coming, b"")
    head = b"" if raw else MAGIC
    if not first.startswith(head):
        raise WrongKey("a file of the repository is not encrypted as pgBackRest does it")
    salt = first[len(head) : len(head) + SALT_SIZE]
    decryptor = _cipher(passphrase, salt).decryptor()
    unpadder = PKCS7(VECTOR_SIZE * 8).unpadder()
    try:
        for piece in chain([first[len(head) + SALT_SIZE :]], coming):
            yield unpadder.update(decryptor.update(piece))
        yield unpadder.update(decryptor.finalize()) + unpadder.finalize()
    except ValueError as error:
        raise WrongKey(
            "a file of the repository cannot be decrypted",
            "Check the repository's passphrase: it must be the one with which the stanza was created.",
        ) from error


def encrypt(data: bytes, passphrase: str) -> bytes:
    """Return ``data`` as a file of its own that pgBackRest can read."""
    salt = os.urandom(SALT_SIZE)
    encryptor = _cipher(passphrase, salt).encryptor()
    padder = PKCS7(VECTOR_SIZE * 8).padder()
    padded = padder.update(data) + padder.finalize()
    return MAGIC + salt + encryptor.update(padded) + encryptor.finalize()


def _cipher(passphrase: str, salt: bytes) -> Cipher:
    key, vector = _key_and_vector(passphrase.encode(), salt)
    return Cipher(algorithms.AES(key), modes.CBC(vector))


def _key_and_vector(passphrase: bytes, salt: bytes) -> tuple[bytes, bytes]:
    material, block = b"", b""
    while len(material) < KEY_SIZE + VECTOR_SIZE:
        block = hashlib.sha1(block + passphrase + salt).digest()  # noqa: S324  pgBackRest's format
        material += block
    return material[:KEY_SIZE], material[KEY_SIZE : KEY_SIZE + VECTOR_SIZE]

"""A tenant's key: who has it can read the tenant's objects; without it they are noise."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from functools import cached_property

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .errors import SettingMissing

SIZE = 32  # bytes: AES-256
IDENTIFIER_SIZE = 8

_IDENTIFIER = b"loomworks filestore key identifier"
_OBJECT = b"loomworks filestore object"


@dataclass(frozen=True)
class Key:
    """256 random bits, written as 64 hexadecimal digits."""

    material: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Key:
        """Read a key from its digits.

        :raises SettingMissing: when it is not one; the text is not repeated
        """
        try:
            material = bytes.fromhex(text.strip())
        except ValueError:
            material = b""
        if len(material) != SIZE:
            raise SettingMissing("the key of the filestore is not 64 hexadecimal digits", "Check the tenant's Secret.")
        return cls(material)

    @classmethod
    def generate(cls) -> Key:
        """Return a new one."""
        return cls(secrets.token_bytes(SIZE))

    @property
    def text(self) -> str:
        """Its digits, as :meth:`parse` reads them."""
        return self.material.hex()

    @cached_property
    def identifier(self) -> bytes:
        """What stands in each object to tell which key it needs; it says nothing about the key."""
        return self._derive(b"", _IDENTIFIER, IDENTIFIER_SIZE)

    def for_object(self, salt: bytes) -> bytes:
        """Return the AES key of the one object that has this salt."""
        return self._derive(salt, _OBJECT, SIZE)

    def _derive(self, salt: bytes, purpose: bytes, size: int) -> bytes:
        return HKDF(SHA256(), size, salt, purpose).derive(self.material)

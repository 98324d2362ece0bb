"""API keys of a tenant's Odoo, made outside of it.

Format of ``odoo/addons/base/models/res_users.py`` in Odoo 19: 20 random bytes in hexadecimal; the row keeps
the first 8 digits as an index, and a pbkdf2_sha512 hash of 6000 rounds.
"""

from __future__ import annotations

import secrets

KEY_BYTES = 20
INDEX_DIGITS = 8
HASH_ROUNDS = 6000


def generate() -> str:
    """Return a new key."""
    return secrets.token_hex(KEY_BYTES)


def index(key: str) -> str:
    """Return the part of the key by which Odoo finds its row."""
    return key[:INDEX_DIGITS]


def hashed(key: str) -> str:
    """Return what Odoo stores instead of the key."""
    from passlib.hash import pbkdf2_sha512  # a dependency of Odoo itself

    return pbkdf2_sha512.using(rounds=HASH_ROUNDS).hash(key)

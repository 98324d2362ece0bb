"""Read secrets by reference, so that no row and no log ever holds one.

A reference is ``file:/path/to/file`` or ``env:VARIABLE``.
"""

from __future__ import annotations

import os
from pathlib import Path

from .errors import SecretUnavailable

FORMS = "file:/path or env:VARIABLE"


def check(reference: str) -> None:
    """Raise :class:`SecretUnavailable` unless ``reference`` has one of the known forms."""
    scheme, _, rest = reference.partition(":")
    if scheme not in {"file", "env"} or not rest:
        raise SecretUnavailable(f"{scheme or 'an empty text'!r} is no way to name a secret", f"Write {FORMS}.")


def read(reference: str) -> str:
    """Return what ``reference`` names, without surrounding white space.

    :raises SecretUnavailable: when the file or variable is missing or empty
    """
    check(reference)
    scheme, _, rest = reference.partition(":")
    value = os.environ.get(rest, "") if scheme == "env" else _read_file(Path(rest))
    if not value.strip():
        raise SecretUnavailable(f"the secret {reference} is empty or not there")
    return value.strip()


def _read_file(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise SecretUnavailable(f"the secret file {path} cannot be read: {error.strerror}") from error

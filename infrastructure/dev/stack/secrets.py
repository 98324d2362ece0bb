"""Random secrets of the stack: made once, kept in the state folder, readable by root only."""

from __future__ import annotations

import secrets as random_source
from collections.abc import Callable

from .settings import Settings

OPERATOR_LOGIN = "operator"
TOKEN_BYTES = 24


def _token() -> str:
    return random_source.token_urlsafe(TOKEN_BYTES)


def _hexadecimal() -> str:
    return random_source.token_hex(TOKEN_BYTES)


MADE: dict[str, dict[str, Callable[[], str]]] = {
    "postgres-credentials": {"provisioner-password": _hexadecimal, "control-password": _hexadecimal},
    "pgbackrest-s3": {"key": _hexadecimal, "key-secret": _hexadecimal, "cipher-pass": _token},
    "filestore-s3": {"key": _hexadecimal, "key-secret": _hexadecimal},
    "imports-s3": {"key": _hexadecimal, "key-secret": _hexadecimal},
    "control-plane-operator": {"login": lambda: OPERATOR_LOGIN, "password": _token, "api-key": _hexadecimal},
}


def ensure(settings: Settings, name: str) -> dict[str, str]:
    """The values of secret ``name`` by key; what is not there yet is made."""
    folder = settings.state / "secrets" / name
    folder.mkdir(parents=True, exist_ok=True)
    for path in (folder.parent, folder):
        path.chmod(0o700)
    for key, make in MADE[name].items():
        path = folder / key
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(make())
    return {key: (folder / key).read_text() for key in MADE[name]}

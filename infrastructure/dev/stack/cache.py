"""What was built, keyed by its inputs: whole or not there at all."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

KEY_LENGTH = 12
MARK = ".complete"


def digest(parts: Iterable[str | bytes | Path]) -> str:
    """Name the inputs of a build: text, bytes, and files or folders by their content."""
    total = hashlib.sha256()
    for part in parts:
        for chunk in _chunks(part):
            total.update(len(chunk).to_bytes(8, "big") + chunk)
    return total.hexdigest()[:KEY_LENGTH]


def _chunks(part: str | bytes | Path) -> Iterator[bytes]:
    if isinstance(part, bytes):
        yield part
    elif isinstance(part, str):
        yield part.encode()
    elif part.is_dir():
        for path in sorted(p for p in part.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
            yield str(path.relative_to(part)).encode()
            yield path.read_bytes()
    else:
        yield part.name.encode()
        yield part.read_bytes()


def built(cache: Path, name: str, key: str, build: Callable[[Path], None]) -> Path:
    """Return the folder ``<cache>/<name>-<key>``, calling ``build(folder)`` if it is not there whole.

    The folder has its final path from the start (virtual environments do not survive a
    rename); a build that was killed leaves it without the mark, and the next call starts anew.
    Concurrent callers of one build wait for each other.
    """
    target = cache / f"{name}-{key}"
    with _locked(cache / f".{name}.lock"):
        if not is_built(cache, name, key):
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            build(target)
            (target / MARK).touch()
    return target


def is_built(cache: Path, name: str, key: str) -> bool:
    """Whether :func:`built` would find it whole."""
    return (cache / f"{name}-{key}" / MARK).exists()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield

"""The scratch folder of one restore. It holds pages of other tenants: nobody else may look in, and it is wiped."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

from .errors import ScratchFull

RESERVE = 512 * 1024 * 1024  # bytes: WAL that waits to be replayed, logs, and the unexpected
NO_ROOM = 4 * 1024 * 1024  # bytes
FULL = os.strerror(errno.ENOSPC)  # as programs say it, too


def no_room() -> ScratchFull:
    """Return the error of a scratch volume that has become full."""
    return ScratchFull("the scratch volume is full", "Give the restore a larger one; it is tried again by itself.")


class Scratch:
    """Folders below ``root``, which belongs to the user who runs PostgreSQL; at most ``limit`` bytes."""

    def __init__(self, root: Path, owner: int | None = None, limit: int | None = None) -> None:
        self.root = root
        self.data = root / "data"
        self.overlay = root / "overlay"
        self.socket = root / "socket"
        self.lock = root / "lock"
        self.dump = root / "dump"
        self.spaces = root / "spaces"
        self._limit = limit
        self._owner = owner  # user id, where it is another than this process's

    def prepare(self) -> None:
        """Make it empty and private, whatever an earlier attempt has left."""
        self.wipe()
        for path in (self.root, self.data, self.overlay, self.socket, self.lock, self.dump, self.spaces):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.own(path)

    def wipe(self) -> None:
        """Delete everything."""
        shutil.rmtree(self.root, ignore_errors=True)

    def require(self, size: int) -> None:
        """Make sure of ``size`` bytes, while nothing is in it yet.

        :raises ScratchFull: when there is less
        """
        free = min(shutil.disk_usage(self.root).free, self._limit or size + RESERVE)
        if free < size + RESERVE:
            needed, there = (size + RESERVE) >> 20, free >> 20
            raise ScratchFull(
                f"the restore needs {needed} MiB of scratch space, and {there} MiB are free",
                "Give the restore a larger scratch volume; it is tried again by itself.",
            )

    def owned(self) -> None:
        """Hand everything to the user who runs PostgreSQL."""
        if self._owner is not None:
            for folder, names, files in os.walk(self.root):
                for name in ("", *names, *files):
                    with suppress(FileNotFoundError):  # WAL comes and goes meanwhile
                        self.own(Path(folder) / name)

    def is_full(self, said: str) -> bool:
        """Tell whether that is why a program failed: it says so, or it says something else and there is no room."""
        return FULL in said or shutil.disk_usage(self.root).free < NO_ROOM

    def own(self, path: Path) -> None:
        """Hand one file or folder to the user who runs PostgreSQL."""
        if self._owner is not None:
            os.chown(path, self._owner, self._owner)

"""How much room is left on the volume of this Odoo, and what of it attachments leave alone.

A full volume must not keep people from reading. Logging in writes a session, a first page its bundles: for these the
last part of the volume is kept. Whoever wants to store a file is told before it comes to that.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

RESERVE = 16 * 1024**2  # bytes that only sessions and bundles may use
RESERVE_SHARE = 50  # of a small volume, a fiftieth
NEARLY = 0.95  # of the room above the reserve, from which on people are told beforehand
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Room:
    """A file system's size, and what is free of it, in bytes."""

    size: int
    free: int

    @property
    def reserve(self) -> int:
        """What attachments leave alone."""
        return min(RESERVE, self.size // RESERVE_SHARE)

    @property
    def state(self) -> str:
        """``full`` when no attachment fits any more, ``nearly``, or ``fine``."""
        if self.free <= self.reserve:
            return "full"
        return "nearly" if self.size - self.free >= NEARLY * (self.size - self.reserve) else "fine"

    def takes(self, count: int) -> bool:
        """Tell whether a file of ``count`` bytes fits above the reserve."""
        return self.free - count > self.reserve


def room(path: str) -> Room:
    """Return the room on the file system of ``path``."""
    found = os.statvfs(path)
    return Room(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)

"""Where a restore unpacks. It sees pages of other tenants: memory is better than a disk, an encrypted disk than any."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MIB = 1 << 20
SHARE = 4  # times the database: what is fetched, what is restored from it, the dump, and what replay adds
WAL = 1024  # MiB: segments on their way, the server's own, its catalogues, and a reserve
DISK = 51200  # MiB that a node's own disk may give to one restore
LEAST_CLAIM = 4096  # MiB; a class of volumes may have its own least size above that


class Medium(StrEnum):
    """What the scratch space is made of."""

    MEMORY = "memory"
    CLAIM = "claim"  # a volume of the class that the cluster names, for the Job's time
    NODE = "node"  # the node's own disk


@dataclass(frozen=True)
class ScratchSpace:
    """What one Job gets."""

    medium: Medium
    mib: int
    storage_class: str = ""

    @property
    def memory(self) -> int:
        """The MiB that count as the Job's memory."""
        return self.mib if self.medium == Medium.MEMORY else 0

    def volume(self) -> dict[str, Any]:
        """The pod's volume, without its name."""
        size = f"{self.mib}Mi"
        if self.medium == Medium.MEMORY:
            return {"emptyDir": {"medium": "Memory", "sizeLimit": size}}
        if self.medium == Medium.NODE:
            return {"emptyDir": {"sizeLimit": size}}
        claim = {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": self.storage_class,
            "resources": {"requests": {"storage": size}},
        }
        return {"ephemeral": {"volumeClaimTemplate": {"spec": claim}}}


def choose(database_size: int, memory_mib: int, storage_class: str, attempts: int = 0) -> ScratchSpace:
    """Return the space for a database of so many bytes.

    :param memory_mib: that one restore may have for this
    :param storage_class: of an encrypted volume; empty, where the node's disk has to do
    :param attempts: that have broken off: memory may have been too small, so the next one is on disk
    """
    needed = SHARE * database_size // MIB + WAL
    if needed <= memory_mib and not attempts:
        return ScratchSpace(Medium.MEMORY, memory_mib)
    if storage_class:
        return ScratchSpace(Medium.CLAIM, max(LEAST_CLAIM, 2 * needed), storage_class)
    return ScratchSpace(Medium.NODE, max(DISK, 2 * needed))

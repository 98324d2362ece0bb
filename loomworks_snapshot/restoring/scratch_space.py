"""Where a restore unpacks. It sees pages of other tenants: in memory, or on a disk that is said to be encrypted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ...loomworks_tenant.errors import PermanentError

MIB = 1 << 20
SHARE = 4  # times the database: what is fetched, what is restored from it, the dump, and what replay adds
WAL = 1024  # MiB: segments on their way, the server's own, its catalogues, and a reserve
DISK = 51200  # MiB that a node's own disk may give to one restore
LEAST_CLAIM = 4096  # MiB; a class of volumes may have its own least size above that


class Medium(StrEnum):
    """What the scratch space is made of."""

    MEMORY = "memory"
    CLAIM = "claim"  # a volume of the class that the cluster names, for the Job's time
    NODE = "node"  # the node's own disk, where the cluster says that it may be
    NOWHERE = "nowhere"


class ScratchRefused(PermanentError):
    """There is no place for a restore of this size that keeps what it sees to itself."""

    code = "no_scratch_space"


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

    def require(self) -> None:
        """Make sure that there is a place.

        :raises ScratchRefused: where there is none
        """
        if self.medium == Medium.NOWHERE:
            raise ScratchRefused(
                f"the restore needs {self.mib} MiB of scratch space, more than it may have in memory, and the cluster "
                "names no encrypted disk for it",
                "On the cluster's form, page Restores: name a storage class of encrypted volumes, give more memory, or "
                "say that the nodes' disks are encrypted.",
            )

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


def choose(
    database_size: int, memory_mib: int, storage_class: str, attempts: int = 0, on_node: bool = False
) -> ScratchSpace:
    """Return the space for a database of so many bytes.

    :param memory_mib: that one restore may have for this
    :param storage_class: of encrypted volumes, where there is one
    :param attempts: that have broken off: memory may have been too small, so the next one is on disk, if it may
    :param on_node: whether the disks of the nodes may be used
    """
    needed = SHARE * database_size // MIB + WAL
    fits = needed <= memory_mib
    if fits and not (attempts and (storage_class or on_node)):
        return ScratchSpace(Medium.MEMORY, memory_mib)
    if storage_class:
        return ScratchSpace(Medium.CLAIM, max(LEAST_CLAIM, 2 * needed), storage_class)
    return ScratchSpace(Medium.NODE, max(DISK, 2 * needed)) if on_node else ScratchSpace(Medium.NOWHERE, needed)

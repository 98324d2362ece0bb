"""Where files for customers are: in the bucket of the tenants' files, below a prefix of their own.

A rule of the bucket may remove what is older there than any link, whatever becomes of the control plane.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ...loomworks_storage.filestore.location import EXPORTS, Location

_NAME = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True)
class ExportLocation(Location):
    """One tenant's files for its customer."""

    @classmethod
    def beside(cls, files: Location) -> ExportLocation:
        """Return the place that belongs to that of a tenant's files."""
        return cls(**{name: getattr(files, name) for name in files.__dataclass_fields__})

    def object_key(self, name: str) -> str:
        """Return the key in the bucket of one of the files."""
        return f"{EXPORTS}{self.tenant}/{name}"


def object_name(number: str | int) -> str:
    """Return the name of the file of a restore's number.

    :raises ValueError: when it is none
    """
    if not _NAME.fullmatch(str(number)):
        raise ValueError(f"{number!r} is no restore's number")
    return f"{number}.zip"


def part_sizes() -> Iterator[int]:
    """Yield the sizes in bytes of the parts that a file is sent in: 10,000 of them, growing, 430 GiB in all."""
    for number in range(10_000):
        yield (8 + 8 * (number // 1000)) * 1024 * 1024

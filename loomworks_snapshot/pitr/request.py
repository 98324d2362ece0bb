"""What is asked of a restore, as plain values that pass through a Job's environment as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class TargetKind(StrEnum):
    """How the moment is named; each is one of PostgreSQL's recovery targets."""

    NAME = "name"  # a named restore point
    LSN = "lsn"  # every record that begins before; one that begins later must be in the archive
    TIME = "time"  # whatever was committed until then; something committed later must be in the archive


@dataclass(frozen=True)
class Target:
    """A moment of a server: a restore point, a WAL position, or a time (ISO 8601 with its offset)."""

    kind: TargetKind
    value: str
    timeline: int | None = None  # None: the newest that follows from the base backup
    lsn: int | None = None  # where a restore point is, so that the right base backup can be chosen
    timestamp: int | None = None  # seconds since 1970, for the same reason


@dataclass(frozen=True)
class Request:
    """Restore ``database`` as it was at ``target``."""

    database: str
    target: Target
    backup_label: str = ""  # empty: the newest that fits
    system_identifier: int | None = None  # of the server; another one's repository is refused
    jobs: int = 2  # parallel processes of each program
    drill: bool = False  # restored, checked and wiped; loaded nowhere
    download: str = ""  # made a file for the customer of, and loaded nowhere: "<tenant uuid>/<number>"

    @property
    def loads(self) -> bool:
        """Whether there is a database on the server to fill."""
        return not self.drill and not self.download

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Request:
        """Read what :meth:`to_json` wrote."""
        values: dict[str, Any] = json.loads(text)
        target = values.pop("target")
        return cls(target=Target(**{**target, "kind": TargetKind(target["kind"])}), **values)

"""Base backups of a server, as ``pgbackrest info --output=json`` tells of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..repository.segments import Segment, parse_lsn

FULL = "full"
KINDS = (FULL, "diff", "incr")
FULL_LABEL_SIZE = len("20261121-161903F")


@dataclass(frozen=True)
class BaseBackup:
    """One base backup; times are seconds since 1970, LSNs and sizes are bytes."""

    label: str
    kind: str  # full, diff or incr
    prior: str  # label of the backup that it builds on; empty for a full one
    references: tuple[str, ...]  # labels of all backups whose files it needs
    started: int
    stopped: int
    lsn_start: int
    lsn_stop: int
    wal_start: str
    wal_stop: str
    system_identifier: str
    size: int  # of the server's data
    repository_delta: int  # what this backup added to the repository
    repository_size: int  # what it and all that it needs take there
    failed: bool = False  # pages with wrong checksums were found

    @property
    def timeline(self) -> int:
        """The timeline on which it was taken."""
        return Segment.parse(self.wal_start).timeline

    @property
    def set_label(self) -> str:
        """The label of the full backup with which it stands and falls."""
        return self.label[:FULL_LABEL_SIZE]


def read_info(stanzas: Iterable[dict[str, Any]]) -> list[BaseBackup]:
    """Return the backups of all stanzas in ``info``, from the oldest to the newest."""
    found: list[BaseBackup] = []
    for stanza in stanzas:
        systems = {database["id"]: str(database["system-id"]) for database in stanza["db"]}
        added = {item["label"]: item["info"]["repository"]["delta"] for item in stanza["backup"]}
        found += [_backup(item, systems[item["database"]["id"]], added) for item in stanza["backup"]]
    return sorted(found, key=lambda backup: (backup.started, backup.label))


def _backup(item: dict[str, Any], system_identifier: str, added: dict[str, int]) -> BaseBackup:
    references = tuple(item["reference"] or ())
    return BaseBackup(
        label=item["label"],
        kind=item["type"],
        prior=item["prior"] or "",
        references=references,
        started=item["timestamp"]["start"],
        stopped=item["timestamp"]["stop"],
        lsn_start=parse_lsn(item["lsn"]["start"]),
        lsn_stop=parse_lsn(item["lsn"]["stop"]),
        wal_start=item["archive"]["start"],
        wal_stop=item["archive"]["stop"],
        system_identifier=system_identifier,
        size=item["info"]["size"],
        repository_delta=added[item["label"]],
        repository_size=sum(added.get(label, 0) for label in {item["label"], *references}),
        failed=bool(item["error"]),
    )


def usable(backups: Iterable[BaseBackup]) -> list[BaseBackup]:
    """Return those from which a server can be restored: without error, and all that they need is there and so, too."""
    sound = {backup.label for backup in backups if not backup.failed}
    return [one for one in backups if {one.label, *one.references, *([one.prior] if one.prior else [])} <= sound]

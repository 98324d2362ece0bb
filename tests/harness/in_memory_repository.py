"""A pgBackRest repository in memory: names, sizes and the few files that are read, in their real formats."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

try:  # an engine's test
    from addons.loomworks_snapshot.repository import cipher
    from addons.loomworks_snapshot.repository.errors import ObjectMissing
    from addons.loomworks_snapshot.repository.info_file import InfoFile
    from addons.loomworks_snapshot.repository.location import Location
    from addons.loomworks_snapshot.repository.segments import SEGMENT_SIZE, Segment, format_lsn
    from addons.loomworks_snapshot.repository.store import StoredObject
except ModuleNotFoundError:  # an addon's test, within Odoo
    from odoo.addons.loomworks_snapshot.repository import cipher
    from odoo.addons.loomworks_snapshot.repository.errors import ObjectMissing
    from odoo.addons.loomworks_snapshot.repository.info_file import InfoFile
    from odoo.addons.loomworks_snapshot.repository.location import Location
    from odoo.addons.loomworks_snapshot.repository.segments import SEGMENT_SIZE, Segment, format_lsn
    from odoo.addons.loomworks_snapshot.repository.store import StoredObject

PASS, ARCHIVE_PASS = "of the repository", "of the archive"
SYSTEM = 7710661382711497984
ARCHIVE = "archive/main/17-1"


@dataclass
class MemoryStore:
    """Answers like :class:`Store`, and counts how often a folder was listed."""

    sizes: dict[str, int] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    listed: list[str] = field(default_factory=list)
    location: Location = field(default_factory=lambda: Location("s3.test", "b", "r", "k", "s", PASS))

    def read(self, name: str) -> bytes:
        """Return a whole object."""
        if name not in self.contents:
            raise ObjectMissing(f"{name} is not in the repository")
        return self.contents[name]

    def list(self, folder: str, start: str = "", *, deep: bool = True) -> Iterator[StoredObject]:
        """Yield every object below ``folder``, as the real one does."""
        self.listed.append(f"{folder}/{start}")
        everything = {**self.sizes, **{name: len(data) for name, data in self.contents.items()}}
        for name in sorted(everything):
            rest = name.removeprefix(f"{folder}/{start}")
            if rest != name and (deep or "/" not in rest):
                yield StoredObject(name, everything[name])

    def put_info(self, name: str, passphrase: str, sections: Mapping[str, Mapping[str, Any]]) -> None:
        """Write one of pgBackRest's info files."""
        lines = {section: [f"{k}={json.dumps(v)}" for k, v in pairs.items()] for section, pairs in sections.items()}
        self.contents[name] = cipher.encrypt(InfoFile(lines).render().encode(), passphrase)

    def put_history(self, timeline: int, text: str) -> None:
        """Write where a timeline branched off."""
        self.contents[f"{ARCHIVE}/{timeline:08X}.history"] = cipher.encrypt(text.encode(), ARCHIVE_PASS)

    def put_segment(self, timeline: int, number: int, size: int = 100, checksum: str = "a") -> None:
        """Archive a segment."""
        name = Segment(timeline, number).name
        self.sizes[f"{ARCHIVE}/{name[:16]}/{name}-{checksum * 40}.zst"] = size

    def drop_segment(self, timeline: int, number: int) -> None:
        """Lose a segment."""
        name = Segment(timeline, number).name
        for key in [key for key in self.sizes if f"/{name}-" in key]:
            del self.sizes[key]


@dataclass(frozen=True)
class MadeBackup:
    """A base backup as ``backup.info`` lists it."""

    label: str
    timeline: int
    lsn_start: int
    lsn_stop: int
    references: tuple[str, ...] = ()
    failed: bool = False
    manifest: bool = True
    stopped: int = 2  # seconds since 1970

    def facts(self) -> dict[str, Any]:
        """Return its line in ``backup.info``."""
        return {
            "backup-type": "incr" if self.references else "full",
            "backup-reference": list(self.references),
            "backup-archive-start": Segment.holding(self.timeline, self.lsn_start).name,
            "backup-archive-stop": Segment.ending(self.timeline, self.lsn_stop).name,
            "backup-lsn-start": format_lsn(self.lsn_start),
            "backup-lsn-stop": format_lsn(self.lsn_stop),
            "backup-timestamp-start": 1,
            "backup-timestamp-stop": self.stopped,
            "backup-info-size": 1,
            "backup-info-repo-size-delta": 1,
            "backup-error": self.failed,
            "db-id": 1,
        }


def repository(backups: Sequence[MadeBackup] = (), system: int = SYSTEM, upgraded: int = 0) -> MemoryStore:
    """Return a store with these base backups and no WAL.

    :param upgraded: the server whose the stanza has been since they were made; 0: it is the same
    """
    store = MemoryStore()
    own = {"backrest-format": 5, "backrest-version": "2.55.1"}
    systems = {1: system, **({2: upgraded} if upgraded else {})}
    histories = {str(number): {"db-system-id": one, "db-version": "17"} for number, one in systems.items()}
    database = {"db-id": max(systems), **histories[str(max(systems))]}
    sections = {"backrest": own, "db": database, "db:history": histories}
    current = {one.label: one.facts() for one in backups}
    info = {**sections, "backup:current": current, "cipher": {"cipher-pass": "of manifests"}}
    store.put_info("backup/main/backup.info", PASS, info)
    store.put_info("archive/main/archive.info", PASS, {**sections, "cipher": {"cipher-pass": ARCHIVE_PASS}})
    for one in backups:
        if one.manifest:
            store.sizes[f"backup/main/{one.label}/backup.manifest"] = 10
    return store


def lsn(segment: int, offset: int = 0x100) -> int:
    """Return a position in the segment of this number."""
    return segment * SEGMENT_SIZE + offset

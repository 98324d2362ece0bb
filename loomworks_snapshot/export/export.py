"""Make the file: dump, list of modules and files go from where they are through a zip and a cipher into the store.

Nothing of it touches a disk. The object exists when it is whole, and not before; a run that was
killed has left nothing, and another one begins anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from ...loomworks_storage.filestore.errors import ObjectMissing
from ...loomworks_storage.filestore.vault import Vault
from ..pitr import transfer
from ..pitr.programs import Programs
from ..pitr.scratch_server import ScratchServer
from . import handover
from .archive import Archive
from .contents import Content, Contents
from .errors import FilesChanged
from .sealed import Sealed

MISSING = "missing-files.txt"  # Odoo passes members by that it does not know
MISSING_TEXT = """\
The database names these files, and they are not in this archive: the backups of the tenant's files do not have them.
Records that they belong to are in the database; opening such a file shows an error, or an empty picture.

"""

Stage = Callable[[str], AbstractContextManager[None]]
Tell = Callable[[str, float], None]


@dataclass
class ExportReport:
    """What is in the file; sizes in bytes."""

    size: int = 0  # of the zip
    sha256: str = ""
    dump: int = 0  # of dump.sql, unpacked
    files: int = 0
    files_size: int = 0
    missing: dict[str, str] = field(default_factory=dict)  # files that the database names, and why they are not in it


class Export:
    """One run; it may be repeated after any failure."""

    def __init__(self, programs: Programs, vault: Vault, target: Sealed, tell: Tell) -> None:
        """Take files from ``vault`` and write to ``target``."""
        self._programs = programs
        self._target = target
        self._contents = Contents(vault)
        self._tell = tell
        self.report = ExportReport()

    def deliver(self, server: ScratchServer, database: str, stage: Stage) -> ExportReport:
        """Make the file of ``database``, which is changed by that (see :mod:`.handover`).

        :param stage: names what is being done, and takes its time
        :raises FilesChanged: when a file has gone between two reads
        :raises LoomworksError: of what the store or PostgreSQL's programs say
        """
        with server.connect(database) as cr:
            handover.prepare(cr)
        try:
            self._target.write(self._measured(self._zip(server, database, stage)))
        except ObjectMissing as error:
            raise FilesChanged(f"a file of the tenant went while it was read: {error.message}") from error
        self.report.missing = dict(sorted(self._contents.missing.items()))
        return self.report

    def _zip(self, server: ScratchServer, database: str, stage: Stage) -> Iterator[bytes]:
        archive = Archive()
        with stage("dump"):
            yield from archive.member("dump.sql", self._dump(server, database))
            yield from archive.member("manifest.json", [self._manifest(server, database)])
        with stage("files"):
            for done, content in enumerate(self._contents, 1):
                yield from archive.member(f"filestore/{content.name}", self._blocks(content))
                self._tell("files", done / self._contents.count)
            if self._contents.missing:
                yield from archive.member(MISSING, [self._missing_text()])
            yield from archive.end()

    def _dump(self, server: ScratchServer, database: str) -> Iterator[bytes]:
        for block in transfer.plain(self._programs, server, database):
            self.report.dump += len(block)
            yield block

    def _manifest(self, server: ScratchServer, database: str) -> bytes:
        with server.connect(database) as cr:
            with cr.connection.cursor("needed") as rows:
                self._contents.ask(rows)
            return json.dumps(handover.manifest(cr, database), indent=4).encode()

    def _blocks(self, content: Content) -> Iterator[bytes]:
        self.report.files += 1
        self.report.files_size += content.size
        yield from content.blocks

    def _missing_text(self) -> bytes:
        lines = (f"{name}: {why}\n" for name, why in sorted(self._contents.missing.items()))
        return (MISSING_TEXT + "".join(lines)).encode()

    def _measured(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        hashed = hashlib.sha256()
        for block in blocks:
            hashed.update(block)
            self.report.size += len(block)
            yield block
        self.report.sha256 = hashed.hexdigest()

"""Restore one database to a moment, a stage at a time."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from ...loomworks_tenant.errors import LoomworksError
from ..repository import catalog as catalogs
from ..repository import verdict
from ..repository.catalog import Backup, Catalog
from ..repository.errors import ObjectMissing, UnknownFormat
from ..repository.segments import Segment, between, parse_lsn
from ..repository.store import Store
from . import checks, overlay, transfer
from .errors import CopiedByFile, DatabaseNotThere, NoBaseBackup, ProgramFailed, TargetNotReached, WalNotFiltered
from .manifest import SHARED_DATABASES, Manifest
from .overlay import Plan
from .programs import Programs
from .request import Request, Target, TargetKind
from .scratch import Scratch, no_room
from .scratch_server import ScratchServer
from .wal import WalFeed
from .wal_filter import EVERYTHING, Selection

_logger = logging.getLogger(__name__)

ROOM_FOR_DUMP = 2  # times the size of the restored files: the dump, and what replay adds
NOT_IN_BACKUP = "database to include"  # pgBackRest's error 80
CHOICES = 3  # of a base backup, while others expire


@dataclass
class Report:
    """What a restore did; ``seconds`` by stage."""

    backup: str = ""
    method: str = "selective"  # or "include": pgBackRest's own way, where the repository's format is not known
    note: str = ""
    database_number: int | None = None
    fetched: int = 0  # bytes
    size: int = 0  # bytes of the restored files
    segments: int = 0  # of WAL that were replayed
    passed: int = 0  # records of WAL that changed pages of other databases, and were passed over
    tables: int = 0
    rows: int = 0  # in all of them
    unchecked_keys: list[str] = field(default_factory=list)  # foreign keys that were NOT VALID at the moment
    export: dict[str, Any] = field(default_factory=dict)  # of a file for the customer: what is in it
    seconds: dict[str, float] = field(default_factory=dict)


Tell = Callable[[str, float], None]  # stage and how much of it is done (0 to 1)
# Takes the scratch server and what names the stages; returns what there is to say of it.
Deliver = Callable[[ScratchServer, Callable[[str], AbstractContextManager[None]]], dict[str, Any]]


class Restore:
    """One restore; :meth:`to_server`, :meth:`hand_over` and :meth:`drill` may be called again after any failure.

    :param tell: told the progress
    """

    def __init__(
        self,
        request: Request,
        store: Store,
        scratch: Scratch,
        programs: Programs,
        tell: Tell = lambda stage, share: None,
    ) -> None:
        self.request = request
        self.report = Report()
        self._store = store
        self._scratch = scratch
        self._programs = programs
        self._tell = tell
        self._server = ScratchServer(programs, scratch, store.location, request)

    def to_server(self, address: Mapping[str, str]) -> Report:
        """Restore into the empty database at ``address`` (libpq's variables)."""
        with self._checked() as counted:
            folder = self._scratch.dump / "database"
            with self._stage("dump"):
                transfer.dump(self._programs, self._server, self.request.database, folder, self.request.jobs)
            self._server.stop()
            with self._stage("load"):
                transfer.load(self._programs, folder, address, self.request.jobs)
                checks.compare(counted, address)
        return self.report

    def hand_over(self, deliver: Deliver) -> Report:
        """Restore and check, and let ``deliver`` do what it likes with the database before it is wiped."""
        with self._checked():
            self.report.export = deliver(self._server, self._stage)
        return self.report

    def drill(self) -> Report:
        """Restore, check, and wipe: what would have to be done if it were needed now, and how long it takes."""
        with self._checked():
            pass
        return self.report

    @contextmanager
    def _checked(self) -> Iterator[dict[str, int]]:
        """Offer how many rows each table of the restored database has; it is on the scratch server, and checked.

        Everything is wiped afterwards.
        """
        try:
            self._scratch.prepare()
            self._bring_up()
            with self._stage("check"):
                checks.check(self._programs, self._server, self.request.database, self.request.jobs)
                counted, self.report.unchecked_keys = checks.content(self._server, self.request.database)
                self.report.tables, self.report.rows = len(counted), sum(counted.values())
            yield counted
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise no_room() from error
        finally:
            self._server.stop()
            with self._stage("wipe"):
                self._scratch.wipe()

    def _bring_up(self) -> None:
        """Have the scratch server run with the database as it was.

        A backup that expires meanwhile is no reason to give up: an older one may be there still.
        """
        for _ in range(CHOICES):
            with self._stage("catalogue"):
                catalog = catalogs.read(self._store)
                backup = choose_backup(catalog, self.request)
                self.report.backup = backup.label
            try:
                self._bring_up_from(catalog, backup)
                return
            except ObjectMissing:
                if catalogs.read(self._store).get(backup.label):
                    raise
                self._scratch.prepare()
        raise NoBaseBackup("the base backups expired while they were being read", "Try again.")

    def _bring_up_from(self, catalog: Catalog, backup: Backup) -> None:
        try:
            self._selectively(catalog, backup)
        except UnknownFormat as error:
            self.report.method = "include"
            self.report.note = f"pgBackRest restored by itself (--db-include), which takes longer: {error.message}"
            self._again()
            with self._wal(catalog, backup) as wal:
                with self._stage("restore"):
                    self._include(backup, wal)
                self._replay(wal)
        self.report.database_number = self._number_at_target()
        self._server.open_database(self.request.database)
        if not self._server.has_files(self.request.database):
            raise CopiedByFile(
                f"the database {self.request.database} was made after the base backup with STRATEGY FILE_COPY: WAL "
                "does not have what was copied",
                "Take a moment after the next base backup, or restore the database that it was copied from.",
            )

    def _include(self, backup: Backup, wal: WalFeed) -> None:
        """Have pgBackRest restore the database, which it knows by the name that it had at the backup's time."""
        name = self.request.database
        try:
            self._server.restore_whole(backup.label, wal.command, [f"--db-include={name}"])
        except ProgramFailed as error:
            if NOT_IN_BACKUP not in error.message:
                raise
            raise DatabaseNotThere(
                f"the base backup {backup.label} has no database {name}. {self.report.note}",
                "Take a moment after the next base backup.",
            ) from error

    def _selectively(self, catalog: Catalog, backup: Backup) -> None:
        """Fetch and replay what is the database's.

        Which files are its own is known by number, and the manifest knows the number of its name at the time of the
        backup. Where another database has got the name in between, the first replay tells, and a second one follows:
        what is that one's was passed over, unless the backup knew neither.
        """
        name = self.request.database
        manifest = self._manifest(catalog, backup, lambda known: [known[name]] if name in known else [])
        known = manifest.databases()
        self._replay_only(catalog, backup, manifest, known.get(name))
        number = self._server.database_number(name)
        if number not in (None, known.get(name)) and (name in known or number in known.values()):
            self._again()
            manifest = self._manifest(catalog, backup, lambda known: [number] if number in known.values() else [])
            self._replay_only(catalog, backup, manifest, number)

    def _replay_only(self, catalog: Catalog, backup: Backup, manifest: Manifest, number: int | None) -> None:
        """Replay what concerns the database ``number``; where that is not known, those that the backup does not know.

        Where WAL is not as expected, or the server stumbles over it, all of it is replayed. That takes longer and
        comes to the same, or to the server's own reason.
        """
        others = set(manifest.databases().values()) - {number, *SHARED_DATABASES}
        try:
            self._replay_selected(catalog, backup, manifest, Selection(others, number))
        except WalNotFiltered as error:
            self.report.note = f"All WAL was replayed, not the tenant's alone: {error.message}"
            self._again()
            self._replay_selected(catalog, backup, manifest, EVERYTHING)

    def _again(self) -> None:
        self._server.stop()
        self._scratch.prepare()

    def _manifest(self, catalog: Catalog, backup: Backup, choose: Callable[[Mapping[str, int]], list[int]]) -> Manifest:
        with self._stage("catalogue"):
            return overlay.read_manifest(self._store, catalog, backup.label, choose)

    def _number_at_target(self) -> int:
        number = self._server.database_number(self.request.database)
        if number is None:
            target = self.request.target
            raise DatabaseNotThere(
                f"the server had no database {self.request.database} at {target.kind} {target.value}",
                "Take a later moment: the tenant was made after this one.",
            )
        return number

    def _replay_selected(self, catalog: Catalog, backup: Backup, manifest: Manifest, selection: Selection) -> None:
        planned = overlay.plan(self._store, manifest)
        self.report.size, self.report.fetched = planned.size, planned.transfer
        self._scratch.require(planned.transfer + planned.size * (1 + ROOM_FOR_DUMP))
        with self._wal(catalog, backup, selection) as wal:
            with self._stage("fetch"):
                self._fetch(catalog, planned)
            with self._stage("restore"):
                self._server.restore(planned, wal.command)
            self._replay(wal)
            self.report.passed = wal.passed

    @contextmanager
    def _wal(self, catalog: Catalog, backup: Backup, selection: Selection = EVERYTHING) -> Iterator[WalFeed]:
        """Offer the WAL from the backup on; it comes while the rest is being done.

        :raises TargetNotReached: naming the first segment before the target that the archive does not have
        """
        first = Segment.parse(backup.first_segment)
        timeline = self.request.target.timeline
        archive_id = catalog.archive_of(backup)
        feed = WalFeed(self._store, self._programs, self._scratch, archive_id, first, selection, timeline)
        try:
            feed.open()
            for segment in self._known_segments(first):
                if not feed.has(segment):
                    raise TargetNotReached(
                        f"the WAL segment {segment.name} is not in the repository",
                        "Only moments before it can be restored from this base backup.",
                    )
            yield feed
        finally:
            feed.close()

    def _known_segments(self, first: Segment) -> Iterator[Segment]:
        """Yield the segments that are needed, as far as they are known: on one timeline, to a known position."""
        target = self.request.target
        lsn = target_lsn(target)
        if lsn is not None and target.timeline == first.timeline:
            holding = Segment.holding if target.kind == TargetKind.LSN else Segment.ending
            yield from between(first, holding(first.timeline, lsn))

    def _replay(self, wal: WalFeed) -> None:
        def done() -> None:
            if wal.newest:
                self._replayed(wal.first, wal.newest)

        wal.unpack()
        with self._stage("replay"):
            try:
                self._server.replay(done)
            except LoomworksError as error:
                if wal.error:
                    raise wal.error from None  # PostgreSQL takes a segment that does not come for the end of all WAL
                if wal.filters and isinstance(error, (ProgramFailed, TargetNotReached)):
                    _logger.warning("recovery ended while only one database's WAL was replayed: %s", error.message)
                    # The row is for tenants, too, and the server's words may tell of others.
                    raise WalNotFiltered(f"recovery ended early ({error.code})") from error
                raise
        done()

    def _replayed(self, first: Segment, newest: Segment) -> None:
        self.report.segments = newest.number - first.number + 1
        lsn = target_lsn(self.request.target)
        if lsn is not None:
            wanted = Segment.ending(first.timeline, lsn).number - first.number + 1
            self._tell("replay", min(1.0, self.report.segments / max(wanted, 1)))

    def _fetch(self, catalog: Catalog, planned: Plan) -> None:
        arrived = 0

        def done(size: int) -> None:
            nonlocal arrived
            arrived += size
            self._tell("fetch", min(1.0, arrived / max(planned.transfer, 1)))

        overlay.write(self._store, catalog, planned, self._scratch.overlay, done)

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        self._tell(name, 0.0)
        began = time.monotonic()
        try:
            yield
        finally:
            spent = time.monotonic() - began
            self.report.seconds[name] = round(self.report.seconds.get(name, 0.0) + spent, 3)
        self._tell(name, 1.0)


def target_lsn(target: Target) -> int | None:
    """Return the WAL position of a target, where it is known."""
    return parse_lsn(target.value) if target.kind == TargetKind.LSN else target.lsn


def choose_backup(catalog: Catalog, request: Request) -> Backup:
    """Return the base backup to start from: the one asked for, or where it is gone the newest before the target.

    :raises NoBaseBackup: when there is none, the repository was never the server's, or it ran another version then
    """
    own = _backups_of_server(catalog, request.system_identifier or catalog.system_identifier)
    fitting = [one for one in own if not one.failed and _ends_before(one, request.target)]
    if not fitting:
        oldest = min((one.stopped for one in own), default=None)
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(oldest)) if oldest else "the first backup"
        raise NoBaseBackup(
            f"no base backup in the repository ends before {request.target.kind} {request.target.value}",
            f"The repository goes back to {since}. Take a later moment.",
        )
    return max(fitting, key=lambda one: (one.label == request.backup_label, one.lsn_stop))


def _backups_of_server(catalog: Catalog, system: int) -> list[Backup]:
    """Return the backups of the stanza's server of this identifier: the present one, or one before an upgrade."""
    histories = [one for one in catalog.histories if one.system_identifier == system]
    if not histories:
        raise NoBaseBackup(
            f"the repository is of the server {catalog.system_identifier}, not of {system}",
            "The server was made anew after this moment, or the repository's address is another server's.",
        )
    if not any(one.version == catalog.version for one in histories):
        reason = verdict.other_version(histories[-1].version, catalog.version)
        raise NoBaseBackup(reason.message, reason.hint)
    return catalog.backups_of(system)


def _ends_before(backup: Backup, target: Target) -> bool:
    lsn = target_lsn(target)
    if lsn is not None:
        return backup.lsn_stop <= lsn
    return target.timestamp is None or backup.stopped < target.timestamp

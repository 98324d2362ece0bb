"""The only place that talks to a database server about its repository: asks its steward, reads what it recorded.

The tables are those of ``infrastructure/docker/postgres/conf/repository.sql``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...loomworks_tenant.errors import DatabaseRefused, LoomworksError
from ...loomworks_tenant.postgres.server import DatabaseServer
from ..repository.segments import SEGMENT_SIZE, Segment, parse_lsn
from .base_backup import BaseBackup, read_info

STATEMENT_TIMEOUT = 10_000  # milliseconds: nothing here takes long, and a server that hangs must not hold up others
SEGMENT_HEADER = 40  # bytes at the start of a segment in which nothing has been written (SizeOfXLogLongPHD)
NOT_ENDED = -1  # exit code of work whose steward was killed

# Asking for what is pending already is no second question (index repository_work_pending).
ASK = """
    INSERT INTO loomworks.repository_work (kind, argument) VALUES (%(kind)s, %(argument)s)
    ON CONFLICT DO NOTHING RETURNING id
"""
RECENT = 20  # pieces of work of each kind that are read
WORK = """
    SELECT id, kind, coalesce(argument, '') AS argument, extract(epoch FROM asked_at)::float AS asked,
           extract(epoch FROM started_at)::float AS started, extract(epoch FROM finished_at)::float AS finished,
           exit_code, coalesce(message, '') AS message, coalesce(label, '') AS label
      FROM (SELECT *, row_number() OVER (PARTITION BY kind ORDER BY id DESC) AS age
              FROM loomworks.repository_work) AS known
     WHERE age <= %(recent)s OR finished_at IS NULL
     ORDER BY id
"""
INFO = """
    SELECT info, coalesce(error, '') AS error, backup_bytes, archive_bytes,
           extract(epoch FROM taken_at)::float AS taken, extract(epoch FROM tried_at)::float AS tried
      FROM loomworks.repository_info
"""
# Where the server writes, what waits for being archived, and the settings that restoring one database needs.
SERVER = """
    SELECT extract(epoch FROM clock_timestamp())::float AS now,
           pg_current_wal_insert_lsn()::text AS lsn,
           ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int AS timeline,
           (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
           pg_size_bytes(current_setting('wal_segment_size')) AS segment_size,
           (SELECT setting::int FROM pg_settings WHERE name = 'archive_timeout') AS archive_timeout,
           waiting.segments AS waiting_segments, waiting.seconds AS lag_seconds,
           archiver.failed_count,
           coalesce(substring(archiver.last_archived_wal, '^[0-9A-F]{24}'), '') AS last_archived_wal,
           extract(epoch FROM archiver.last_archived_time)::float AS last_archived,
           extract(epoch FROM archiver.last_failed_time)::float AS last_failed,
           (SELECT json_object_agg(name, current_setting(name)) FROM unnest(%(settings)s::text[]) AS name) AS settings,
           (SELECT count(*)::int FROM pg_database AS one JOIN pg_tablespace AS place ON place.oid = one.dattablespace
             WHERE place.spcname <> 'pg_default') AS databases_elsewhere
      FROM pg_stat_archiver AS archiver,
           (SELECT count(*)::int AS segments,
                   coalesce(extract(epoch FROM clock_timestamp() - min(modification)), 0)::float AS seconds
              FROM pg_ls_archive_statusdir() WHERE name ~ '^[0-9A-F]{24}\\.ready$') AS waiting
"""
SETTINGS = ("archive_mode", "data_checksums", "fsync", "full_page_writes", "wal_level")


@dataclass(frozen=True)
class Work:
    """One piece of work of a steward; times are seconds since 1970, None while that has not come."""

    id: int
    kind: str  # full, incr, diff, expire, check or verify
    argument: str
    asked: float
    started: float | None
    finished: float | None
    exit_code: int | None
    message: str
    label: str

    @property
    def succeeded(self) -> bool:
        """Done, and without an error."""
        return self.exit_code == 0

    @property
    def failed(self) -> bool:
        """Ended with an error, or with its steward."""
        return self.finished is not None and self.exit_code != 0


@dataclass(frozen=True)
class Archive:
    """How the server's WAL reaches the repository."""

    lag_seconds: float  # how long the oldest segment has been waiting
    lag_bytes: int
    failed_count: int  # of attempts, since the server's statistics began
    last_archived_wal: str  # a segment; of the history file of a backup, the one in which it began
    last_archived: float | None  # seconds since 1970
    last_failed: float | None
    timeout: int  # seconds after which a segment is ended in which anything was written; 0: none is

    @property
    def failing(self) -> bool:
        """The last attempt failed."""
        return self.last_failed is not None and self.last_failed > (self.last_archived or 0)


@dataclass(frozen=True)
class Look:
    """What a server says of itself and of its repository at one moment of its own clock."""

    now: float  # seconds since 1970
    lsn: int
    timeline: int
    system_identifier: str
    settings: dict[str, str]
    databases_elsewhere: int  # in another tablespace than pg_default
    archive: Archive
    work: tuple[Work, ...]  # in the order in which it was asked for
    backups: tuple[BaseBackup, ...]
    info_taken: float | None  # when the backups were listed; None when that never succeeded
    info_tried: float | None
    info_error: str  # why they could not be listed just now
    backup_bytes: int  # in the repository
    archive_bytes: int

    @property
    def unarchived_seconds(self) -> float:
        """How old the oldest change can be that the repository does not have: what would be lost with the server.

        What is in the open segment counts as well as what waits: a segment holds what was written since the one before
        it, and is ended after :attr:`Archive.timeout`. The seconds that archiving the last one took are not known.
        """
        archive = self.archive
        if not archive.last_archived_wal or archive.last_archived is None:
            return archive.lag_seconds + archive.timeout
        archived = Segment.parse(archive.last_archived_wal).start + SEGMENT_SIZE
        if self.lsn <= archived + SEGMENT_HEADER:
            return 0.0
        since = max(self.now - archive.last_archived, archive.lag_seconds)
        return min(since, archive.lag_seconds + archive.timeout) if archive.timeout else since


class Repository:
    """A server's repository, as its provisioning role sees it."""

    def __init__(self, server: DatabaseServer) -> None:
        self._server = server

    def ask(self, kind: str, argument: str | None = None) -> int | None:
        """Have the steward do a piece of work; return its number, or None when the same is pending already.

        :raises LoomworksError: when the server cannot be asked
        """
        with self._server.connect() as cr:
            cr.execute(ASK, {"kind": kind, "argument": argument})
            row = cr.fetchone()
            return row["id"] if row else None

    def look(self) -> Look:
        """Read everything there is to know.

        :raises DatabaseRefused: when the server has no such tables
        :raises LoomworksError: when it cannot be asked
        """
        try:
            with self._server.connect() as cr:
                cr.execute("SELECT set_config('statement_timeout', %s, true)", [str(STATEMENT_TIMEOUT)])
                cr.execute(SERVER, {"settings": list(SETTINGS)})
                server = dict(cr.fetchone())
                cr.execute(INFO)
                info = dict(cr.fetchone() or {})
                cr.execute(WORK, {"recent": RECENT})
                work = tuple(Work(**row) for row in cr.fetchall())
        except DatabaseRefused as error:
            raise _without_tables(error) from error
        return _look(server, info, work)


def _without_tables(error: DatabaseRefused) -> LoomworksError:
    hint = "Its image must be this release's: the steward beside it makes the tables of the schema loomworks."
    return DatabaseRefused(f"the server does not tell of its repository: {error.message}", hint)


def _look(server: dict[str, Any], info: dict[str, Any], work: tuple[Work, ...]) -> Look:
    archive = Archive(
        lag_seconds=server["lag_seconds"],
        lag_bytes=server["waiting_segments"] * server["segment_size"],
        failed_count=server["failed_count"],
        last_archived_wal=server["last_archived_wal"],
        last_archived=server["last_archived"],
        last_failed=server["last_failed"],
        timeout=server["archive_timeout"],
    )
    return Look(
        now=server["now"],
        lsn=parse_lsn(server["lsn"]),
        timeline=server["timeline"],
        system_identifier=server["system_identifier"],
        settings=server["settings"],
        databases_elsewhere=server["databases_elsewhere"],
        archive=archive,
        work=work,
        backups=tuple(read_info(info.get("info") or ())),
        info_taken=info.get("taken"),
        info_tried=info.get("tried"),
        info_error=info.get("error", ""),
        backup_bytes=info.get("backup_bytes") or 0,
        archive_bytes=info.get("archive_bytes") or 0,
    )

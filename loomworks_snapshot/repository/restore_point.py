"""Named restore points on a running server, for any number of its tenants with one WAL switch.

The provisioning role needs ``EXECUTE`` on ``pg_create_restore_point(text)`` and ``pg_switch_wal()`` in the maintenance
database; everybody may call the rest.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg2.errors

from ...loomworks_tenant.errors import DatabaseRefused, RetryableError
from ...loomworks_tenant.postgres.server import DatabaseServer
from .segments import Segment, parse_lsn

PREFIX = "lw_"  # a name may have 63 bytes
IN_RECOVERY_PAUSE = 5.0  # seconds

# One record for each name; recovery to a name ends with its record, so none may be used twice.
CREATE = """
    SELECT name, pg_create_restore_point(name)::text AS lsn, clock_timestamp() AS taken_at
      FROM unnest(%(names)s::text[]) AS name
"""

# The rest of the segment is given up, so that it is archived now; this also flushes the records to disk.
SWITCH = "SELECT pg_switch_wal()"

# A transaction with a number leaves a record when it commits, though it has changed nothing.
COMMIT = "SELECT pg_current_xact_id()"

# Who this server is, and the name of the segment that is written now (it begins with the timeline).
IDENTITY = """
    SELECT system_identifier, pg_walfile_name(pg_current_wal_insert_lsn()) AS wal_file FROM pg_control_system()
"""

# The sizes of those databases that are there and that the provisioning role may see.
SIZES = """
    SELECT datname, pg_database_size(oid) AS size
      FROM pg_database WHERE datname = ANY(%(databases)s) AND has_database_privilege(oid, 'CONNECT')
"""


@dataclass(frozen=True)
class RestorePoint:
    """A named position in a server's WAL; ``taken_at`` is the server's own time, with its zone."""

    name: str
    lsn: int
    timeline: int
    system_identifier: int
    taken_at: datetime

    @property
    def wal_file(self) -> str:
        """The name of the segment in which its record ends."""
        return Segment.ending(self.timeline, self.lsn).name


def new_name() -> str:
    """Return a name that no other restore point has."""
    return f"{PREFIX}{uuid.uuid4().hex}"


def take(server: DatabaseServer, names: Sequence[str]) -> list[RestorePoint]:
    """Create a restore point for each name, switch WAL once, and return them in the order of ``names``.

    :raises ServerUnreachable, RetryableError: when the server cannot do it now
    :raises DatabaseRefused: when the provisioning role may not
    """
    with server.connect(autocommit=True) as cr, _explained():
        cr.execute(IDENTITY)
        identity = cr.fetchone()
        cr.execute(CREATE, {"names": list(names)})
        rows = {row["name"]: row for row in cr.fetchall()}
        cr.execute(SWITCH)
    return [_point(rows[name], identity) for name in names]


def close(server: DatabaseServer) -> RestorePoint:
    """Have a transaction committed and a restore point created now, and everything before them archived.

    Replay to a time ends at the first commit after it, and replay to a position at the first record behind it.

    :raises ServerUnreachable, RetryableError, DatabaseRefused: as :func:`take`
    """
    with server.connect() as cr:
        cr.execute(COMMIT)
    return take(server, [new_name()])[0]


def push(server: DatabaseServer) -> None:
    """Have everything archived that is written by now, with a record after it: two segments are closed.

    :raises ServerUnreachable, RetryableError, DatabaseRefused: as :func:`take`
    """
    with server.connect(autocommit=True) as cr, _explained():
        for _segment in range(2):
            cr.execute(CREATE, {"names": [new_name()]})
            cr.execute(SWITCH)


def sizes(server: DatabaseServer, databases: Sequence[str]) -> dict[str, int]:
    """Return the size in bytes of each of these databases that is there."""
    with server.connect() as cr:
        cr.execute(SIZES, {"databases": list(databases)})
        return {row["datname"]: row["size"] for row in cr.fetchall()}


def _point(row: dict[str, Any], identity: dict[str, Any]) -> RestorePoint:
    return RestorePoint(
        name=row["name"],
        lsn=parse_lsn(row["lsn"]),
        timeline=Segment.parse(identity["wal_file"]).timeline,
        system_identifier=identity["system_identifier"],
        taken_at=row["taken_at"],
    )


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except psycopg2.errors.ObjectNotInPrerequisiteState as error:
        raise RetryableError(
            "the database server is in recovery and takes no restore points",
            "It is asked again by itself.",
            IN_RECOVERY_PAUSE,
        ) from error
    except psycopg2.errors.InsufficientPrivilege as error:
        raise DatabaseRefused(
            "the provisioning role may not create restore points",
            "Grant it EXECUTE on pg_create_restore_point(text) and pg_switch_wal() in the maintenance database.",
        ) from error

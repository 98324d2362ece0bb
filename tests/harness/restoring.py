"""Restore from a test's server into a new database of it, and compare whole databases."""

from __future__ import annotations

from dataclasses import replace

from addons.loomworks_snapshot.pitr.programs import Programs
from addons.loomworks_snapshot.pitr.request import Request, Target, TargetKind
from addons.loomworks_snapshot.pitr.restore import Restore
from addons.loomworks_snapshot.pitr.scratch import Scratch
from addons.loomworks_snapshot.repository.location import Location
from addons.loomworks_snapshot.repository.segments import parse_lsn
from addons.loomworks_snapshot.repository.store import Store
from psycopg2 import sql
from stack.postgres_root import USER_ID

from .cell import PATHS

TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm') AND c.relpersistence = 'p' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
 ORDER BY 1, 2
"""
CHECKSUM = "SELECT count(*), md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM {} t"
OBJECTS = """
SELECT pg_describe_object(classid, objid, 0)
  FROM (SELECT 'pg_class'::regclass classid, oid objid, relnamespace FROM pg_class WHERE relkind <> 't') AS found
  JOIN pg_namespace n ON n.oid = relnamespace
 WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') ORDER BY 1
"""


def whole(cell, database):
    """Return a checksum of every table of a database, and the names of all that is in it."""
    with cell.connect(database) as cr:
        cr.execute(OBJECTS)
        found = {"objects": [name for (name,) in cr.fetchall()]}
        cr.execute(TABLES)
        for schema, table in cr.fetchall():
            cr.execute(sql.SQL(CHECKSUM).format(sql.Identifier(schema, table)))
            found[f"{schema}.{table}"] = cr.fetchone()
        cr.execute(
            "SELECT count(*), md5(string_agg(loid::text || pageno || encode(data, 'hex'), '' ORDER BY loid, pageno))"
            " FROM pg_largeobject"
        )
        found["large objects"] = cr.fetchone()
    return found


def sequences(cell, database):
    """Return the last value of every sequence, None where it has given none."""
    query = "SELECT format('%I.%I', schemaname, sequencename), last_value FROM pg_sequences"
    return dict(cell.ask(query, database))


def named(cell, name, timeline=1):
    """Make a restore point and return it as a target."""
    return Target(TargetKind.NAME, name, timeline, lsn=parse_lsn(cell.restore_point(name)))


def at_lsn(cell):
    """Return the present position as a target that can be reached."""
    lsn = cell.ask("SELECT pg_current_wal_insert_lsn()::text")[0][0]
    cell.restore_point("after")
    return Target(TargetKind.LSN, lsn, timeline=1)


def restore(cell, database, target, into, *, store=None, tell=lambda stage, share: None, **request):
    """Restore ``database`` into a new database ``into`` and return the report."""
    cell.ask(f'DROP DATABASE IF EXISTS "{into}"')
    cell.ask(f'CREATE DATABASE "{into}" TEMPLATE template0 STRATEGY wal_log')
    address = {
        "PGHOST": str(cell.folder / "socket"),
        "PGPORT": str(cell.port),
        "PGUSER": "postgres",
        "PGDATABASE": into,
    }
    return a_restore(cell, Request(database, target, **request), store=store, tell=tell).to_server(address)


def a_restore(cell, request, *, store=None, tell=lambda stage, share: None):
    """Return a restore that has not begun."""
    programs = Programs(lambda argv: cell.command(*argv), PATHS)
    scratch = Scratch(cell.folder / "scratch" / "restore", USER_ID)
    return Restore(request, store or Store(location(cell)), scratch, programs, tell)


def once_at(stage, do, times=1):
    """Return what a restore may be told by: it does something when a stage has begun so many times."""
    begun = []

    def tell(now, share):
        if (now, share) == (stage, 0.0):
            begun.append(now)
            if len(begun) == times:
                do()

    return tell


def location(cell, **changes):
    """Return where the server's repository is."""
    return replace(Location.from_environment(cell.environment()), **changes)

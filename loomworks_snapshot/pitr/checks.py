"""Whether a restored database is sound."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import psycopg2
from psycopg2 import sql

from .errors import CheckFailed, LoadFailed, ProgramFailed
from .programs import Programs
from .scratch import no_room
from .scratch_server import ScratchServer

AMCHECK = "amcheck"
NAMED = 3  # tables that an error names
FOUND = 2  # exit code of pg_amcheck where it came to its end and has found something; 1 where it did not
FINDING = re.compile(r"^(?=heap table |btree index )", re.MULTILINE)
# What PostgreSQL says of itself, and not of the pages that it was to check.
PASSING = re.compile(
    r"(ERROR|FATAL|PANIC):  (out of memory|out of shared memory|terminating|canceling|the database system)"
    r"|server closed the connection|no connection to the server|connection to server|Cannot allocate memory"
    r"|No space left on device|Too many open files"
)
# libpq's variables -> the parameters of a connection
LIBPQ = {
    "PGHOST": "host",
    "PGPORT": "port",
    "PGUSER": "user",
    "PGPASSWORD": "password",
    "PGDATABASE": "dbname",
    "PGSSLMODE": "sslmode",
}
TABLES = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND c.relpersistence = 'p'
       AND n.nspname NOT IN ('pg_catalog', 'information_schema')
"""
# Foreign keys that the rows may break (NOT VALID).
UNCHECKED_KEYS = """
    SELECT n.nspname || '.' || c.relname || '.' || k.conname AS name
      FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE k.contype = 'f' AND NOT k.convalidated
     ORDER BY 1
"""


def check(programs: Programs, server: ScratchServer, database: str, jobs: int) -> None:
    """Look at every table's pages and every B-tree of the database (pg_amcheck), on the scratch server.

    :raises CheckFailed: naming what is damaged
    :raises ScratchFull, ProgramFailed: when nobody can tell; it may work the next time
    """
    try:
        programs.run(
            "pg_amcheck", f"--database={database}", "--install-missing", f"--jobs={jobs}", env=server.address()
        )
    except ProgramFailed as error:
        if server.is_full(error.said):
            raise no_room() from error
        if error.exit_code != FOUND or not names_damage(error.said):
            raise
        raise CheckFailed(f"the restored database is damaged: {error.message}") from error


def names_damage(said: str) -> bool:
    """Tell whether pg_amcheck names damage: each finding has a line of its own, and what was found, indented, below.

    A check that the server could not make (out of memory, say) is printed as one that has found something.
    """
    findings = FINDING.split(said)[1:]
    return any(not PASSING.search(one) for one in findings)


def content(server: ScratchServer, database: str) -> tuple[dict[str, int], list[str]]:
    """Return how many rows each table of the restored database has (every row is read), and its unchecked keys.

    :raises CheckFailed: where one cannot be
    :raises ScratchFull, ProgramFailed: when the scratch server cannot go on; it may work the next time
    """
    try:
        with server.connect(database) as cr:
            return _rows(cr), _unchecked_keys(cr)
    except psycopg2.errors.InsufficientPrivilege as error:
        raise CheckFailed(
            f"the restored database has what its owner may not read: {' '.join(str(error).split())}",
            "Give it to the owner of the tenant's database (ALTER TABLE … OWNER TO …), and take a moment after that.",
        ) from error
    except psycopg2.Error as error:
        said = " ".join(str(error).split())
        if isinstance(error, psycopg2.errors.DiskFull) or server.is_full(said):
            raise no_room() from error
        kind = ProgramFailed if _passes(error) else CheckFailed
        raise kind(f"the restored database cannot be read: {said}") from error


def _passes(error: psycopg2.Error) -> bool:
    """Tell whether it is the server's trouble (it ended, has no memory), and none of the database's."""
    if isinstance(error, psycopg2.errors.UndefinedFile):
        return False  # a table's, so it is damage
    return not error.pgcode or isinstance(error, psycopg2.OperationalError)


def compare(counted: Mapping[str, int], address: Mapping[str, str]) -> None:
    """See that what was counted has arrived in the database at ``address`` (libpq's variables).

    :raises LoadFailed: naming tables that are not as they were
    """
    parameters = {LIBPQ[name]: value for name, value in address.items() if name in LIBPQ}
    try:
        with closing(psycopg2.connect(**parameters)) as there, there.cursor() as cr:
            arrived = _rows(cr)
    except psycopg2.Error as error:
        raise LoadFailed(f"the loaded database cannot be read: {' '.join(str(error).split())}") from error
    wrong = sorted(name for name in {*counted, *arrived} if counted.get(name) != arrived.get(name))
    if wrong:
        told = ", ".join(f"{name}: {counted.get(name)} rows, {arrived.get(name)} arrived" for name in wrong[:NAMED])
        raise LoadFailed(f"{len(wrong)} table(s) have not arrived as they were restored: {told}")


def _unchecked_keys(cr: Any) -> list[str]:
    cr.execute(UNCHECKED_KEYS)
    return [name for (name,) in cr.fetchall()]


def _rows(cr: Any) -> dict[str, int]:
    cr.execute(TABLES)
    found = {}
    for schema, name in cr.fetchall():
        cr.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, name)))
        found[f"{schema}.{name}"] = cr.fetchone()[0]
    return found

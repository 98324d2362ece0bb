"""Whether a restored database is sound."""

from __future__ import annotations

from psycopg2 import sql

from .errors import CheckFailed, ProgramFailed
from .programs import Programs
from .scratch_server import ScratchServer

AMCHECK = "amcheck"
TABLES = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND c.relpersistence = 'p'
       AND n.nspname NOT IN ('pg_catalog', 'information_schema')
"""


def check(programs: Programs, server: ScratchServer, database: str, jobs: int) -> None:
    """Look at every table's pages and every B-tree of the database (pg_amcheck), on the scratch server.

    :raises CheckFailed: naming what is damaged
    """
    try:
        programs.run(
            "pg_amcheck", f"--database={database}", "--install-missing", f"--jobs={jobs}", env=server.address()
        )
    except ProgramFailed as error:
        raise CheckFailed(f"the restored database is damaged: {error.message}") from error


def content(server: ScratchServer, database: str) -> tuple[int, int]:
    """Return how many tables the database has, and how many rows in all: every row is read."""
    with server.connect(database) as cr:
        cr.execute(TABLES)
        tables = cr.fetchall()
        rows = 0
        for schema, name in tables:
            cr.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, name)))
            rows += cr.fetchone()[0]
    return len(tables), rows

"""What agents did in a tenant's own Odoo, read in the tenant's database by the provisioning role.

The database is the tenant's: its owner may put a view, a function behind an index or a type with a cast of its own
where the list should be, and PostgreSQL would run them as whoever reads. So nothing is read before the catalogue has
said that the tables are plain ones, with no code of anybody's; meanwhile they are locked against changes of what they
are, not of what they hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg2 import sql

from ...loomworks_tenant.errors import PermanentError
from ...loomworks_tenant.postgres.server import DatabaseServer

LOG, USERS = "loomworks_ai_operation_log", "res_users"
COUNTED = 10_000  # of more than so many operations it is only said that they are more
# What is read, each with the types that it may have. Without one of NEEDED nothing is; the others may be absent.
TEXT = frozenset({"character varying", "text"})
NUMBER = frozenset({"integer", "bigint"})
LOG_COLUMNS = {
    "id": NUMBER,
    "started_at": frozenset({"timestamp without time zone"}),
    "agent_id": NUMBER,
    "user_id": NUMBER,
    "tool_name": TEXT,
    "operation_type": TEXT,
    "model_name": TEXT,
    "method_name": TEXT,
    "record_ids": frozenset({"jsonb"}),
    "row_changes": NUMBER,
    "state": TEXT,
    "error_message": TEXT,
    "lsn": TEXT,
    "timeline": NUMBER,
}
NEEDED = {"id", "started_at", "state", "lsn", "timeline"}
USER_COLUMNS = {"id": NUMBER, "login": TEXT}

CAREFULLY = """
    SET TRANSACTION READ ONLY;
    SET LOCAL search_path = pg_catalog;
    SET LOCAL constraint_exclusion = off;
    SET LOCAL lock_timeout = '3s';
    SET LOCAL statement_timeout = '10s'
"""
IS_THERE = "SELECT to_regclass('public.' || %(table)s) IS NOT NULL AS there"
# Nobody makes an index or a view of it meanwhile; the tenant reads and writes on.
HOLD = "LOCK TABLE ONLY public.{table} IN SHARE UPDATE EXCLUSIVE MODE"
# No view, no row security, and nothing that hangs on the table calls a function or an operator that is not built in;
# triggers and rules do not act on reading.
IS_PLAIN = """
    SELECT c.relkind = 'r' AND NOT c.relrowsecurity AND NOT EXISTS (
             SELECT FROM pg_depend own JOIN pg_depend uses ON uses.classid = own.classid AND uses.objid = own.objid
              WHERE own.refclassid = 'pg_class'::regclass AND own.refobjid = c.oid
                AND own.classid NOT IN ('pg_trigger'::regclass, 'pg_rewrite'::regclass)
                AND uses.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass)) AS plain
      FROM pg_class c WHERE c.oid = to_regclass('public.' || %(table)s)
"""
COLUMNS = """
    SELECT attname AS name, format_type(atttypid, NULL) AS type FROM pg_attribute
     WHERE attrelid = to_regclass('public.' || %(table)s) AND attnum > 0 AND NOT attisdropped
       AND attname::text = ANY(%(names)s)
"""
READ = """
    SELECT {columns}, a.login AS agent, u.login AS "user"
      FROM ONLY public.{log} o
      LEFT JOIN ONLY public.{users} a ON a.id = o.agent_id
      LEFT JOIN ONLY public.{users} u ON u.id = o.user_id
     WHERE {condition}
     ORDER BY o.started_at DESC, o.id DESC LIMIT %(limit)s
"""
IN_WINDOW = "o.started_at >= %(since)s AND o.started_at <= %(until)s"
OF_NUMBER = "o.id = %(number)s"
# What has changed anything, from the moment on.
SINCE = """
    SELECT count(*) AS count FROM (
        SELECT FROM ONLY public.{log} o WHERE o.started_at >= %(since)s AND {changed} LIMIT %(most)s) counted
"""
RECORDS = "CASE jsonb_typeof(o.record_ids) WHEN 'array' THEN jsonb_array_length(o.record_ids) END AS records"


class LogNotPlain(PermanentError):
    """The list of operations is no plain table: it is not read."""

    code = "operation_log_not_plain"


@dataclass(frozen=True)
class Operation:
    """One operation of a tenant's agent, as its own Odoo lists it."""

    number: int
    at: datetime  # UTC, without time zone
    state: str
    lsn: str  # just before its first change; empty where it made none
    timeline: int
    agent: str = ""  # login in the tenant's Odoo
    user: str = ""  # who asked: the agent itself, or who undid its work
    tool: str = ""
    kind: str = ""
    model: str = ""
    method: str = ""
    records: int = 0
    changes: int = 0  # rows of tables
    message: str = ""


@dataclass(frozen=True)
class Found:
    """Operations, the newest first; ``complete`` when there are no older ones in the window."""

    operations: tuple[Operation, ...] = ()
    complete: bool = True
    known: bool = True  # False: this database has no such list


def read(server: DatabaseServer, database: str, since: datetime, until: datetime, limit: int) -> Found:
    """Return the operations that began in the window, at most ``limit``.

    :raises LogNotPlain: when the tenant's owner has put something else in the list's place
    :raises ServerUnreachable, RetryableError, DatabaseRefused: when the database cannot be asked
    """
    with _log(server, database) as (cr, columns):
        if not columns:
            return Found(known=False)
        rows = _rows(cr, columns, IN_WINDOW, {"since": since, "until": until, "limit": limit + 1})
    return Found(tuple(_operation(row) for row in rows[:limit]), complete=len(rows) <= limit)


def one(server: DatabaseServer, database: str, number: int) -> Operation | None:
    """Return the operation of this number, or None; raises as :func:`read`."""
    with _log(server, database) as (cr, columns):
        rows = _rows(cr, columns, OF_NUMBER, {"number": number, "limit": 1}) if columns else []
    return _operation(rows[0]) if rows else None


def count_since(server: DatabaseServer, database: str, since: datetime) -> int | None:
    """Count operations that changed something from ``since`` on, up to COUNTED; None without a list of them.

    Raises as :func:`read`.
    """
    with _log(server, database) as (cr, columns):
        if not columns:
            return None
        changed = "COALESCE(o.row_changes, 0) > 0" if "row_changes" in columns else "o.state <> 'failed'"
        statement = sql.SQL(SINCE).format(log=sql.Identifier(LOG), changed=sql.SQL(changed))
        cr.execute(statement, {"since": since, "most": COUNTED})
        return cr.fetchone()["count"]


@contextmanager
def _log(server: DatabaseServer, database: str) -> Iterator[tuple[Any, frozenset[str]]]:
    """Yield a cursor and the columns that the list has; none when there is no list that could be read."""
    with server.connect(database) as cr:
        cr.execute(CAREFULLY)
        columns = _columns(cr, LOG, LOG_COLUMNS)
        whole = columns >= NEEDED and _columns(cr, USERS, USER_COLUMNS) == set(USER_COLUMNS)
        yield cr, columns if whole else frozenset()


def _columns(cr: Any, table: str, wanted: dict[str, frozenset[str]]) -> frozenset[str]:
    """Hold a table, look whether it is a plain one, and return which of the wanted columns it has."""
    cr.execute(IS_THERE, {"table": table})
    if not cr.fetchone()["there"]:
        return frozenset()
    cr.execute(IS_PLAIN, {"table": table})  # a view is not even locked
    if cr.fetchone()["plain"]:
        cr.execute(sql.SQL(HOLD).format(table=sql.Identifier(table)))
        cr.execute(IS_PLAIN, {"table": table})
        if cr.fetchone()["plain"]:
            cr.execute(COLUMNS, {"table": table, "names": list(wanted)})
            return frozenset(row["name"] for row in cr.fetchall() if row["type"] in wanted[row["name"]])
    raise LogNotPlain(
        f"the table {table} of the tenant's database is not as Odoo makes it: operations are not read from there",
        "Look what the tenant's server actions or modules have made of it: a view, row security, or an index on a "
        "function.",
    )


def _rows(cr: Any, columns: frozenset[str], condition: str, values: dict[str, Any]) -> Sequence[dict[str, Any]]:
    statement = sql.SQL(READ).format(
        columns=sql.SQL(", ").join(_column(name, columns) for name in LOG_COLUMNS),
        log=sql.Identifier(LOG),
        users=sql.Identifier(USERS),
        condition=sql.SQL(condition),
    )
    cr.execute(statement, values)
    return cr.fetchall()


def _column(name: str, there: frozenset[str]) -> sql.Composable:
    if name not in there:
        return sql.SQL("NULL AS {}").format(sql.Identifier(name))
    return sql.SQL(RECORDS) if name == "record_ids" else sql.Identifier("o", name)


def _operation(row: dict[str, Any]) -> Operation:
    return Operation(
        number=row["id"],
        at=row["started_at"],
        state=row["state"] or "",
        lsn=row["lsn"] or "",
        timeline=row["timeline"] or 0,
        agent=row["agent"] or "",
        user=row["user"] or "",
        tool=row["tool_name"] or "",
        kind=row["operation_type"] or "",
        model=row["model_name"] or "",
        method=row["method_name"] or "",
        records=row.get("records") or 0,
        changes=row["row_changes"] or 0,
        message=row["error_message"] or "",
    )

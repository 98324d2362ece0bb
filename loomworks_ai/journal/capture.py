"""Begin and end the capture of one operation in one transaction, and find out whether anything went past it."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from . import catalog, schema
from .catalog import Table
from .images import key_of
from .names import plain
from .sqltext import Cursor, execute, rows, value

# The text of a value depends on these; with these it is exact and reads back as the same value.
EXACT = """
    SET LOCAL extra_float_digits = 1;
    SET LOCAL DateStyle = 'ISO';
    SET LOCAL IntervalStyle = 'postgres';
    SET LOCAL bytea_output = 'hex';
    SET LOCAL lc_monetary = 'C';
"""
# Rows that this transaction has changed in captured tables and entries made, by the server's own count. It counts what
# a savepoint has taken back as well, and may still hold what earlier transactions of this session left in it. An entry
# that is changed counts as one that is made and one that is deleted.
COUNTED = """
    SELECT COALESCE(pg_partition_root(oid)::oid, oid) AS root, inserted + updated AS written,
           deleted + CASE WHEN has_entries THEN updated ELSE 0 END AS deleted
    FROM (
        SELECT c.oid, pg_stat_get_xact_tuples_inserted(c.oid) AS inserted,
               pg_stat_get_xact_tuples_updated(c.oid) AS updated, pg_stat_get_xact_tuples_deleted(c.oid) AS deleted
        FROM pg_class c WHERE c.relkind = 'r' OFFSET 0
    ) counted
    CROSS JOIN LATERAL (SELECT EXISTS (
        SELECT FROM pg_inherits WHERE inhrelid = counted.oid AND inhparent = 'loomworks.entry'::regclass
    ) AS has_entries) journal
    WHERE inserted + updated + deleted > 0 AND (has_entries
        OR EXISTS (SELECT FROM pg_trigger WHERE tgrelid = counted.oid AND tgname = '00_loomworks_capture'))
"""
LOCKED = """
    SELECT l.relation AS oid, n.nspname AS schema_name, c.relname AS table_name, c.relkind, c.relpersistence, l.mode
    FROM pg_locks l
    LEFT JOIN pg_class c ON c.oid = l.relation
    LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE l.locktype = 'relation' AND l.pid = pg_backend_pid()
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND l.mode IN ('ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
      AND COALESCE(c.relkind, 'r') <> 'S' AND COALESCE(c.relpersistence, 'p') <> 't'
      AND NOT EXISTS (SELECT FROM pg_class owner WHERE owner.reltoastrelid = l.relation AND owner.relpersistence = 't')
"""
# Who writes to a table holds this lock to the end of the transaction; who only locks rows, another.
WRITTEN_TO = """
    SELECT relation AS oid FROM pg_locks
    WHERE locktype = 'relation' AND pid = pg_backend_pid() AND mode = 'RowExclusiveLock'
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
MISSING = """
    SELECT id, schema_name, table_name FROM loomworks.relation
    WHERE shape IS NOT NULL
      AND to_regclass(quote_ident(schema_name) || '.' || quote_ident(table_name)) IS NULL
"""


Counts = dict[int, tuple[int, int]]  # table, by oid -> rows written, rows deleted


@dataclass(frozen=True)
class Begun:
    """What `begin` knows and `end` asks for."""

    operation: int
    counted: Counts


_begun: weakref.WeakKeyDictionary[Any, Begun] = weakref.WeakKeyDictionary()
# By connection: the transaction, and what it has changed below savepoints of ours that were rolled back.
_taken_back: weakref.WeakKeyDictionary[Any, tuple[str, Counts]] = weakref.WeakKeyDictionary()


def switch_on(cr: Cursor, operation: int) -> None:
    """Have what is changed written down as ``operation`` until the end of the transaction or savepoint."""
    execute(cr, EXACT)
    execute(cr, "SET LOCAL loomworks.operation = %s", [str(operation)])


def current(cr: Cursor) -> int | None:
    """Return the operation that this transaction is captured as, or None."""
    setting = value(cr, "SELECT current_setting('loomworks.operation', true)")
    return int(setting) if setting else None


def begin(cr: Cursor, operation_id: int) -> None:
    """Write down what this transaction changes from now on, as operation ``operation_id``, until `end` or its end.

    Writes nothing itself, so it works on a read-only cursor. To be called again after each commit.
    """
    operation = int(operation_id)
    switch_on(cr, operation)
    _begun[cr.connection] = Begun(operation, counted(cr))


@contextmanager
def paused(cr: Cursor, operation: int) -> Iterator[None]:
    """Have the triggers rest while the block writes down its changes itself."""
    execute(cr, "SET LOCAL loomworks.operation = ''")
    yield
    execute(cr, "SET LOCAL loomworks.operation = %s", [str(operation)])


def resume(cr: Cursor, operation_id: int) -> None:
    """Go on with what `begin` began: a savepoint that was rolled back may have taken the setting with it."""
    switch_on(cr, int(operation_id))


def overlooked(cr: Cursor) -> list[str]:
    """Name the tables in which this transaction has changed rows although nothing was begun, by a function say.

    One question where the transaction has written to no table. Deletions are not seen, nor what was written to a
    partition by its own name. Its names are the server's own on any path.
    """
    if value(cr, "SELECT pg_catalog.pg_current_xact_id_if_assigned() IS NULL"):
        return []
    return _overlooked(cr)


@plain
def _overlooked(cr: Cursor) -> list[str]:
    written = {row["oid"] for row in rows(cr, WRITTEN_TO)}
    changed = written & changed_since(cr, {}).keys()
    if not changed:
        return []
    nothing = Begun(operation=0, counted={})
    return sorted(
        table.label for table in catalog.tables(cr) if table.oid in changed and _is_short(cr, nothing, table, 0)
    )


def mark_restore_only(cr: Cursor, operation_id: int, reason: str) -> None:
    """Keep with an operation that the journal has not seen all of it, and why."""
    query = """
        INSERT INTO loomworks.transaction (operation, entries, lsn, restore_only)
        VALUES (%s, 0, pg_current_wal_insert_lsn(), %s)
    """
    execute(cr, query, [int(operation_id), reason])


def add_effect(cr: Cursor, operation_id: int, kind: str, detail: dict[str, Any]) -> None:
    """Keep with an operation what it has sent out of the system: an undo cannot bring it back and says so."""
    query = "INSERT INTO loomworks.effect (operation, kind, detail) VALUES (%s, %s, %s)"
    execute(cr, query, [int(operation_id), kind, json.dumps(detail)])


def end(cr: Cursor, *, savepoints_rolled_back: bool = False) -> dict[str, Any]:
    """Stop writing down, and keep with the operation how much there was and whether anything went past the journal.

    To be called before the commit; what is changed after it is nobody's operation.

    :param savepoints_rolled_back: whether some were: deletions that failed below one are counted by the server and have
        no entry, so that their number proves nothing then; by default it does
    :return: ``operation``, ``entries`` (rows changed in this transaction) and ``restore_only``: why the operation
        cannot be undone from the journal, or None
    :raises RuntimeError: when this transaction has not begun an operation
    """
    begun = _begun.pop(cr.connection, None)
    if begun is None:
        raise RuntimeError("end() without begin()")
    entries = _entries(cr, begun.operation)
    reason = _gone_past(cr, begun, entries, savepoints_rolled_back)
    execute(cr, "SET LOCAL loomworks.operation = ''")
    if entries or reason:
        execute(
            cr,
            """
            INSERT INTO loomworks.transaction (operation, entries, lsn, restore_only)
            VALUES (%s, %s, pg_current_wal_insert_lsn(), %s)
            """,
            [begun.operation, entries, reason],
        )
    return {"operation": begun.operation, "entries": entries, "restore_only": reason}


def _entries(cr: Cursor, operation: int) -> int:
    query = "SELECT count(*) FROM loomworks.entry WHERE operation = %s AND at = transaction_timestamp()"
    return value(cr, query, [operation])


def _gone_past(cr: Cursor, begun: Begun, entries: int, lenient: bool) -> str | None:
    """Return what the journal has not seen, in words, or None."""
    setting = value(cr, "SELECT current_setting('loomworks.operation', true)")
    if setting != str(begun.operation):
        return "the capture was switched off by its setting"
    locked = _restructured(cr)
    if locked:
        return f"tables were altered, emptied or locked as a whole: {', '.join(locked)}"
    return _unwritten(cr, begun, entries, lenient)


def counted(cr: Cursor) -> Counts:
    """Return the counters by table; those of partitions with their table, without what was `taken_back`."""
    transaction, discount = _taken_back.get(cr.connection, ("", {}))
    if discount and transaction != _transaction(cr):
        discount = {}
    counts = {oid: (-written, -deleted) for oid, (written, deleted) in discount.items()}
    for row in rows(cr, COUNTED):
        written, deleted = counts.get(row["root"], (0, 0))
        counts[row["root"]] = (written + row["written"], deleted + row["deleted"])
    return counts


def before_savepoint(cr: Cursor) -> Counts | None:
    """Return the counters for `taken_back`; None where all there is was left by earlier transactions."""
    return counted(cr) if _transaction(cr) or cr.connection in _begun else None


def taken_back(cr: Cursor, before: Counts | None) -> None:
    """Leave out of the count what has been changed since `before_savepoint`: it was rolled back."""
    now = _transaction(cr)
    if not now:
        return
    changed = changed_since(cr, before or {})
    transaction, discount = _taken_back.get(cr.connection, ("", {}))
    if transaction == now:
        for oid, (written, deleted) in discount.items():
            more_written, more_deleted = changed.get(oid, (0, 0))
            changed[oid] = (written + more_written, deleted + more_deleted)
    _taken_back[cr.connection] = (now, changed)


def _transaction(cr: Cursor) -> str:
    return value(cr, "SELECT pg_current_xact_id_if_assigned()::text") or ""


def changed_since(cr: Cursor, before: Counts) -> Counts:
    """Return how much the counters have moved; all tables that have any."""
    changed = {}
    for oid, (written, deleted) in counted(cr).items():
        written_before, deleted_before = before.get(oid, (0, 0))
        changed[oid] = (written - written_before, deleted - deleted_before)
    return {oid: counts for oid, counts in changed.items() if counts != (0, 0)}


def journal(cr: Cursor) -> int:
    """Return the oid of the table of entries, which is counted like the others."""
    return value(cr, "SELECT 'loomworks.entry'::regclass::oid")


def _unwritten(cr: Cursor, begun: Begun, entries: int, lenient: bool) -> str | None:
    """Compare the server's count of rows changed with the entries made, and these with those of the operation."""
    changed = changed_since(cr, begun.counted)
    made, removed = changed.pop(journal(cr), (0, 0))
    if removed:
        return "entries of the journal were deleted or changed"
    if made == sum(written + deleted for written, deleted in changed.values()) and (lenient or made == entries):
        return None
    # Statements that failed below a savepoint are counted and leave no entry: look at the tables themselves.
    tables = {table.oid: table for table in catalog.tables(cr)}
    wrong = [
        tables[oid].label
        for oid, (_written, deleted) in changed.items()
        if _is_short(cr, begun, tables[oid], 0 if lenient else deleted)
    ]
    return f"changes were not written down: {', '.join(sorted(wrong))}" if wrong else None


def _is_short(cr: Cursor, begun: Begun, table: Table, deleted: int) -> bool:
    """Tell whether a row of this transaction has no entry, or more rows may have been deleted than have one."""
    query = """
        SELECT count(*) FILTER (WHERE action = 'D') AS deletions, count(*) FILTER (WHERE action <> 'D') AS others
        FROM loomworks.entry e JOIN loomworks.shape s ON s.id = e.shape JOIN loomworks.relation r ON r.id = s.relation
        WHERE e.operation = %s AND e.at = transaction_timestamp() AND r.schema_name = %s AND r.table_name = %s
    """
    (entries,) = rows(cr, query, [begun.operation, table.schema, table.name])
    if deleted > entries["deletions"]:
        return True
    h = schema.hstore(cr)
    # A row that is visible and whose transaction is in progress is this transaction's own.
    query = """
        SELECT EXISTS (
            SELECT FROM {table} t
            WHERE age(t.xmin) <= age(pg_snapshot_xmin(pg_current_snapshot())::xid)
              AND pg_xact_status((
                  pg_current_xact_id()::text::numeric - mod(pg_current_xact_id()::text::numeric, 4294967296)
                  + t.xmin::text::numeric)::text::xid8) = 'in progress'
              AND NOT EXISTS (
                  SELECT FROM loomworks.entry e JOIN loomworks.shape s ON s.id = e.shape
                  WHERE e.operation = %s AND e.at = transaction_timestamp() AND e.action <> 'D'
                    AND s.relation = %s AND COALESCE(
                        e.key, CASE WHEN s.key = '{{}}' THEN e.new ELSE {h}.slice(e.new, s.key) END
                    ) OPERATOR({h}.=) {key})
        )
    """
    relation = value(
        cr, "SELECT id FROM loomworks.relation WHERE schema_name = %s AND table_name = %s", [table.schema, table.name]
    )
    return value(cr, query, [begun.operation, relation], table=table.only, h=h, key=key_of(table, "t", h))


def _restructured(cr: Cursor) -> list[str]:
    """Name the tables that this transaction holds a lock on which only changes of structure ask for."""
    found = rows(cr, LOCKED)
    named = {f"{row['schema_name']}.{row['table_name']}" for row in found if row["table_name"]}
    if any(not row["table_name"] for row in found):  # dropped: a sequence, or one of ours
        named |= {f"{row['schema_name']}.{row['table_name']} (dropped)" for row in rows(cr, MISSING)}
    return sorted(named)

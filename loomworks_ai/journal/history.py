"""What operations have changed, for reading."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from . import net, schema
from .sqltext import Cursor, rows, value

CHANGES = """
    SELECT CASE r.schema_name WHEN 'public' THEN r.table_name ELSE r.schema_name || '.' || r.table_name END AS table,
           loomworks.key_to_json(n.key) AS key,
           CASE n.act WHEN 'D' THEN 'created' WHEN 'I' THEN 'deleted' ELSE 'changed' END AS act,
           loomworks.key_to_json(n.target) AS before, loomworks.key_to_json(n.expected) AS after, n.secret, n.copies,
           n.rows
    FROM (
        SELECT n.*, count(*) OVER (PARTITION BY relation) AS rows,
               row_number() OVER (PARTITION BY relation ORDER BY key) AS place
        FROM ({net}) n
    ) n JOIN loomworks.relation r ON r.id = n.relation WHERE n.place <= %(limit)s ORDER BY 1, 2
"""
NUMBERS = """
    SELECT CASE n.act WHEN 'D' THEN 'created' WHEN 'I' THEN 'deleted' ELSE 'changed' END AS act,
           array_agg(({h}.fetchval(n.key, 'id'))::bigint) AS ids
    FROM ({net}) n WHERE {h}.exist(n.key, 'id') GROUP BY 1 ORDER BY 1
"""
# In one pass. A row that was deleted again is passed over: nobody would find it.
CREATED = """
    SELECT id FROM (
        SELECT (COALESCE({h}.fetchval(new, 'id'), {h}.fetchval(old, 'id')))::bigint AS id, action, seq
        FROM loomworks.entry WHERE operation = %(operation)s AND action IN ('I', 'D') AND shape = ANY(%(shapes)s)
    ) entry
    GROUP BY id HAVING max(seq) FILTER (WHERE action = 'I') > COALESCE(max(seq) FILTER (WHERE action = 'D'), -1)
    ORDER BY max(seq) LIMIT %(limit)s
"""
# Whether there is anything to be worked out at all.
TOUCHING = """
    SELECT EXISTS (
        SELECT FROM loomworks.entry WHERE operation = ANY(%(operations)s)
          AND shape = ANY(ARRAY(SELECT id FROM loomworks.shape WHERE relation = ANY(%(relations)s))))
"""


def changes(
    cr: Cursor, operations: Sequence[int], *, tables: Sequence[str] | None = None, limit: int = 1000
) -> list[dict[str, Any]]:
    """Return the net change to each row, at most ``limit`` of each table.

    Each has ``table``, ``key`` (columns of its key), ``act`` (created, changed, deleted), ``before`` and ``after``
    (column -> the value as PostgreSQL writes it; of a changed row its changed columns only), ``secret`` (columns that
    changed and whose values the journal does not hold), ``copies``, and ``rows`` (how many of its table have changed,
    with those beyond the limit).

    Reads only, so it works on a replica.

    :param tables: only of these, in the schema ``public``
    """
    parameters = {"operations": list(operations), "relations": _relations(cr, tables), "limit": limit}
    if tables is not None and not value(cr, TOUCHING, parameters):
        return []
    return rows(cr, CHANGES, parameters, net=net.query(schema.hstore(cr)))


def numbers(cr: Cursor, operations: Sequence[int], table: str) -> dict[str, list[int]]:
    """Return the rows of a table in the schema ``public`` that operations have changed: act -> values of ``id``.

    Acts are as in `changes`. Empty for a table whose key is another.
    """
    parameters = {"operations": list(operations), "relations": _relations(cr, [table])}
    if not value(cr, TOUCHING, parameters):
        return {}
    h = schema.hstore(cr)
    return {row["act"]: row["ids"] for row in rows(cr, NUMBERS, parameters, h=h, net=net.query(h))}


def created(cr: Cursor, operation: int, table: str, limit: int) -> list[int]:
    """Return the first ``limit`` rows of a table in the schema ``public`` that an operation has made: values of ``id``.

    In the order in which they were made, without those that it has deleted again. Empty for a table whose key is
    another. Works in the operation's own transaction, too.
    """
    query = "SELECT id FROM loomworks.shape WHERE relation = ANY(%s) AND key = '{{id}}'"
    shapes = [row["id"] for row in rows(cr, query, [_relations(cr, [table])])]
    if not shapes:
        return []
    parameters = {"operation": operation, "shapes": shapes, "limit": limit}
    return [row["id"] for row in rows(cr, CREATED, parameters, h=schema.hstore(cr))]


def _relations(cr: Cursor, tables: Sequence[str] | None) -> list[int] | None:
    if tables is None:
        return None
    query = "SELECT id FROM loomworks.relation WHERE schema_name = 'public' AND table_name = ANY(%s)"
    return [row["id"] for row in rows(cr, query, [list(tables)])]


def counts(cr: Cursor, operations: Sequence[int]) -> dict[int, int]:
    """Return how many entries the journal holds of each operation; none of those it has forgotten."""
    query = """
        SELECT operation, count(*) AS entries FROM loomworks.entry WHERE operation = ANY(%s) GROUP BY operation
    """
    return {row["operation"]: row["entries"] for row in rows(cr, query, [list(operations)])}


def accounted(cr: Cursor, operations: Sequence[int]) -> dict[int, int]:
    """Return how many entries each operation has by its transactions that the journal still knows, without counting.

    Those of which it holds none are left out. Whether it holds as many, an undo finds out for itself.
    """
    query = """
        SELECT operation, COALESCE(sum(entries), 0)::bigint AS entries FROM loomworks.transaction t
        WHERE operation = ANY(%s) AND EXISTS (SELECT FROM loomworks.entry e WHERE e.operation = t.operation)
        GROUP BY operation
    """
    return {row["operation"]: row["entries"] for row in rows(cr, query, [list(operations)])}


def touched(cr: Cursor, tables: Sequence[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return what the undo just done in this transaction has touched: table -> act -> ``ids`` and ``columns``.

    Acts are restored, inserted and deleted; the columns are those written, of a deleted row none.

    :param tables: only of these, in the schema ``public``, whose keys are a column ``id``
    """
    query = """
        SELECT r.table_name AS table,
               CASE n.act WHEN 'D' THEN 'deleted' WHEN 'I' THEN 'inserted' ELSE 'restored' END AS act,
               array_agg(({h}.fetchval(n.key, 'id'))::bigint) AS ids,
               COALESCE({h}.akeys(loomworks.merge(n.target)), '{{}}') AS columns
        FROM loomworks_net n JOIN loomworks.relation r ON r.id = n.relation
        WHERE r.schema_name = 'public' AND r.table_name = ANY(%s) AND {h}.exist(n.key, 'id') GROUP BY 1, 2
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows(cr, query, [list(tables)], h=schema.hstore(cr)):
        found.setdefault(row["table"], {})[row["act"]] = {"ids": row["ids"], "columns": row["columns"]}
    return found


def first_moment(cr: Cursor, operations: Sequence[int]) -> datetime | None:
    """Return when the operations' first transaction began, in UTC: what Odoo writes as the date of its changes."""
    query = "SELECT min(at) AT TIME ZONE 'UTC' FROM loomworks.transaction WHERE operation = ANY(%s)"
    return value(cr, query, [list(operations)])

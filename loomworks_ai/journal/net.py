"""The net change that operations made to each row, in a temporary table: what an undo has to bring about.

``pg_temp.loomworks_net``, one row a changed row:

======== =====================================================================================
relation the table, by its number in ``loomworks.relation``
key      its key's columns (the whole row where the table has no key)
act      what undoing does: ``U`` restores columns, ``I`` inserts the row again, ``D`` deletes it
target   the values to restore or insert
expected the values that the operations left behind: where they are others now, somebody else was there since
gap      columns that somebody else changed between two of the operations; ``{*}``: the row itself
theirs   of a row to insert again: the values of the gap, as somebody else had left them when it was deleted
secret   columns that the operations changed and the journal does not hold
copies   how many such rows (more than one only without a key)
======== =====================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from . import rules
from .sqltext import Cursor, Part, compose, execute, rows, value

CREATE = """
    CREATE TEMPORARY TABLE IF NOT EXISTS loomworks_net (
        relation integer NOT NULL, key {h}.hstore NOT NULL, act "char" NOT NULL, target {h}.hstore, expected {h}.hstore,
        entries integer NOT NULL, gap text[], theirs {h}.hstore, secret text[], copies integer NOT NULL DEFAULT 1
    ) ON COMMIT DROP
"""
CHANGED = """
    SELECT e.seq, s.relation, s.key AS key_columns, e.action, e.secret, e.old, e.new,
           COALESCE(e.key, {h}.slice(COALESCE(e.old, e.new), s.key)) AS key
    FROM loomworks.entry e JOIN loomworks.shape s ON s.id = e.shape
    WHERE e.operation = ANY(%(operations)s) AND e.action IN ('I', 'U', 'D')
      AND (%(relations)s IS NULL OR s.relation = ANY(%(relations)s))
"""
REKEYED = """
    SELECT e.seq, s.relation, s.key, half.action, e.secret, half.old, half.new,
           {h}.slice(COALESCE(half.old, half.new), s.key)
    FROM loomworks.entry e JOIN loomworks.shape s ON s.id = e.shape
    CROSS JOIN LATERAL (VALUES ('D'::"char", e.old, NULL::{h}.hstore), ('I'::"char", NULL::{h}.hstore, e.new))
        AS half(action, old, new)
    WHERE e.operation = ANY(%(operations)s) AND e.action = 'K'
      AND (%(relations)s IS NULL OR s.relation = ANY(%(relations)s))
"""
ENTRIES = CHANGED + " UNION ALL " + REKEYED
# Most rows have changed once: they are told from the others by hashing, where a window would have to sort them all. Of
# the others, before the operations: the oldest value of each column; after: the newest.
NETTED = """
    WITH e AS MATERIALIZED (SELECT * FROM ({entries}) e WHERE key_columns <> '{{}}'),
    several AS MATERIALIZED (SELECT relation, key FROM e GROUP BY relation, key HAVING count(*) > 1)
    SELECT relation, key, (CASE action WHEN 'I' THEN 'D' WHEN 'D' THEN 'I' ELSE 'U' END)::"char" AS act, old, new,
           1 AS entries, secret, 1 AS copies
    FROM e WHERE NOT EXISTS (SELECT FROM several s WHERE s.relation = e.relation AND s.key OPERATOR({h}.=) e.key)
  UNION ALL
    SELECT relation, key, act,
           CASE act WHEN 'U' THEN {h}.delete(before, after) WHEN 'I' THEN before END,
           CASE act WHEN 'U' THEN {h}.slice(after, {h}.akeys({h}.delete(before, after))) WHEN 'D' THEN after END,
           entries, secret, 1
    FROM (
        SELECT relation, key, entries, before, after, secret,
               CASE WHEN first <> 'I' AND last <> 'D' THEN 'U'::"char"
                    WHEN first <> 'I' THEN 'I'::"char"
                    WHEN last <> 'D' THEN 'D'::"char" END AS act
        FROM (
            SELECT relation, key, count(*) AS entries,
                   (array_agg(action ORDER BY seq, action))[1] AS first,
                   (array_agg(action ORDER BY seq DESC, action DESC))[1] AS last,
                   loomworks.merge(old ORDER BY seq DESC, action DESC) AS before,
                   loomworks.merge(new ORDER BY seq, action) AS after,
                   (SELECT array_agg(DISTINCT name) FROM unnest(array_agg(secret::text)) AS list(names),
                           unnest(names::text[]) AS name) AS secret
            FROM e WHERE EXISTS (SELECT FROM several s WHERE s.relation = e.relation AND s.key OPERATOR({h}.=) e.key)
            GROUP BY relation, key
        ) merged
    ) netted
    WHERE act IS NOT NULL AND NOT (act = 'U' AND {h}.delete(before, after) OPERATOR({h}.=) '' AND secret IS NULL)
"""
NETTED_KEYLESS = """
    SELECT relation, image, CASE WHEN balance > 0 THEN 'D'::"char" ELSE 'I'::"char" END,
           CASE WHEN balance < 0 THEN image END, CASE WHEN balance > 0 THEN image END, entries, NULL::text[],
           abs(balance)
    FROM (
        SELECT relation, COALESCE(old, new) AS image, count(*) AS entries,
               SUM(CASE WHEN action = 'I' THEN 1 ELSE -1 END)::integer AS balance
        FROM ({entries}) e WHERE key_columns = '{{}}' GROUP BY relation, COALESCE(old, new)
    ) counted
    WHERE balance <> 0
"""
FILL = "INSERT INTO loomworks_net (relation, key, act, target, expected, entries, secret, copies) "
GAPS = """
    UPDATE loomworks_net n SET gap = found.gap
    FROM (
        SELECT relation, key, array_agg(DISTINCT name) AS gap
        FROM (
            SELECT e.relation, e.key, e.action, e.old, lag(e.action) OVER history AS previous,
                   loomworks.merge(e.new) OVER (history ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS so_far
            FROM ({entries}) e
            JOIN loomworks_net listed ON listed.relation = e.relation AND listed.key OPERATOR({h}.=) e.key
            WHERE listed.entries > 1 AND key_columns <> '{{}}'
            WINDOW history AS (PARTITION BY e.relation, e.key ORDER BY e.seq, e.action)
        ) chained
        CROSS JOIN LATERAL (
            SELECT '*' AS name
            WHERE previous IS NOT NULL AND (previous = 'D') IS DISTINCT FROM (action = 'I')
          UNION ALL
            SELECT {h}.skeys({h}.delete({h}.slice(old, {h}.akeys(so_far)), so_far))
            WHERE action <> 'I' AND previous <> 'D'
        ) difference
        GROUP BY relation, key
    ) found
    WHERE n.relation = found.relation AND n.key OPERATOR({h}.=) found.key
"""
THEIRS = """
    UPDATE loomworks_net n SET theirs = CASE WHEN '*' = ANY(n.gap) THEN e.old ELSE {h}.slice(e.old, n.gap) END
    FROM (
        SELECT DISTINCT ON (relation, key) relation, key, old FROM ({entries}) deleted
        WHERE action = 'D' ORDER BY relation, key, seq DESC
    ) e
    WHERE n.act = 'I' AND n.gap IS NOT NULL AND e.relation = n.relation AND e.key OPERATOR({h}.=) n.key
"""
# What operations have changed themselves, where others have taken back a part of it since.
CREATE_OWN = """
    CREATE TEMPORARY TABLE IF NOT EXISTS loomworks_own (
        relation integer NOT NULL, key {h}.hstore NOT NULL, act "char" NOT NULL, names text[], expected {h}.hstore,
        copies integer NOT NULL
    ) ON COMMIT DROP
"""
FILL_OWN = """
    INSERT INTO loomworks_own
    SELECT relation, key, act, {h}.akeys(target), expected, copies FROM ({net}) own
"""
# What a partial undo did besides (with rows that depended on others, say) is not theirs, and stays.
NOT_OWN = """
    DELETE FROM loomworks_net n WHERE NOT EXISTS (
        SELECT FROM loomworks_own o WHERE o.relation = n.relation AND o.key OPERATOR({h}.=) n.key
          AND (o.act = n.act OR o.act = 'I' AND n.act = 'U'))
"""
ONLY_OWN = """
    UPDATE loomworks_net n
    SET target = CASE n.act WHEN 'U' THEN {h}.slice(n.target, o.names) ELSE n.target END,
        expected = CASE n.act WHEN 'U' THEN {h}.slice(n.expected, o.names) ELSE n.expected END,
        copies = LEAST(n.copies, o.copies)
    FROM loomworks_own o WHERE o.relation = n.relation AND o.key OPERATOR({h}.=) n.key
"""
# What was computed anew meanwhile is to be so again: it counts as changed by others. What is back is nobody's matter.
GAPS_LEFT = """
    UPDATE loomworks_net n SET gap = (
        SELECT array_agg(DISTINCT name) FROM (
            SELECT name FROM unnest(n.gap) AS name WHERE name = '*' OR {h}.exist(n.target, name)
          UNION ALL
            SELECT name FROM unnest(%(bookkeeping)s || ARRAY(
                SELECT jsonb_array_elements_text(%(computed)s::jsonb -> CASE r.schema_name WHEN 'public'
                    THEN r.table_name ELSE r.schema_name || '.' || r.table_name END))) AS name
            WHERE {h}.exist(n.target, name)
              AND {h}.fetchval(n.expected, name) IS DISTINCT FROM {h}.fetchval(o.expected, name)
        ) named)
    FROM loomworks_own o, loomworks.relation r
    WHERE o.relation = n.relation AND o.key OPERATOR({h}.=) n.key AND r.id = n.relation AND n.act = 'U'
"""
# A row that a transaction has changed is locked to its end: nobody else comes between within one.
SEVERAL_TRANSACTIONS = "SELECT count(*) > 1 FROM loomworks.transaction WHERE operation = ANY(%s)"
HELD = """
    SELECT e.operation, e.shape, e.entries, e.rekeyed, s.key = '{{}}' AS keyless
    FROM (
        SELECT operation, shape, count(*) AS entries, bool_or(action = 'K') AS rekeyed FROM loomworks.entry
        WHERE operation = ANY(%s) GROUP BY operation, shape
    ) e JOIN loomworks.shape s ON s.id = e.shape
"""
ACCOUNTED = """
    SELECT operation, string_agg(restore_only, '; ') AS restore_only, COALESCE(SUM(entries), 0) AS entries
    FROM loomworks.transaction WHERE operation = ANY(%s) GROUP BY operation
"""


TOTALS = """
    SELECT relation, COALESCE(sum(copies) FILTER (WHERE act = 'U'), 0)::bigint AS restored,
           COALESCE(sum(copies) FILTER (WHERE act = 'I'), 0)::bigint AS inserted,
           COALESCE(sum(copies) FILTER (WHERE act = 'D'), 0)::bigint AS deleted
    FROM loomworks_net GROUP BY relation
"""
Totals = dict[int, dict[str, int]]  # relation -> rows to be restored, inserted and deleted


@dataclass(frozen=True)
class Held:
    """What the journal holds of some operations."""

    counts: Mapping[int, int]  # operation -> entries
    shapes: frozenset[int]
    rekeyed: bool  # whether a row was given another key
    keyless: bool  # whether a table without key was changed


def query(h: Part) -> Part:
    """Return a query for the net change, for reading only: relation, key, act, target, expected, secret, copies.

    Its parameters are ``operations`` and ``relations`` (their numbers; NULL for all).
    """
    entries = compose(ENTRIES, h=h)
    return compose(
        """
        SELECT relation, key, act, target, expected, secret, copies
        FROM (({one}) UNION ALL {other}) netted(relation, key, act, target, expected, entries, secret, copies)
        """,
        one=compose(NETTED, h=h, entries=entries),
        other=compose(NETTED_KEYLESS, h=h, entries=entries),
    )


def held(cr: Cursor, operations: Sequence[int]) -> Held:
    """Return what the journal holds of ``operations``."""
    found = rows(cr, HELD, [list(operations)])
    counts: dict[int, int] = {}
    for row in found:
        counts[row["operation"]] = counts.get(row["operation"], 0) + row["entries"]
    return Held(
        counts,
        frozenset(row["shape"] for row in found),
        rekeyed=any(row["rekeyed"] for row in found),
        keyless=any(row["keyless"] for row in found),
    )


def unverified(cr: Cursor, operations: Sequence[int], known: Held) -> list[str]:
    """Return why operations cannot be undone from the journal: it has not seen all of them."""
    accounted = {row["operation"]: row for row in rows(cr, ACCOUNTED, [list(operations)])}
    reasons = []
    for operation in operations:
        row = accounted.get(operation, {"restore_only": None, "entries": 0})
        found = known.counts.get(operation, 0)
        if row["restore_only"]:
            reasons.append(f"operation {operation} can only be taken back by a restore: {row['restore_only']}")
        elif row["entries"] != found:
            reasons.append(
                f"operation {operation} was not ended properly: {found} entries, {row['entries']} accounted for"
            )
    return reasons


def collect(cr: Cursor, operations: Sequence[int], known: Held, h: Part) -> None:
    """Fill the temporary table with the net change of ``operations``."""
    _fill(cr, operations, known, h)
    _analyse(cr)


def collect_rest(
    cr: Cursor,
    operations: Sequence[int],
    undone_by: Sequence[int],
    known: Held,
    computed: Mapping[str, Collection[str]],
    h: Part,
) -> None:
    """Fill the temporary table with what is left of ``operations`` after others have taken back parts of them.

    That is the net change of all of them together, as far as ``operations`` had changed the same themselves.

    :param undone_by: those others, and what has taken back parts of those in turn
    :param known: what the journal holds of all of them
    :param computed: table -> columns that follow from others: they may have been computed anew meanwhile
    """
    _fill(cr, [*operations, *undone_by], known, h)
    execute(cr, CREATE_OWN, h=h)
    execute(cr, "TRUNCATE pg_temp.loomworks_own")
    execute(cr, FILL_OWN, {"operations": list(operations), "relations": None}, h=h, net=query(h))
    execute(cr, "ANALYZE loomworks_own")
    _analyse(cr)
    execute(cr, NOT_OWN, h=h)
    execute(cr, ONLY_OWN, h=h)
    named = json.dumps({table: sorted(names) for table, names in computed.items() if names})
    execute(cr, GAPS_LEFT, {"bookkeeping": sorted(rules.BOOKKEEPING), "computed": named}, h=h)
    execute(cr, "DELETE FROM loomworks_net WHERE act = 'U' AND target OPERATOR({h}.=) '' AND secret IS NULL", h=h)
    _analyse(cr)


def totals(cr: Cursor) -> Totals:
    """Return how many rows of each relation are to be restored, inserted and deleted."""
    return {row.pop("relation"): row for row in rows(cr, TOTALS)}


def _analyse(cr: Cursor) -> None:
    """Have the server know how many rows there are of what; that needs no more than a few thousand of them."""
    target = value(cr, "SELECT current_setting('default_statistics_target')")
    execute(cr, "SET LOCAL default_statistics_target = 10")
    execute(cr, "ANALYZE loomworks_net (relation, key, act, copies)")
    execute(cr, "SET LOCAL default_statistics_target = %s", [int(target)])


def _fill(cr: Cursor, operations: Sequence[int], known: Held, h: Part) -> None:
    execute(cr, CREATE, h=h)
    execute(cr, "TRUNCATE pg_temp.loomworks_net")
    parameters = {"operations": list(operations), "relations": None}
    entries = compose(ENTRIES if known.rekeyed else CHANGED, h=h)
    for statement in (FILL + NETTED, *([FILL + NETTED_KEYLESS] if known.keyless else [])):
        execute(cr, statement, parameters, h=h, entries=entries)
    if value(cr, SEVERAL_TRANSACTIONS, [list(operations)]):
        execute(cr, GAPS, parameters, h=h, entries=entries)
        execute(cr, THEIRS, parameters, h=h, entries=entries)

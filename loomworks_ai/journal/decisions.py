"""What becomes of each conflict: the caller's choices, applied to ``loomworks_net``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from psycopg2 import sql

from . import keyless, rules
from .catalog import Table
from .conflicts import CHOICES
from .images import equal, filled_credentials, key_match, key_of, whole
from .scope import Scope
from .sqltext import Constant, Cursor, Part, compose, execute, rows, value

POLICIES = ("refuse", "skip", "theirs", "ours")
# What a choice is not for: a key that restricts leaves no choice but to leave the row, of a whole table there is no
# column to leave, and numbers that others took since are not given once more.
LIMITS = {
    ("depended", "ours"): " AND detail->>'on_delete' IN ('c', 'n', 'd')",
    ("schema", "theirs"): " AND columns IS NOT NULL",
    **dict.fromkeys(
        [("changed", "ours"), ("between", "ours")],
        """
        AND NOT EXISTS (SELECT FROM loomworks.relation r WHERE r.id = loomworks_conflict.relation
                        AND r.schema_name = 'public' AND {counters}::jsonb->>r.table_name = ANY(columns))
        """,
    ),
}


def choose(cr: Cursor, scope: Scope, policy: str, decisions: Mapping[tuple[str, str], str]) -> int:
    """Write into each conflict what is to become of it; return how many are left undecided.

    :param policy: for all conflicts: ``refuse`` (decide none), ``skip``, ``theirs`` or ``ours``
    :param decisions: (table, key) -> policy, before the policy for all; the key as in the report, as JSON
    """
    _choose(cr, policy, compose("true"), [])
    for (table, key), choice in decisions.items():
        where = """
            key OPERATOR({h}.=) (SELECT hstore_of FROM loomworks.relation r
                       CROSS JOIN LATERAL (SELECT %s::jsonb) AS given(value)
                       CROSS JOIN LATERAL loomworks.key_of(given.value) AS hstore_of
                       WHERE r.id = relation AND (r.table_name = %s OR r.schema_name || '.' || r.table_name = %s))
        """
        _choose(cr, choice, compose(where, h=scope.h), [key, table, table])
    return value(cr, "SELECT count(*) FROM loomworks_conflict WHERE choice IS NULL")


def _choose(cr: Cursor, policy: str, where: Part, parameters: list[Any]) -> None:
    if policy not in POLICIES:
        raise ValueError(f"a choice is one of {', '.join(POLICIES)}, not {policy!r}")
    execute(cr, "UPDATE loomworks_conflict SET choice = 'recompute' WHERE type = 'computed'")
    for kind, offered in CHOICES.items():
        if kind == "computed":
            continue
        choice = policy if policy in offered else "skip" if policy == "theirs" else None
        if (kind, choice) == ("schema", "theirs"):
            _choose_one(cr, "skip", kind, compose("columns IS NULL AND {where}", where=where), parameters)
        limit = compose(LIMITS.get((kind, choice), ""), counters=Constant(json.dumps(rules.COUNTERS)))
        _choose_one(cr, choice, kind, compose("{where} {limit}", where=where, limit=limit), parameters)


def _choose_one(cr: Cursor, choice: str | None, kind: str, where: Part, parameters: list[Any]) -> None:
    query = "UPDATE loomworks_conflict SET choice = %s WHERE type = %s AND {where}"
    execute(cr, query, [choice, kind, *parameters], where=where)


def apply(cr: Cursor, scope: Scope) -> None:
    """Change ``loomworks_net`` by what was chosen."""
    h = scope.h
    execute(
        cr,
        """
        DELETE FROM loomworks_net n USING loomworks_conflict c
        WHERE c.relation = n.relation AND c.key OPERATOR({h}.=) n.key
          AND (c.choice = 'skip' OR c.choice = 'theirs' AND n.act <> 'U' AND c.type <> 'schema' AND n.theirs IS NULL)
        """,
        h=h,
    )
    execute(
        cr,
        """
        UPDATE loomworks_net n SET gap = NULL,
            target = CASE c.choice WHEN 'theirs' THEN {h}.hs_concat(n.target, n.theirs) ELSE n.target END
        FROM loomworks_conflict c
        WHERE c.relation = n.relation AND c.key OPERATOR({h}.=) n.key AND c.type = 'between' AND n.act = 'I'
          AND c.choice IN ('theirs', 'ours')
        """,
        h=h,
    )
    execute(
        cr,
        """
        UPDATE loomworks_net n
        SET target = {h}.delete(n.target, c.columns), expected = {h}.delete(n.expected, c.columns), gap = NULL
        FROM (
            SELECT c.relation, c.key,
                   COALESCE(array_agg(name) FILTER (WHERE n.act = 'U' OR c.type = 'schema'), '{{}}') AS columns
            FROM loomworks_conflict c
            JOIN loomworks_net n ON n.relation = c.relation AND n.key OPERATOR({h}.=) c.key
            CROSS JOIN LATERAL unnest(c.columns) AS name
            WHERE c.choice IN ('theirs', 'recompute') GROUP BY c.relation, c.key
        ) c
        WHERE c.relation = n.relation AND c.key OPERATOR({h}.=) n.key
        """,
        h=h,
    )
    _force(cr, scope)
    _depend(cr, scope)
    execute(cr, "DELETE FROM loomworks_net WHERE act = 'U' AND target OPERATOR({h}.=) ''", h=h)


def _force(cr: Cursor, scope: Scope) -> None:
    """Take rows as they are now for what the operations left: what was to be restored is restored all the same."""
    for relation in scope.present():
        execute(
            cr,
            """
            UPDATE loomworks_net n SET gap = NULL,
                target = {h}.delete(n.target, {h}.hstore(t.*)),
                expected = CASE n.act WHEN 'D' THEN {own}
                           ELSE {h}.slice({h}.hstore(t.*), {h}.akeys({h}.delete(n.target, {h}.hstore(t.*)))) END,
                secret = CASE n.act WHEN 'D' THEN {secret} ELSE n.secret END
            FROM loomworks_conflict c JOIN {table} t ON {match}
            WHERE c.relation = %s AND n.relation = c.relation AND c.key OPERATOR({h}.=) n.key
              AND c.choice = 'ours' AND c.type IN ('changed', 'between')
            """,
            [relation.id],
            h=scope.h,
            own=whole(relation.table, "t", scope.h),
            secret=filled_credentials(relation.table, compose("{h}.hstore(t.*)", h=scope.h), scope.h),
            table=relation.table.only,
            match=key_match(relation.table, "t", sql.SQL("c.key"), scope.h),
        )


def _depend(cr: Cursor, scope: Scope) -> None:
    """Undo with a row what depends on it and would be deleted or emptied anyhow."""
    found = rows(
        cr,
        """
        SELECT DISTINCT detail->>'table' AS "table", detail->>'constraint' AS "constraint",
               detail->>'column' AS "column", detail->>'on_delete' AS fate, relation
        FROM loomworks_conflict WHERE choice = 'ours' AND type = 'depended'
        """,
    )
    for row in found:
        table = scope.structure.labelled(row["table"])
        _take_along(cr, scope, table, _link(scope, row), row)


def _link(scope: Scope, row: dict) -> tuple[list[str], Part, Part]:
    """Return the referring columns, the FROM item ``n``, and the condition that a row ``r`` refers to its row."""
    if row["column"]:
        reference = next(one for one in scope.references if (one.table, one.column) == (row["table"], row["column"]))
        return [reference.column], keyless.named(scope, reference), keyless.match(scope, reference)
    key = next(
        one
        for one in (*scope.foreign_keys, *scope.minded_keys())
        if one.name == row["constraint"] and scope.structure.numbers.get(one.referenced) == row["relation"]
    )
    table = scope.structure.labelled(row["table"])
    image = sql.SQL("n.expected")
    match = equal(table, key.columns, key.referenced_columns, key.own_operators, "r", image, scope.h)
    return list(key.columns), sql.SQL("loomworks_net n"), match


# What becomes of the rows ``r`` that refer to rows which go: deleted with them, or emptied.
ALONG = """
    SELECT DISTINCT ON (own.key) own.key, own.act, own.target, own.expected, own.secret
    FROM {deleted} JOIN {table} r ON {match}
    CROSS JOIN LATERAL (
        SELECT {key} AS key, CASE WHEN %(fate)s = 'c' THEN 'D' ELSE 'U' END::"char" AS act,
               CASE WHEN %(fate)s = 'c' THEN NULL ELSE loomworks.key_of(%(nothing)s::jsonb) END AS target,
               CASE WHEN %(fate)s = 'c' THEN {image} ELSE {h}.slice({image}, %(columns)s) END AS expected,
               CASE WHEN %(fate)s = 'c' THEN {secret} END AS secret
    ) own
    WHERE n.relation = %(referenced)s AND n.act = 'D'
"""
# A row that the undo restores already is emptied besides, or deleted instead.
ALONG_WITH_MORE = """
    UPDATE loomworks_net m
    SET act = own.act, target = CASE own.act WHEN 'U' THEN {h}.hs_concat(m.target, own.target) END,
        expected = CASE own.act WHEN 'U' THEN {h}.hs_concat(m.expected, own.expected) ELSE own.expected END,
        secret = CASE own.act WHEN 'D' THEN own.secret ELSE m.secret END
    FROM ({along}) own
    WHERE m.relation = %(relation)s AND m.key OPERATOR({h}.=) own.key AND m.act = 'U'
      AND (own.act = 'D' OR NOT {h}.exists_all(m.target, %(columns)s))
"""
ALONG_ALONE = """
    INSERT INTO loomworks_net (relation, key, act, target, expected, entries, secret)
    SELECT %(relation)s, own.key, own.act, own.target, own.expected, 0, own.secret FROM ({along}) own
    WHERE NOT EXISTS (SELECT FROM loomworks_net m WHERE m.relation = %(relation)s AND m.key OPERATOR({h}.=) own.key)
"""


def _take_along(
    cr: Cursor, scope: Scope, table: Table, link: tuple[list[str], Part, Part], row: dict[str, Any]
) -> None:
    columns, deleted, match = link
    parameters = {
        "relation": scope.structure.numbers[table.oid],
        "fate": row["fate"],
        "nothing": json.dumps(dict.fromkeys(columns)),
        "columns": columns,
        "referenced": row["relation"],
    }
    along = compose(
        ALONG,
        deleted=deleted,
        table=table.only,
        match=match,
        key=key_of(table, "r", scope.h),
        image=whole(table, "r", scope.h),
        secret=filled_credentials(table, compose("{h}.hstore(r.*)", h=scope.h), scope.h),
        h=scope.h,
    )
    for statement in (ALONG_WITH_MORE, ALONG_ALONE):
        execute(cr, statement, parameters, along=along, h=scope.h)

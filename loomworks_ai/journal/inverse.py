"""Bring about what is in ``loomworks_net``, in one statement: foreign keys of every kind are checked at its end."""

from __future__ import annotations

from psycopg2 import sql

from . import net
from .catalog import UniqueIndex
from .conflicts import holders
from .scope import Relation, Scope, key_match, key_of
from .sqltext import Cursor, Part, compose, execute, rows, value

DONE = "loomworks_done"
# Within the statement deletions come first, then updates, then insertions: a unique value is free before it is taken.
AFTER = "(SELECT count(*) FROM {step}) >= 0"


def apply(cr: Cursor, scope: Scope) -> None:
    """Restore, delete and insert as ``loomworks_net`` says. What the database then refuses, it raises."""
    _park(cr, scope)
    steps: list[tuple[str, Part]] = []
    for act, make in (("D", _delete), ("U", _update), ("I", _insert)):
        before = [name for name, _part in steps]
        wait = _wait_for(before, act)
        concerned = [one for one in scope.relations if one.table and act in one.acts]
        steps += [(f"{act.lower()}_{one.id}", make(one, scope, wait)) for one in concerned]
    if steps:
        ctes = [compose("{name} AS ({step})", name=sql.Identifier(name), step=step) for name, step in steps]
        execute(cr, "WITH {steps} SELECT", steps=sql.SQL(", ").join(ctes))


def _wait_for(before: list[str], act: str) -> Part:
    if act == "D" or not before:
        return sql.SQL("true")
    return sql.SQL(" AND ").join(compose(AFTER, step=sql.Identifier(name)) for name in before)


def _delete(relation: Relation, scope: Scope, _wait: Part) -> Part:
    table, number = relation.table, sql.Literal(relation.id)
    if not table.key:
        return compose(
            """
            DELETE FROM {table} t WHERE (t.tableoid, t.ctid) IN (
                SELECT c.tableoid, c.ctid FROM (
                    SELECT s.tableoid, s.ctid, {image} AS image, row_number() OVER (PARTITION BY {image}) AS number
                    FROM {table} s
                ) c JOIN loomworks_net n ON n.relation = {number} AND n.act = 'D' AND n.key OPERATOR({h}.=) c.image
                WHERE c.number <= n.copies) RETURNING 1
            """,
            table=table.only,
            image=key_of(table, "s", scope.h),
            number=number,
            h=scope.h,
        )
    return compose(
        """
        DELETE FROM {table} t USING loomworks_net n
        WHERE n.relation = {number} AND n.act = 'D' AND {match} RETURNING 1
        """,
        table=table.only,
        number=number,
        match=key_match(table, "t", sql.SQL("n.key"), scope.h),
    )


def _update(relation: Relation, scope: Scope, wait: Part) -> Part:
    table = relation.table
    assignments = [
        compose(
            "{column} = CASE WHEN {h}.exist(n.target, {name}) THEN {restored} ELSE {kept} END",
            column=sql.Identifier(name),
            h=scope.h,
            name=sql.Literal(name),
            restored=sql.Identifier("p", name),
            kept=sql.Identifier("t", name),
        )
        for name in relation.restored
    ]
    return compose(
        """
        UPDATE {table} t SET {assignments}
        FROM loomworks_net n CROSS JOIN LATERAL {h}.populate_record(NULL::{row}, n.target) p
        WHERE n.relation = {number} AND n.act = 'U' AND {match} AND {wait} RETURNING 1
        """,
        table=table.only,
        row=table.sql,
        assignments=sql.SQL(", ").join(assignments),
        h=scope.h,
        number=sql.Literal(relation.id),
        match=key_match(table, "t", sql.SQL("n.key"), scope.h),
        wait=wait,
    )


def _insert(relation: Relation, scope: Scope, wait: Part) -> Part:
    table = relation.table
    names = [name for name in relation.inserted if name not in table.generated]
    return compose(
        """
        INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE
        SELECT {values} FROM loomworks_net n CROSS JOIN LATERAL {h}.populate_record(NULL::{table}, n.target) p
        CROSS JOIN LATERAL generate_series(1, n.copies)
        WHERE n.relation = {number} AND n.act = 'I' AND {wait} RETURNING 1
        """,
        table=table.sql,
        names=sql.SQL(", ").join(map(sql.Identifier, names)),
        values=sql.SQL(", ").join(sql.Identifier("p", name) for name in names),
        h=scope.h,
        number=sql.Literal(relation.id),
        wait=wait,
    )


# --- values that rows of the undo pass on to each other ---


def _park(cr: Cursor, scope: Scope) -> None:
    """Free unique values that one restored row holds and another is to get: unique indexes are checked row by row."""
    for index in scope.unique_indexes:
        relation = scope.of(index.table)
        if relation and relation.keyed and not index.primary and set(index.columns) & set(relation.restored):
            column = _parking_column(cr, relation, index.columns)
            if column:
                _park_rows(cr, scope, relation, index, *column)


def _parking_column(cr: Cursor, relation: Relation, names: tuple[str, ...]) -> tuple[str, Part] | None:
    """Return a column of an index that can hold something harmless for one statement, and that something."""
    query = (
        "SELECT attname::text AS name FROM pg_attribute WHERE attrelid = %s AND attname = ANY(%s) AND NOT attnotnull"
    )
    nullable = rows(cr, query, [relation.table.oid, list(names)])
    restored = set(relation.restored)
    for row in nullable:
        if row["name"] in restored:
            return row["name"], sql.SQL("NULL")
    for name in names:
        kind = relation.table.columns[name]
        if name in restored and kind.startswith(("text", "character varying")):
            return name, compose("left('loomworks ' || md5(random()::text), 255)::{t}", t=sql.SQL(kind))
        if name in restored and kind in ("integer", "bigint"):
            return name, sql.SQL("-1000000000 - (random() * 1000000000)::integer")
    return None


def _park_rows(cr: Cursor, scope: Scope, relation: Relation, index: UniqueIndex, column: str, parked: Part) -> None:
    execute(
        cr,
        """
        UPDATE {table} t SET {column} = {parked} FROM (
            SELECT DISTINCT b.key FROM {holders}
            WHERE EXISTS (SELECT FROM loomworks_net m
                          WHERE m.relation = {number} AND m.act = 'U' AND m.key OPERATOR({h}.=) b.key)
        ) held WHERE {match}
        """,
        table=relation.table.only,
        column=sql.Identifier(column),
        parked=parked,
        holders=holders(scope, relation, index),
        number=sql.Literal(relation.id),
        h=scope.h,
        match=key_match(relation.table, "t", sql.SQL("held.key"), scope.h),
    )


# --- what was touched is what was meant ---

# The undo is captured too. What it left behind in a row has to be what was meant for it, and in no other row.
COMPARE = """
    SELECT COALESCE(m.relation, d.relation) AS relation, {h}.hstore_to_jsonb(COALESCE(m.key, d.key)) AS key,
           m.relation IS NULL AS unmeant
    FROM loomworks_net m FULL JOIN loomworks_done d ON d.relation = m.relation AND d.key OPERATOR({h}.=) m.key
    WHERE m.relation IS NULL OR d.relation IS NULL
       OR d.act <> (CASE m.act WHEN 'U' THEN 'U' WHEN 'I' THEN 'D' ELSE 'I' END)::"char"
       OR m.act = 'U' AND NOT d.expected OPERATOR({h}.=) m.target
       OR m.act = 'I' AND NOT {h}.hs_contains(d.expected, m.target)
       OR m.copies <> d.copies
    LIMIT 20
"""


def differences(cr: Cursor, scope: Scope, by: int, after: int) -> list[str]:
    """Return the rows that the undo touched and did not mean to, or meant to and did not bring about."""
    net.collect(cr, [by], scope.h, into=DONE, after=after)
    labels = {one.id: one.label for one in scope.relations}
    wrong = []
    for row in rows(cr, COMPARE, h=scope.h):
        label = labels.get(row["relation"]) or _label(cr, row["relation"])
        verb = "would be changed as well" if row["unmeant"] else "would not become what it was"
        wrong.append(f"{label} {row['key']} {verb}")
    return wrong


def _label(cr: Cursor, relation: int) -> str:
    return value(cr, "SELECT table_name FROM loomworks.relation WHERE id = %s", [relation])

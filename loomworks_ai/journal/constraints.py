"""Conflicts over the rows as the undo would leave them: with keys, unique values, and what must not be rewritten."""

from __future__ import annotations

from psycopg2 import sql

from . import depended, rules
from .catalog import ForeignKey, UniqueIndex
from .depended import INSERT
from .images import equal, key_match, key_of
from .scope import Relation, Scope
from .sqltext import Constant, Cursor, Name, Part, as_written, compose, execute

RESTRICTING = "r"  # what becomes of a row that refers to one which goes: it keeps that from going


def future(scope: Scope, relation: Relation, names: tuple[str, ...] = ()) -> Part:
    """Return the FROM item ``n`` (of the net change) and ``p`` (the row as the undo would leave it), of one table.

    :param names: only rows that are inserted, or where one of these columns is restored
    """
    return compose(
        """
        (SELECT n.* FROM loomworks_net n WHERE n.relation = {number}
         AND (n.act = 'I' OR n.act = 'U' AND ({all} OR {h}.exists_any(n.target, {names}::text[])))) n
        LEFT JOIN {table} t ON n.act = 'U' AND {match}
        CROSS JOIN LATERAL {h}.populate_record(CASE WHEN n.act = 'U' THEN t.* ELSE NULL::{row} END, n.target) p
        """,
        h=scope.h,
        number=Constant(relation.id),
        all=Constant(not names),
        names=Constant(list(names)),
        table=relation.table.only,
        row=relation.table.sql,
        match=key_match(relation.table, "t", sql.SQL("n.key"), scope.h),
    )


def holders(scope: Scope, relation: Relation, index: UniqueIndex) -> Part:
    """Return the FROM items ``n`` (a row with a value to come) and ``b`` (another row that has it now; its ``key``)."""
    values = [
        compose("({text}) AS {e}", text=as_written(text), e=sql.SQL(f"e{i}"))
        for i, text in enumerate(index.expressions)
    ]
    equals = (
        "(n.{e} {operator} b.{e} OR n.{e} IS NULL AND b.{e} IS NULL)" if index.nulls_equal else "n.{e} {operator} b.{e}"
    )
    same = [
        compose(equals, e=sql.SQL(f"e{i}"), operator=as_written(operator)) for i, operator in enumerate(index.operators)
    ]
    return compose(
        """
        (SELECT "loomworks relation" AS relation, "loomworks key" AS key, {values}
         FROM (SELECT n.relation AS "loomworks relation", n.key AS "loomworks key", p.* FROM {future}) AS p
         WHERE {predicate}) n
        JOIN (SELECT {own} AS key, {values} FROM {table} t WHERE {predicate}) b
          ON {same} AND NOT b.key OPERATOR({h}.=) n.key
        """,
        h=scope.h,
        values=sql.SQL(", ").join(values),
        future=future(scope, relation, index.sources),
        predicate=as_written(index.predicate or "true"),
        own=key_of(relation.table, "t", scope.h),
        table=relation.table.only,
        same=sql.SQL(" AND ").join(same),
    )


def protected(cr: Cursor, scope: Scope, relation: Relation) -> None:
    """Find rows that must not be rewritten, as they are and as they would be."""
    for protection in rules.protections(relation.table.schema, relation.table.name):
        needed, there = protection.needed, relation.table.columns
        if set(needed) <= there.keys() and set(protection.tables) <= scope.structure.oids.keys():
            query = """
                SELECT relation, key, 'protected', NULL, jsonb_build_object('reason', %s::text) FROM (
                    SELECT n.relation, n.key FROM loomworks_net n JOIN {table} t ON {match}
                    WHERE n.relation = {number} AND n.act = ANY(%s::"char"[]) AND ({condition})
                      AND (n.act <> 'U' OR {all} OR {h}.exists_any(n.target, {columns}::text[]))
                  UNION
                    SELECT t."loomworks relation", t."loomworks key" FROM (
                        SELECT n.relation AS "loomworks relation", n.key AS "loomworks key", p.* FROM {future}
                    ) t WHERE {also} AND {condition}
                ) protected
            """
            execute(
                cr,
                INSERT + query,
                [protection.reason, list(protection.now)],
                table=relation.table.only,
                match=key_match(relation.table, "t", sql.SQL("n.key"), scope.h),
                number=Constant(relation.id),
                condition=as_written(protection.condition),
                future=future(scope, relation, protection.columns or needed),
                also=Constant(protection.future),
                all=Constant(not protection.columns),
                columns=Constant(list(protection.columns)),
                h=scope.h,
            )


def dependants(cr: Cursor, scope: Scope, key: ForeignKey) -> None:
    """Find rows outside of the undo that refer to a row which it would delete."""
    referenced = scope.of(key.referenced)
    if referenced is None or "D" not in referenced.acts or not referenced.keyed:
        return
    table, fate = scope.structure.table(key.table), key.on_delete
    if table is None:  # of credentials the journal holds nothing: they go with nobody
        table, fate = scope.structure.credentials(key.table), RESTRICTING
    if table is None:
        return
    image = sql.SQL("n.expected")
    match = equal(table, key.columns, key.referenced_columns, key.own_operators, "r", image, scope.h)
    rows_of = compose("(SELECT * FROM loomworks_net WHERE relation = {id}) n", id=Constant(referenced.id))
    depended.find(cr, scope, rows_of, table, key.columns, match, constraint=key.name, on_delete=fate)


def parents(cr: Cursor, scope: Scope, key: ForeignKey) -> None:
    """Find restored references to rows that are gone, or that the undo itself deletes."""
    relation = scope.of(key.table)
    if relation is None or not relation.keyed:
        return
    touched = set(relation.inserted) | (set(key.columns) & set(relation.restored))
    parent = scope.structure.table(key.referenced) if touched & set(key.columns) else None
    if parent is None:
        return
    query = """
        SELECT n.relation, n.key, 'parent', %s, jsonb_build_object('table', %s::text, 'constraint', %s::text)
        FROM {future} WHERE {filled} AND NOT EXISTS (SELECT FROM {parent} q WHERE {there} AND NOT {goes})
          AND NOT EXISTS (SELECT FROM loomworks_net m WHERE m.relation = %s AND m.act = 'I' AND {again})
    """
    there = [
        compose("{q} {equals} {p}", q=Name("q", theirs), equals=as_written(operator), p=Name("p", own))
        for own, theirs, operator in zip(key.columns, key.referenced_columns, key.operators, strict=True)
    ]
    image = sql.SQL("m.target")
    again = equal(relation.table, key.columns, key.referenced_columns, key.own_operators, "p", image, scope.h)
    execute(
        cr,
        INSERT + query,
        [list(key.columns), parent.label, key.name, scope.structure.numbers.get(key.referenced)],
        future=future(scope, relation, key.columns),
        filled=sql.SQL(" AND ").join(compose("{p} IS NOT NULL", p=Name("p", name)) for name in key.columns),
        parent=parent.sql,
        there=sql.SQL(" AND ").join(there),
        goes=_goes(scope, key.referenced, "q"),
        again=again,
    )


def _goes(scope: Scope, oid: int, alias: str) -> Part:
    """Return the condition that the row ``alias`` of a table is one that the undo deletes."""
    relation = scope.of(oid)
    if relation is None or not relation.keyed or "D" not in relation.acts:
        return sql.SQL("false")
    return compose(
        "EXISTS (SELECT FROM loomworks_net d WHERE d.relation = {number} AND d.act = 'D' AND {match})",
        number=Constant(relation.id),
        match=key_match(relation.table, alias, sql.SQL("d.key"), scope.h),
    )


def unique(cr: Cursor, scope: Scope, index: UniqueIndex) -> None:
    """Find values that would be restored and that a row outside of the undo has now."""
    relation = scope.of(index.table)
    if relation is None or not relation.keyed or index.primary or not _concerns(relation, index):
        return
    query = """
        SELECT n.relation, n.key, 'unique', %s,
               jsonb_build_object('constraint', %s::text, 'columns', %s::text[], 'by', {h}.hstore_to_jsonb(b.key))
        FROM {holders}
        WHERE NOT EXISTS (
            SELECT FROM loomworks_net m WHERE m.relation = %s AND m.key OPERATOR({h}.=) b.key
              AND (m.act = 'D' OR m.act = 'U' AND {h}.exists_any(m.target, %s::text[])))
    """
    names = list(index.columns) if len(index.columns) == len(index.expressions) else None
    execute(
        cr,
        INSERT + query,
        [names, index.name, list(index.columns), relation.id, list(index.sources)],
        holders=holders(scope, relation, index),
        h=scope.h,
    )


def _concerns(relation: Relation, index: UniqueIndex) -> bool:
    return "I" in relation.acts or bool(set(index.sources) & set(relation.restored))

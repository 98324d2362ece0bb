"""Where an undo meets what others did since. Each check adds rows to ``pg_temp.loomworks_conflict``.

=========== ============================================================================ ==================
type        meaning                                                                      choices
=========== ============================================================================ ==================
changed     a column that the operation changed has changed again                        theirs, ours, skip
between     somebody changed it between two of the operations                            theirs, ours, skip
deleted     the row is gone, or has another key now                                      skip
key_taken   a row with the key of the one to be inserted again is there, another one     skip
depended    rows that came later refer to the row that would be deleted                  skip, ours
unique      the value to be restored is another row's now                                skip
parent      what the restored value refers to is gone, or goes with the undo             skip
protected   the row must not be rewritten                                                skip
schema      the column is gone or has another type now, or the table is gone             skip, theirs
secret      the operation changed a credential, which the journal does not hold          skip
computed    a column that the caller computes anew, or that says who wrote it last or    recompute
            whether it was delivered, has changed again
=========== ============================================================================ ==================

``skip`` leaves the row as it is; ``theirs`` leaves the columns in question; ``ours`` takes the operation back anyway
(for ``depended``: with the rows that depend on it, where the foreign key would delete or empty them anyhow).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from psycopg2 import sql

from . import depended, images, keyless, rules
from .catalog import ForeignKey, UniqueIndex
from .depended import INSERT
from .images import equal, key_match, key_of, some
from .scope import Relation, Scope
from .sqltext import Constant, Cursor, Name, Part, as_written, compose, execute, value

CHOICES = {
    "changed": ("theirs", "ours", "skip"),
    "between": ("theirs", "ours", "skip"),
    "deleted": ("skip",),
    "key_taken": ("skip",),
    "depended": ("skip", "ours"),
    "unique": ("skip",),
    "parent": ("skip",),
    "protected": ("skip",),
    "schema": ("skip", "theirs"),
    "secret": ("skip",),
    "computed": ("recompute",),
}
Computed = Mapping[str, Collection[str]]  # table -> columns that the caller works out from others
TABLE_GONE = "the table is gone, or its rows have another key now"
CREATE = """
    CREATE TEMPORARY TABLE IF NOT EXISTS loomworks_conflict (
        relation integer NOT NULL, key {h}.hstore NOT NULL, type text NOT NULL,
        columns text[], detail jsonb, choice text
    ) ON COMMIT DROP
"""
CASCADING = frozenset({"c", "n", "d"})  # fates of a referring row that let the other one go
RESTRICTING = "r"  # the fate that does not


def choices(kind: str, detail: dict | None) -> list[str]:
    """Return what may be chosen for a conflict: what restricts a deletion cannot be overruled."""
    detail = detail or {}
    if kind == "depended" and detail.get("on_delete") not in CASCADING:
        return ["skip"]
    return ["skip"] if detail.get("reason") == TABLE_GONE else list(CHOICES[kind])


def find(cr: Cursor, scope: Scope, computed: Computed) -> int:
    """Look for conflicts of what is in ``loomworks_net``; return how many there are.

    Not for those over `Scope.minded_keys`: see `find_minded`.
    """
    execute(cr, CREATE, h=scope.h)
    execute(cr, "TRUNCATE pg_temp.loomworks_conflict")
    _structure(cr, scope)
    _credentials(cr, scope)
    for relation in scope.present():
        if _values(cr, scope, relation):
            kept = rules.bookkeeping(relation.table.schema, relation.table.name)
            _computed(cr, scope, relation, sorted(kept.union(computed.get(relation.label, ()))))
        _protected(cr, scope, relation)
    _keyless(cr, scope)
    for key in scope.foreign_keys:
        if not key.minded:
            _dependants(cr, scope, key)
        _parents(cr, scope, key)
    for reference in scope.references:
        keyless.dependants(cr, scope, reference)
        keyless.parents(cr, scope, reference)
    for index in scope.unique_indexes:
        _unique(cr, scope, index)
    return value(cr, "SELECT count(*) FROM loomworks_conflict")


def find_minded(cr: Cursor, scope: Scope) -> int:
    """Look besides for what depends on rows that would be deleted; return how many conflicts there are in all.

    Where the server has done what is meant, and no more, there is none: it would have refused, or counted more.
    """
    for key in scope.minded_keys():
        _dependants(cr, scope, key)
    return value(cr, "SELECT count(*) FROM loomworks_conflict")


def lock(cr: Cursor, scope: Scope) -> None:
    """Lock the rows that will be restored or deleted, in the order of their keys, so that two undos cannot deadlock."""
    for relation in scope.present():
        if relation.acts & {"U", "D"}:
            execute(
                cr,
                """
                SELECT count(*) FROM (
                    SELECT FROM {table} t JOIN loomworks_net n ON {match}
                    WHERE n.relation = %s AND n.act IN ('U', 'D') ORDER BY {key} FOR UPDATE OF t
                ) locked
                """,
                [relation.id],
                table=relation.table.only,
                match=key_match(relation.table, "t", sql.SQL("n.key"), scope.h),
                key=sql.SQL(", ").join(Name("t", name) for name in relation.table.key),
            )


def forget_gone(cr: Cursor, scope: Scope) -> int:
    """Leave out rows to be deleted that somebody else has deleted already; return how many.

    Only where a row's key does not change: elsewhere it may live on under another.
    """
    gone = 0
    for relation in scope.present("D"):
        if relation.table.lasting:
            gone += execute(
                cr,
                """
                DELETE FROM loomworks_net n WHERE n.relation = {number} AND n.act = 'D'
                AND NOT EXISTS (SELECT FROM {table} t WHERE {match})
                """,
                number=Constant(relation.id),
                table=relation.table.only,
                match=key_match(relation.table, "t", sql.SQL("n.key"), scope.h),
            )
    return gone


def forget_back(cr: Cursor, scope: Scope) -> int:
    """Leave out rows to be inserted that somebody has brought back already, equal in every column; return how many."""
    back = 0
    for relation in scope.present("I"):
        back += execute(
            cr,
            """
            DELETE FROM loomworks_net n USING {table} t
            WHERE n.relation = {number} AND n.act = 'I' AND n.secret IS NULL AND n.gap IS NULL
              AND {match} AND {image} OPERATOR({h}.=) n.target
            """,
            number=Constant(relation.id),
            table=relation.table.only,
            match=key_match(relation.table, "t", sql.SQL("n.key"), scope.h),
            image=images.whole(relation.table, "t", scope.h),
            h=scope.h,
        )
    return back


def _computed(cr: Cursor, scope: Scope, relation: Relation, names: list[str]) -> None:
    """Set apart what the caller computes anew: it follows from the rest, whoever changed it."""
    parameters = {"relation": relation.id, "names": names}
    split = """
        SELECT c.relation, c.key, 'computed', ARRAY(SELECT unnest(c.columns) INTERSECT SELECT unnest(%(names)s)), NULL
        FROM loomworks_conflict c JOIN loomworks_net n ON n.relation = c.relation AND n.key OPERATOR({h}.=) c.key
        WHERE c.relation = %(relation)s AND c.type IN ('changed', 'between') AND c.columns && %(names)s AND n.act <> 'D'
        GROUP BY 1, 2, 3, 4
    """
    rest = """
        UPDATE loomworks_conflict SET columns = ARRAY(SELECT unnest(columns) EXCEPT SELECT unnest(%(names)s))
        WHERE relation = %(relation)s AND type IN ('changed', 'between') AND columns && %(names)s
    """
    none = """
        DELETE FROM loomworks_conflict
        WHERE relation = %(relation)s AND type IN ('changed', 'between') AND columns = '{{}}'
    """
    for query in (INSERT + split, rest, none):
        execute(cr, query, parameters, h=scope.h)


def _structure(cr: Cursor, scope: Scope) -> None:
    for relation in scope.relations:
        if relation.table is None:
            query = """
                SELECT relation, key, 'schema', NULL, jsonb_build_object('reason', %s::text)
                FROM loomworks_net WHERE relation = %s
            """
            execute(cr, INSERT + query, [TABLE_GONE, relation.id])
        else:
            _columns(cr, scope, relation, relation.retyped, "the column has another type now")
            _columns(cr, scope, relation, relation.dropped, "the column is gone")


def _columns(cr: Cursor, scope: Scope, relation: Relation, names: tuple[str, ...], reason: str) -> None:
    """Find rows whose values cannot go back into their columns."""
    query = """
        SELECT relation, key, 'schema', {h}.akeys({h}.slice(target, %s)), jsonb_build_object('reason', %s::text)
        FROM loomworks_net WHERE relation = %s AND {h}.exists_any(target, %s)
    """
    if names:
        execute(cr, INSERT + query, [list(names), reason, relation.id, list(names)], h=scope.h)


def _credentials(cr: Cursor, scope: Scope) -> None:
    query = """
        SELECT relation, key, 'secret', NULL, jsonb_build_object('columns', secret)
        FROM loomworks_net WHERE secret IS NOT NULL AND act <> 'D'
    """
    if any(relation.credentials for relation in scope.relations):
        execute(cr, INSERT + query)
    for relation in scope.present("D"):
        if relation.table.has_secrets:
            _credentials_since(cr, scope, relation)


def _credentials_since(cr: Cursor, scope: Scope, relation: Relation) -> None:
    """Find rows to be deleted in which a credential was filled that the operations had left empty."""
    query = """
        SELECT n.relation, n.key, 'changed', since.columns, NULL FROM loomworks_net n JOIN {table} t ON {match}
        CROSS JOIN LATERAL (
            SELECT array_agg(name) AS columns FROM unnest({filled}) AS name
            WHERE NOT name = ANY(COALESCE(n.secret, '{{}}'))
        ) since
        WHERE n.relation = %s AND n.act = 'D' AND since.columns IS NOT NULL
    """
    execute(
        cr,
        INSERT + query,
        [relation.id],
        table=relation.table.only,
        match=key_match(relation.table, "t", sql.SQL("n.key"), scope.h),
        filled=images.filled_credentials(relation.table, compose("{h}.hstore(t.*)", h=scope.h), scope.h),
    )


def _values(cr: Cursor, scope: Scope, relation: Relation) -> int:
    """Compare the rows with what the operations left, and find those that are gone or back; return how many."""
    found = 0
    everything = compose("{h}.hstore(t.*)", h=scope.h)
    restored = some(relation.restored, "t", scope.h) if relation.restored else everything
    for act, image in (("U", restored), ("D", everything)):
        if act in relation.acts:
            found += _compare(cr, scope, relation, act, image)
    if relation.gapped:
        found += execute(cr, INSERT + GAPS, [relation.id])
    if "I" in relation.acts:
        query = """
            SELECT n.relation, n.key, 'key_taken', NULL, NULL FROM loomworks_net n JOIN {table} t ON {match}
            WHERE n.relation = %s AND n.act = 'I'
        """
        match = key_match(relation.table, "t", sql.SQL("n.key"), scope.h)
        found += execute(cr, INSERT + query, [relation.id], table=relation.table.only, match=match)
    return found


def _compare(cr: Cursor, scope: Scope, relation: Relation, act: str, image: Part) -> int:
    """Compare rows that are restored or deleted; ``image`` is what the row ``t`` has of the columns in question."""
    query = """
        SELECT n.relation, n.key, CASE WHEN {first} IS NULL THEN 'deleted' ELSE 'changed' END,
               CASE WHEN {first} IS NOT NULL THEN {h}.akeys({h}.delete({expected}, {image})) END,
               CASE WHEN {first} IS NOT NULL THEN jsonb_build_object(
                   'left', {h}.hstore_to_jsonb({h}.delete({expected}, {image})),
                   'now', {h}.hstore_to_jsonb({h}.slice({image}, {h}.akeys({h}.delete({expected}, {image}))))) END
        FROM loomworks_net n LEFT JOIN {table} t ON {match}
        WHERE n.relation = %s AND n.act = %s AND ({first} IS NULL OR NOT {h}.hs_contains({image}, {expected}))
    """
    return execute(
        cr,
        INSERT + query,
        [relation.id, act],
        h=scope.h,
        image=image,
        table=relation.table.only,
        match=key_match(relation.table, "t", sql.SQL("n.key"), scope.h),
        first=Name("t", relation.table.key[0]),
        expected=_expected(scope, relation, act),
    )


def _expected(scope: Scope, relation: Relation, act: str) -> Part:
    """Return what the operations left; of a row to be deleted: nothing in columns that came later."""
    expected = sql.SQL("n.expected")
    if relation.dropped:
        expected = compose("{h}.delete({e}, {gone})", h=scope.h, e=expected, gone=images.names(relation.dropped))
    if act == "D" and relation.added:
        nothing = compose("pg_catalog.array_fill(NULL::text, ARRAY[{n}])", n=Constant(len(relation.added)))
        later = compose(
            "{h}.hstore({added}, {nothing})", h=scope.h, added=images.names(relation.added), nothing=nothing
        )
        expected = compose("{h}.hs_concat({e}, {later})", h=scope.h, e=expected, later=later)
    return expected


GAPS = """
    SELECT n.relation, n.key, 'between', n.gap, NULL FROM loomworks_net n
    WHERE n.relation = %s AND n.gap IS NOT NULL
"""


def _keyless(cr: Cursor, scope: Scope) -> None:
    """Of a table without key: there have to be as many equal rows as are to be deleted."""
    for relation in scope.relations:
        if relation.table and not relation.table.key and "D" in relation.acts:
            query = """
                SELECT n.relation, n.key, 'deleted', NULL, NULL FROM loomworks_net n
                WHERE n.relation = %s AND n.act = 'D' AND n.copies > (
                    SELECT count(*) FROM {table} t WHERE {image} OPERATOR({h}.=) n.key)
            """
            image = key_of(relation.table, "t", scope.h)
            execute(cr, INSERT + query, [relation.id], table=relation.table.only, image=image, h=scope.h)


def _protected(cr: Cursor, scope: Scope, relation: Relation) -> None:
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


def _dependants(cr: Cursor, scope: Scope, key: ForeignKey) -> None:
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


def _parents(cr: Cursor, scope: Scope, key: ForeignKey) -> None:
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


def _unique(cr: Cursor, scope: Scope, index: UniqueIndex) -> None:
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
              AND (m.act = 'D' OR m.act = 'U' AND (%s::text[] IS NULL OR {h}.exists_any(m.target, %s))))
    """
    names = list(index.columns) if len(index.columns) == len(index.expressions) else None
    execute(
        cr,
        INSERT + query,
        [names, index.name, list(index.columns), relation.id, names, names],
        holders=holders(scope, relation, index),
        h=scope.h,
    )


def _concerns(relation: Relation, index: UniqueIndex) -> bool:
    plain = len(index.columns) == len(index.expressions)
    return "I" in relation.acts or bool(
        relation.restored and (not plain or set(index.columns) & set(relation.restored))
    )


def holders(scope: Scope, relation: Relation, index: UniqueIndex) -> Part:
    """Return the FROM items ``n`` (a row with a value to come) and ``b`` (another row that has it now; its ``key``)."""
    plain = len(index.columns) == len(index.expressions)
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
        future=future(scope, relation, index.columns if plain else ()),
        predicate=as_written(index.predicate or "true"),
        own=key_of(relation.table, "t", scope.h),
        table=relation.table.only,
        same=sql.SQL(" AND ").join(same),
    )

"""Conflicts over what has become of the rows since: they are locked, and compared with what the operations left."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from psycopg2 import sql

from . import images
from .depended import INSERT
from .images import key_match, key_of, some
from .scope import Relation, Scope
from .sqltext import Constant, Cursor, Name, Part, compose, execute, rows, value

Computed = Mapping[str, Collection[str]]  # table -> columns that the caller works out from others
TABLE_GONE = "the table is gone, or its rows have another key now"
GAPS = """
    SELECT n.relation, n.key, 'between', n.gap, NULL FROM loomworks_net n
    WHERE n.relation = %s AND n.gap IS NOT NULL
"""


MEANT = "SELECT relation, count(*) AS meant FROM loomworks_net WHERE act IN ('U', 'D') GROUP BY relation"


def lock(cr: Cursor, scope: Scope) -> list[Relation]:
    """Lock the rows that will be restored or deleted, in the order of their keys, so that two undos cannot deadlock.

    Return the relations of which some are not there.
    """
    meant = {row["relation"]: row["meant"] for row in rows(cr, MEANT)}
    missing = []
    for relation in scope.present():
        if relation.acts & {"U", "D"}:
            there = value(
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
            missing += [relation] if there != meant[relation.id] else []
    return missing


def forget_gone(cr: Cursor, scope: Scope, missing: Sequence[Relation]) -> int:
    """Leave out rows to be deleted that somebody else has deleted already; return how many.

    Only where a row's key does not change: elsewhere it may live on under another.
    """
    gone = 0
    for relation in missing:
        if relation.table.lasting and "D" in relation.acts:
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


def structure(cr: Cursor, scope: Scope) -> None:
    """Find rows whose table, or whose column, cannot take their values any more."""
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


def credentials(cr: Cursor, scope: Scope) -> None:
    """Find rows with credentials that would have to be restored, or that were filled since."""
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


def values(cr: Cursor, scope: Scope, relation: Relation) -> int:
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


def computed(cr: Cursor, scope: Scope, relation: Relation, names: list[str]) -> None:
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


def copies(cr: Cursor, scope: Scope) -> None:
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

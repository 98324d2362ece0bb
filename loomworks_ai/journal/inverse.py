"""Bring about what is in ``loomworks_net``, in one statement: foreign keys of every kind are checked at its end.

The same statement writes down what it did, from the rows as they are then: the triggers rest meanwhile, which halves
its cost. What it did has to be what was meant, and the server's own count of rows changed has to say the same:
then nothing else was touched, by a cascade or a trigger of the table.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from psycopg2 import sql

from . import capture
from .catalog import UniqueIndex
from .constraints import holders
from .images import filled_credentials, key_match, key_of, some, whole
from .names import CALLERS, callers_path_meanwhile
from .net import Totals
from .scope import Relation, Scope
from .sqltext import Constant, Cursor, Name, Part, as_written, compose, execute, rows

# Within the statement deletions come first, then updates, then insertions: a unique value is free before it is taken.
AFTER = "(SELECT count(*) FROM {step}) >= 0"
APPLY = """
    WITH path AS MATERIALIZED (SELECT {callers} AS now), {steps},
    done (relation, shape, action, key, old, new, secret, meant) AS MATERIALIZED ({done}),
    written AS (
        INSERT INTO loomworks.entry (operation, shape, action, key, old, new, secret)
        SELECT {by}, shape, action, CASE action WHEN 'U' THEN key END, old, new, secret FROM done
    )
    SELECT relation, count(*) AS done, count(*) FILTER (WHERE action <> 'D') AS written,
           count(*) FILTER (WHERE action = 'D') AS deleted,
           count(*) FILTER (WHERE NOT meant) AS wrong,
           (array_agg({h}.hstore_to_jsonb(key)) FILTER (WHERE NOT meant))[1:20] AS wrong_keys
    FROM done GROUP BY relation
"""
DONE = """
    SELECT {relation}, {shape}, {act}::"char", step.key, {old}, {new}, step.secret, {meant} FROM {step}
"""
# A row that was inserted has every value that it was to have; others may have come from defaults of later columns.
INSERTED = """
    {step} AS step
    LEFT JOIN loomworks_net m ON m.relation = {relation} AND m.act = 'I' AND m.key OPERATOR({h}.=) step.key
"""


@dataclass(frozen=True)
class Unmeant:
    """What would not be as it was meant to be: in words without any value of a row, and the rows' keys."""

    reasons: list[str]
    rows: list[dict[str, Any]]  # table and key


def apply(cr: Cursor, scope: Scope, by: int, meant: Totals, before: capture.Counts) -> Unmeant:
    """Restore, delete and insert as ``loomworks_net`` says, and write it down as operation ``by``.

    :param meant: how many rows that is
    :param before: the server's counts as they are now
    :return: where rows are not as they were meant to be, or more was touched; nothing may be kept then
    :raises psycopg2.IntegrityError, psycopg2.DataError: what the database refuses
    """
    with capture.paused(cr, by):
        parked = _park(cr, scope)
        with callers_path_meanwhile(cr):
            found = _in_one_statement(cr, scope, by)
    unmeant = _unmeant(scope, meant, found)
    return unmeant if unmeant.reasons else Unmeant(_uncalled_for(cr, scope, before, parked, found), [])


def _in_one_statement(cr: Cursor, scope: Scope, by: int) -> list[dict]:
    steps: dict[str, Part] = {}
    done: list[Part] = []
    for act, make in (("D", _delete), ("U", _update), ("I", _insert)):
        wait = _wait_for(list(steps), act)
        for relation in (one for one in scope.relations if one.table and act in one.acts):
            name = f"{act.lower()}_{relation.id}"
            steps[name] = make(relation, scope, wait)
            done.append(_done(name, act, relation, scope.h))
    if not steps:
        return []
    ctes = [compose("{name} AS ({step})", name=Name(name), step=step) for name, step in steps.items()]
    return rows(
        cr,
        APPLY,
        callers=as_written(CALLERS),
        steps=sql.SQL(", ").join(ctes),
        done=sql.SQL(" UNION ALL ").join(done),
        by=Constant(by),
        h=scope.h,
    )


def _wait_for(before: list[str], act: str) -> Part:
    earlier = [name for name in before if not name.startswith(f"{act.lower()}_")]
    if not earlier:
        return as_written("(SELECT now FROM path) IS NOT NULL")
    return sql.SQL(" AND ").join(compose(AFTER, step=Name(name)) for name in earlier)


def _done(step: str, act: str, relation: Relation, h: Part) -> Part:
    """Return what a step has done, as entries are written: of an update only what it changed."""
    parts = {"h": h, "relation": Constant(relation.id), "step": Name(step)}
    source, meant = compose("{step} AS step", **parts), sql.SQL("true")
    old, new = sql.SQL("old"), sql.SQL("new")
    if act == "U":
        changed = new
        if relation.table.triggered:
            changed = compose("{h}.delete(new, old)", h=h)
            old = compose("{h}.slice(old, {h}.akeys({changed}))", h=h, changed=changed)
            new = changed
        meant = compose("{changed} OPERATOR({h}.=) step.target", h=h, changed=changed)
    if act == "I":
        source, meant = compose(INSERTED, **parts), compose("COALESCE({h}.hs_contains(new, m.target), false)", h=h)
    return compose(
        DONE,
        relation=parts["relation"],
        shape=Constant(relation.shape),
        act=Constant(act),
        old=old,
        new=new,
        meant=meant,
        step=source,
    )


def _delete(relation: Relation, scope: Scope, wait: Part) -> Part:
    table, h = relation.table, scope.h
    parts = {
        "table": table.only,
        "number": Constant(relation.id),
        "old": whole(table, "t", h),
        "secret": filled_credentials(table, compose("{h}.hstore(t.*)", h=h), h),
        "h": h,
        "wait": wait,
    }
    if not table.key:
        return compose(
            """
            DELETE FROM {table} t WHERE {wait} AND (t.tableoid, t.ctid) IN (
                SELECT c.tableoid, c.ctid FROM (
                    SELECT s.tableoid, s.ctid, {image} AS image, row_number() OVER (PARTITION BY {image}) AS number
                    FROM {table} s
                ) c JOIN loomworks_net n ON n.relation = {number} AND n.act = 'D' AND n.key OPERATOR({h}.=) c.image
                WHERE c.number <= n.copies)
            RETURNING {old} AS key, {old} AS old, NULL::{h}.hstore AS new, {secret} AS secret
            """,
            image=key_of(table, "s", h),
            **parts,
        )
    return compose(
        """
        DELETE FROM {table} t USING loomworks_net n
        WHERE n.relation = {number} AND n.act = 'D' AND {match} AND {wait}
        RETURNING n.key AS key, {old} AS old, NULL::{h}.hstore AS new, {secret} AS secret
        """,
        match=key_match(table, "t", sql.SQL("n.key"), h),
        **parts,
    )


def _update(relation: Relation, scope: Scope, wait: Part) -> Part:
    table, h = relation.table, scope.h
    assignments = [
        compose(
            "{column} = CASE WHEN {h}.exist(n.target, {name}) THEN ({h}.fetchval(n.target, {name}))::{type} "
            "ELSE {kept} END",
            column=Name(name),
            h=h,
            name=Constant(name),
            type=as_written(table.columns[name]),
            kept=Name("t", name),
        )
        for name in relation.restored
    ]
    parts = {
        "table": table.only,
        "assignments": sql.SQL(", ").join(assignments),
        "h": h,
        "number": Constant(relation.id),
        "match": key_match(table, "t", sql.SQL("n.key"), h),
        "wait": wait,
    }
    if table.triggered:  # it may change more than is asked for: look at whole rows
        return compose(
            """
            UPDATE {table} t SET {assignments}
            FROM loomworks_net n, {table} o
            WHERE n.relation = {number} AND n.act = 'U' AND {match} AND {same} AND {wait}
            RETURNING n.key AS key, n.target AS target, {old} AS old, {new} AS new, NULL::text[] AS secret
            """,
            same=key_match(table, "o", sql.SQL("n.key"), h),
            # What it held before it was parked.
            old=compose("{h}.hs_concat({now}, n.expected)", h=h, now=whole(table, "o", h)),
            new=whole(table, "t", h),
            **parts,
        )
    return compose(
        """
        UPDATE {table} t SET {assignments}
        FROM loomworks_net n
        WHERE n.relation = {number} AND n.act = 'U' AND {match} AND {wait}
        RETURNING n.key AS key, n.target AS target, n.expected AS old,
                  {h}.slice({new}, {h}.akeys(n.target)) AS new, NULL::text[] AS secret
        """,
        new=some(relation.restored, "t", h),
        **parts,
    )


def _insert(relation: Relation, scope: Scope, wait: Part) -> Part:
    table, h = relation.table, scope.h
    names = [name for name in relation.inserted if name not in table.generated]
    return compose(
        """
        INSERT INTO {table} AS t ({names}) OVERRIDING SYSTEM VALUE
        SELECT {values} FROM loomworks_net n CROSS JOIN LATERAL {h}.populate_record(NULL::{table}, n.target) p
        CROSS JOIN LATERAL generate_series(1, n.copies)
        WHERE n.relation = {number} AND n.act = 'I' AND {wait}
        RETURNING {key} AS key, NULL::{h}.hstore AS old, {new} AS new, {secret} AS secret
        """,
        table=table.sql,
        names=sql.SQL(", ").join(map(Name, names)),
        values=sql.SQL(", ").join(Name("p", name) for name in names),
        h=h,
        number=Constant(relation.id),
        wait=wait,
        key=key_of(table, "t", h),
        new=whole(table, "t", h),
        secret=filled_credentials(table, compose("{h}.hstore(t.*)", h=h), h),
    )


# --- values that rows of the undo pass on to each other ---

# Harmless values, another one for each ``held.place``: what tells them apart comes first: columns may be short. Its
# characters are for private use: nobody else has them.
PRIVATE = 65_000  # characters from U+F0000
PARKED_TEXT = """
    left(chr(983040 + ((held.place + {start}) %% 65000)::integer) || held.place || ' loomworks ' || md5(random()::text),
         255)::{t}
"""
PARKED_NUMBER = "-2000000000 + {start} + held.place::integer"


def _park(cr: Cursor, scope: Scope) -> dict[int, int]:
    """Free unique values that one restored row holds and another is to get: unique indexes are checked row by row.

    :return: table, by oid -> rows changed
    """
    parked: dict[int, int] = {}
    for index in scope.unique_indexes:
        relation = scope.of(index.table)
        if relation and relation.keyed and not index.primary and set(index.sources) & set(relation.restored):
            for column, harmless in _parking_places(cr, scope.h, relation, index):
                held = _park_rows(cr, scope, relation, index, column, harmless)
                parked[index.table] = parked.get(index.table, 0) + held
    return parked


def _parking_places(cr: Cursor, h: Part, relation: Relation, index: UniqueIndex) -> list[tuple[str, Part]]:
    """Return the columns that can hold something harmless for one statement, and that something.

    What the values that are to be unique are made of comes first; then what decides whether a row counts at all, and
    that is as it will be.
    """
    query = """
        SELECT a.attname::text AS name, NOT a.attnotnull AS nullable, EXISTS (
            SELECT FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'f' AND a.attnum = ANY(k.conkey)
        ) AS refers
        FROM pg_attribute a WHERE a.attrelid = %s AND a.attname = ANY(%s)
    """
    columns = {row["name"]: row for row in rows(cr, query, [relation.table.oid, list(index.sources)])}
    places = []
    for name in (name for name in index.sources if name in relation.restored):
        kind, column = relation.table.columns[name], columns[name]
        if name in (*index.columns, *index.within):
            apart = name in index.columns and not index.nulls_equal
            harmless = _harmless(kind, column["nullable"], column["refers"], apart)
        else:
            harmless = compose("({h}.fetchval(held.target, {name}))::{t}", name=Constant(name), t=as_written(kind), h=h)
        if harmless:
            places.append((name, harmless))
    return places


def _harmless(kind: str, nullable: bool, refers: bool, apart: bool) -> Part | None:
    """Return a value that no other row has.

    :param kind: the column's type
    :param refers: whether a foreign key is of it
    :param apart: whether a row with NULL is like no other one
    """
    if nullable and apart:
        return sql.SQL("NULL")
    if kind.startswith(("text", "character varying")):
        return compose(PARKED_TEXT, t=as_written(kind), start=Constant(secrets.randbelow(PRIVATE)))
    if kind in ("integer", "bigint") and not refers:
        return compose(PARKED_NUMBER, start=Constant(secrets.randbelow(1_000_000_000)))
    return sql.SQL("NULL") if nullable else None


def _park_rows(cr: Cursor, scope: Scope, relation: Relation, index: UniqueIndex, column: str, harmless: Part) -> int:
    """Park ``column`` of rows that will get their own value for it, and hold a value that another one will get."""
    with callers_path_meanwhile(cr):
        return execute(
            cr,
            """
        WITH path AS MATERIALIZED (SELECT {callers} AS now)
        UPDATE {table} t SET {column} = {harmless} FROM (
            SELECT key, target, row_number() OVER () AS place FROM (
                SELECT DISTINCT b.key, m.target FROM {holders}
                JOIN loomworks_net m ON m.relation = {number} AND m.act = 'U'
                    AND m.key OPERATOR({h}.=) b.key AND {h}.exist(m.target, {name})
            ) holding
        ) held WHERE {match} AND (SELECT now FROM path) IS NOT NULL
        """,
            callers=as_written(CALLERS),
            table=relation.table.only,
            column=Name(column),
            name=Constant(column),
            harmless=harmless,
            holders=holders(scope, relation, index),
            number=Constant(relation.id),
            h=scope.h,
            match=key_match(relation.table, "t", sql.SQL("held.key"), scope.h),
        )


# --- what was touched is what was meant ---


def _unmeant(scope: Scope, meant: Totals, found: list[dict]) -> Unmeant:
    """Return the rows that did not become what they were."""
    labels = {one.id: one.label for one in scope.relations}
    done = {row["relation"]: row for row in found}
    unmeant = Unmeant([], [])
    for relation, count in ((relation, sum(acts.values())) for relation, acts in meant.items()):
        made = done.get(relation, {"done": 0, "wrong": 0, "wrong_keys": None})
        label = labels[relation]
        unmeant.rows.extend({"table": label, "key": key} for key in made["wrong_keys"] or [])
        if made["wrong"]:
            unmeant.reasons.append(f"{label}: {made['wrong']} of {count} rows would not become what they were")
        if made["done"] != count:
            unmeant.reasons.append(f"{label}: {made['done']} of {count} rows would become what they were")
    return unmeant


def _uncalled_for(
    cr: Cursor, scope: Scope, before: capture.Counts, parked: dict[int, int], found: list[dict]
) -> list[str]:
    """Return the tables in which the server has counted more changes than were written down."""
    oids = {one.id: one.table.oid for one in scope.relations if one.table}
    meant = {oids[row["relation"]]: (row["written"], row["deleted"]) for row in found}
    changed = capture.changed_since(cr, before)
    changed.pop(capture.journal(cr), None)
    wrong = [
        oid
        for oid, (written, deleted) in changed.items()
        if (written - parked.get(oid, 0), deleted) != meant.get(oid, (0, 0))
    ]
    if not wrong:
        return []
    names = sorted(label for label, oid in scope.structure.oids.items() if oid in wrong)
    return [f"{name}: other rows would be changed as well" for name in names]

"""Conflicts over references that are no foreign keys: nobody but this looks after them."""

from __future__ import annotations

import json

from psycopg2 import sql

from . import depended, images
from .catalog import Table
from .depended import INSERT
from .images import key_match
from .references import BELONGING, Reference, table_of, with_children
from .scope import Relation, Scope
from .sqltext import Constant, Cursor, Name, Part, as_written, compose, execute, rows

# The condition that the row ``r`` holds a number; by kind of reference.
HOLDS = {
    "company": "EXISTS (SELECT FROM jsonb_each_text({column}) AS v WHERE v.value = {number})",
    "distribution": """EXISTS (
        SELECT FROM jsonb_object_keys(CASE jsonb_typeof({column}) WHEN 'object' THEN {column} END) AS numbers,
                    string_to_table(numbers, ',') AS one WHERE one = {number})""",
    "default": """{column} = {number} AND EXISTS (
        SELECT FROM public.ir_model_fields f
        WHERE f.id = r.field_id AND f.ttype = 'many2one' AND f.relation = named.model)""",
    "action": "{column} = ({number})::integer",
    "properties": """{column} ?| {properties} AND EXISTS (
        SELECT FROM jsonb_each(CASE jsonb_typeof({column}) WHEN 'object' THEN {column} END) AS v
               JOIN {defined} ON defined.name = v.key
        WHERE defined.model = named.model AND v.value @> to_jsonb({number}::bigint))""",
}
# What a value that comes back refers to: the FROM item ``named`` of model and number, as text; by kind of reference.
NAMED = {
    "polymorph": "(SELECT {beside}, {value}) AS named(model, number)",
    "text": "(SELECT split_part({value}, ',', 1), split_part({value}, ',', 2)) AS named(model, number)",
    "company": "(SELECT {model}, value FROM jsonb_each_text({value}::jsonb)) AS named(model, number)",
    "distribution": """(
        SELECT {model}, one FROM jsonb_object_keys({value}::jsonb) AS numbers, string_to_table(numbers, ',') AS one
    ) AS named(model, number)""",
    "default": """(
        SELECT f.relation, {value} FROM public.ir_model_fields f
        WHERE f.id = ({beside})::integer AND f.ttype = 'many2one'
    ) AS named(model, number)""",
    "action": "(SELECT {model}, {value}) AS named(model, number)",
    "properties": """(
        SELECT defined.model, one FROM (SELECT {value}::jsonb AS held) AS future,
            jsonb_each(CASE jsonb_typeof(held) WHEN 'object' THEN held END) AS v
            JOIN {defined} ON defined.name = v.key,
            jsonb_array_elements_text(
                CASE jsonb_typeof(v.value) WHEN 'array' THEN v.value ELSE jsonb_build_array(v.value) END) AS one
    ) AS named(model, number)""",
}
# The rows ``n`` that come back with such a value, and what it refers to.
COMING = """
    loomworks_net n LEFT JOIN {table} t ON n.act = 'U' AND {match}
    CROSS JOIN LATERAL {named}
    WHERE n.relation = {relation} AND n.act IN ('I', 'U') AND {h}.exists_any(n.target, {names})
      AND named.model <> '' AND named.number ~ '^[0-9]+$' AND named.number <> '0'
"""


def fate(reference: Reference) -> str:
    """Return what becomes of a row whose record goes: deleted with it, emptied, or in the way (as a foreign key's)."""
    if reference.table in BELONGING:
        return "c"
    return "n" if reference.kind == "text" else "r"


def match(scope: Scope, reference: Reference) -> Part:
    """Return the condition that the row ``r`` refers to the row of ``n``, which is one of the model ``named.model``."""
    column = Name("r", reference.column)
    number = compose("{h}.fetchval(n.key, 'id')", h=scope.h)
    if reference.kind == "polymorph":
        return compose(
            "{column} = ({number})::{kind} AND {model} = named.model",
            column=column,
            number=number,
            kind=as_written(scope.structure.labelled(reference.table).columns[reference.column]),
            model=Name("r", reference.model_column),
        )
    if reference.kind == "text":
        return compose(
            "split_part({column}, ',', 2) = {number} AND split_part({column}, ',', 1) = named.model",
            column=column,
            number=number,
        )
    return compose(HOLDS[reference.kind], column=column, number=number, **_defined(scope, reference))


def _defined(scope: Scope, reference: Reference) -> dict[str, Part]:
    """Return the names of properties that refer to records, and the FROM item ``defined`` of them with their models."""
    if reference.kind != "properties":
        return {}
    known = scope.structure.properties
    pairs = [compose("({name}, {model})", name=Constant(name), model=Constant(of)) for name, of in known]
    return {
        "properties": images.names([name for name, _of in known]),
        "defined": compose("(VALUES {pairs}) AS defined(name, model)", pairs=sql.SQL(", ").join(pairs)),
    }


def _may_be_of(scope: Scope, reference: Reference, model: str) -> bool:
    if reference.kind == "properties":
        return any(model == of for _name, of in scope.structure.properties)
    if reference.kind == "action":
        return table_of(model) in with_children(table_of(reference.model))
    return reference.model in ("", model)


def named(scope: Scope, reference: Reference) -> Part | None:
    """Return the FROM item ``n`` of rows to be deleted that the reference can be to, ``named`` by their models."""
    pairs = [
        compose("({id}, {model})", id=Constant(relation), model=Constant(model))
        for relation, model in scope.going
        if _may_be_of(scope, reference, model)
    ]
    if not pairs:
        return None
    return compose(
        "loomworks_net n JOIN (VALUES {pairs}) AS named(relation, model) ON named.relation = n.relation",
        pairs=sql.SQL(", ").join(pairs),
    )


def dependants(cr: Cursor, scope: Scope, reference: Reference) -> None:
    """Find rows outside of the undo that refer to a row which it would delete."""
    filled = scope.structure.is_filled(scope.structure.oids[reference.table])
    deleted = named(scope, reference) if filled else None
    table = scope.structure.labelled(reference.table) if deleted else None
    if table:
        detail = {"column": reference.column, "on_delete": fate(reference)}
        depended.find(cr, scope, deleted, table, [reference.column], match(scope, reference), **detail)


def parents(cr: Cursor, scope: Scope, reference: Reference) -> None:
    """Find restored references to rows that are gone, or that the undo itself deletes."""
    relation = next((one for one in scope.present() if one.label == reference.table), None)
    names = [name for name in (reference.column, reference.model_column) if name]
    if relation is None or not ("I" in relation.acts or set(names) & set(relation.restored)):
        return
    if reference.kind == "properties" and not scope.structure.properties:
        return
    coming = _coming(scope, relation, reference, names)
    for row in rows(cr, "SELECT DISTINCT named.model FROM {coming}", coming=coming):
        parent = scope.structure.labelled(table_of(row["model"]))
        if parent and parent.key == ("id",):
            _parents_in(cr, scope, coming, reference, row["model"], parent)


def _coming(scope: Scope, relation: Relation, reference: Reference, names: list[str]) -> Part:
    beside = "field_id" if reference.kind == "default" else reference.model_column
    named_in = compose(
        NAMED[reference.kind],
        value=_future(scope, reference.column),
        beside=_future(scope, beside) if beside else sql.SQL("NULL"),
        model=Constant(reference.model),
        **_defined(scope, reference),
    )
    return compose(
        COMING,
        h=scope.h,
        table=relation.table.only,
        match=key_match(relation.table, "t", sql.SQL("n.key"), scope.h),
        named=named_in,
        relation=Constant(relation.id),
        names=images.names(names),
    )


def _future(scope: Scope, name: str) -> Part:
    """Return what a column of the row of ``n`` will hold, as text."""
    return compose(
        "CASE WHEN {h}.exist(n.target, {name}) THEN {h}.fetchval(n.target, {name}) ELSE {now}::text END",
        h=scope.h,
        name=Constant(name),
        now=Name("t", name),
    )


def _parents_in(cr: Cursor, scope: Scope, coming: Part, reference: Reference, model: str, parent: Table) -> None:
    query = """
        SELECT DISTINCT n.relation, n.key, 'parent', %(columns)s, %(detail)s::jsonb FROM {coming}
          AND named.model = %(model)s
          AND (NOT EXISTS (SELECT FROM {parent} p WHERE p.id = named.number::bigint)
               OR EXISTS (SELECT FROM loomworks_net d WHERE d.relation = ANY(%(parents)s::integer[]) AND d.act = 'D'
                          AND {h}.fetchval(d.key, 'id') = named.number))
          AND NOT EXISTS (SELECT FROM loomworks_net m WHERE m.relation = ANY(%(parents)s::integer[]) AND m.act = 'I'
                          AND {h}.fetchval(m.target, 'id') = named.number)
    """
    oids = [scope.structure.oids.get(table) for table in with_children(parent.label)]
    parameters = {
        "columns": [reference.column],
        "detail": json.dumps({"table": parent.label, "column": reference.column}),
        "model": model,
        "parents": [scope.structure.numbers[oid] for oid in oids if oid in scope.structure.numbers],
    }
    execute(cr, INSERT + query, parameters, h=scope.h, coming=coming, parent=parent.sql)

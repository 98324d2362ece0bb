"""Conflicts over references that are no foreign keys: nobody but this looks after them."""

from __future__ import annotations

import json

from psycopg2 import sql

from . import depended
from .catalog import Table
from .depended import INSERT
from .references import BELONGING, Reference, table_of
from .scope import Relation, Scope
from .sqltext import Constant, Cursor, Name, Part, as_written, compose, execute, rows


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
    return compose(
        "EXISTS (SELECT FROM jsonb_each_text({column}) AS v WHERE v.value = {number})", column=column, number=number
    )


def named(scope: Scope, reference: Reference) -> Part | None:
    """Return the FROM item ``n`` of rows to be deleted that the reference can be to, ``named`` by their models."""
    pairs = [
        compose("({id}, {model})", id=Constant(relation.id), model=Constant(model))
        for relation in scope.present("D")
        if relation.table.key == ("id",)
        for model in scope.structure.models.get(relation.label, [])
        if reference.model in ("", model)
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
    if relation is None or reference.kind != "polymorph" or not _brings_back(relation, reference):
        return
    for model in _models_brought_back(cr, scope, relation, reference):
        parent = scope.structure.labelled(table_of(model))
        if parent and parent.key == ("id",):
            _parents_in(cr, scope, relation, reference, model, parent)


def _brings_back(relation: Relation, reference: Reference) -> bool:
    return "I" in relation.acts or reference.column in relation.restored


def _models_brought_back(cr: Cursor, scope: Scope, relation: Relation, reference: Reference) -> list[str]:
    query = """
        SELECT DISTINCT {h}.fetchval(target, %s) AS model FROM loomworks_net
        WHERE relation = %s AND act = 'I' AND {h}.defined(target, %s)
    """
    names = reference.model_column
    return [row["model"] for row in rows(cr, query, [names, relation.id, names], h=scope.h)]


def _parents_in(cr: Cursor, scope: Scope, relation: Relation, reference: Reference, model: str, parent: Table) -> None:
    query = """
        SELECT n.relation, n.key, 'parent', %(columns)s, %(detail)s FROM loomworks_net n
        WHERE n.relation = %(relation)s AND n.act = 'I' AND {h}.fetchval(n.target, %(model_column)s) = %(model)s
          AND COALESCE({h}.fetchval(n.target, %(column)s), '0') <> '0'
          AND (NOT EXISTS (SELECT FROM {parent} p WHERE p.id = ({h}.fetchval(n.target, %(column)s))::bigint)
               OR EXISTS (SELECT FROM loomworks_net d WHERE d.relation = %(parent)s AND d.act = 'D'
                          AND {h}.fetchval(d.key, 'id') = {h}.fetchval(n.target, %(column)s)))
          AND NOT EXISTS (SELECT FROM loomworks_net m WHERE m.relation = %(parent)s AND m.act = 'I'
                          AND {h}.fetchval(m.target, 'id') = {h}.fetchval(n.target, %(column)s))
    """
    parameters = {
        "columns": [reference.column],
        "detail": json.dumps({"table": parent.label, "column": reference.column}),
        "relation": relation.id,
        "model_column": reference.model_column,
        "model": model,
        "column": reference.column,
        "parent": scope.structure.numbers.get(parent.oid),
    }
    execute(cr, INSERT + query, parameters, h=scope.h, parent=parent.sql)

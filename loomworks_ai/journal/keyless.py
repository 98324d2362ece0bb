"""Conflicts over references that are no foreign keys: nobody but this looks after them."""

from __future__ import annotations

import json

from psycopg2 import sql

from . import depended
from .catalog import Table
from .depended import INSERT
from .references import BELONGING, Reference, table_of
from .scope import Relation, Scope
from .sqltext import Cursor, Part, compose, execute, rows


def fate(reference: Reference) -> str:
    """Return what becomes of a row whose record goes: deleted with it, emptied, or in the way (as a foreign key's)."""
    if reference.table in BELONGING:
        return "c"
    return "n" if reference.kind == "text" else "r"


def match(scope: Scope, reference: Reference, referenced: Relation) -> Part:
    """Return the condition that the row ``r`` refers to the row of ``n`` in the table ``referenced``."""
    column = sql.Identifier("r", reference.column)
    number = compose("{h}.fetchval(n.key, 'id')", h=scope.h)
    named = sql.Literal(scope.models.get(referenced.label, []))
    if reference.kind == "polymorph":
        model = sql.Identifier("r", reference.model_column)
        kind = sql.SQL(scope.labelled(reference.table).columns[reference.column])
        return compose(
            "{column} = ({number})::{kind} AND {model} = ANY({named}::text[])",
            column=column,
            number=number,
            kind=kind,
            model=model,
            named=named,
        )
    if reference.kind == "text":
        return compose(
            "{column} IN (SELECT name || ',' || {number} FROM unnest({named}::text[]) AS name)",
            column=column,
            number=number,
            named=named,
        )
    return compose(
        "EXISTS (SELECT FROM jsonb_each_text({column}) AS v WHERE v.value = {number})", column=column, number=number
    )


def may_refer(scope: Scope, reference: Reference, referenced: Relation) -> bool:
    """Tell whether the reference can be to rows of the table ``referenced``."""
    if not referenced.keyed or referenced.table.key != ("id",):
        return False
    named = scope.models.get(referenced.label, [])
    return reference.model in named if reference.kind == "company" else bool(named)


def dependants(cr: Cursor, scope: Scope, reference: Reference) -> None:
    """Find rows outside of the undo that refer to a row which it would delete."""
    table = scope.labelled(reference.table)
    if table.oid not in scope.filled:
        return
    for referenced in scope.present("D"):
        if may_refer(scope, reference, referenced):
            link = match(scope, reference, referenced)
            named = {"column": reference.column, "on_delete": fate(reference)}
            depended.find(cr, scope, referenced, table, [reference.column], link, **named)


def parents(cr: Cursor, scope: Scope, reference: Reference) -> None:
    """Find restored references to rows that are gone."""
    relation = next((one for one in scope.present() if one.label == reference.table), None)
    if relation is None or reference.kind != "polymorph" or not _brings_back(relation, reference):
        return
    for model in _models_brought_back(cr, scope, relation, reference):
        parent = next((table for table in scope.by_oid.values() if table.label == table_of(model)), None)
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
          AND NOT EXISTS (SELECT FROM {parent} p WHERE p.id = ({h}.fetchval(n.target, %(column)s))::bigint)
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
        "parent": scope.numbers.get(parent.oid),
    }
    execute(cr, INSERT + query, parameters, h=scope.h, parent=parent.sql)

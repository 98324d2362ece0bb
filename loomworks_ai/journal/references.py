"""Odoo's references that are no foreign keys, found in its own tables of models and fields.

============ ==================================================================================
polymorph    a number, and beside it the name of the model it is of (many2one_reference)
text         ``model,number`` in one column (reference)
company      jsonb of company -> number (a many2one whose value depends on the company)
distribution jsonb of ``number,number`` -> share (analytic accounts)
default      JSON of a number, the default of a many2one, in the table of defaults
action       a number of ``ir_actions``, whose tables inherit from each other: no foreign key works on them
properties   jsonb of property -> number or numbers; the models stand in the properties' definitions
============ ==================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg2 import sql

from .sqltext import Cursor, Name, compose, rows, value

# A model's table is its name with underscores, but for these.
OTHER_TABLES = {
    "ir.actions.actions": "ir_actions",
    "ir.actions.act_window": "ir_act_window",
    "ir.actions.act_window.view": "ir_act_window_view",
    "ir.actions.act_url": "ir_act_url",
    "ir.actions.server": "ir_act_server",
    "ir.actions.client": "ir_act_client",
    "ir.actions.report": "ir_act_report_xml",
    "ir.actions.todo": "ir_actions_todo",
}
# The column that names the model stands beside the number under one of these names.
MODEL_COLUMNS = ("res_model", "model", "model_name", "rel_model", "source_model")
FIELDS = """
    SELECT f.model, f.name, f.ttype, f.relation, f.company_dependent FROM public.ir_model_fields f
    WHERE f.store AND (
        f.ttype IN ('many2one_reference', 'reference', 'properties', 'properties_definition')
        OR f.ttype = 'many2one' AND (f.company_dependent OR f.relation = 'ir.actions.actions')
        OR f.ttype = 'json' AND f.name = 'analytic_distribution' OR f.model = 'ir.default' AND f.name = 'json_value')
    ORDER BY f.model, f.name
"""
ACTIONS = "ir.actions.actions"
ACTION_TABLES = ("ir_actions", "ir_act_window", "ir_act_url", "ir_act_server", "ir_act_client", "ir_act_report_xml")
DEFINITION = "properties_definition"  # refers to nothing itself
# The properties of one column of definitions that refer to records.
DEFINED = """
    SELECT d->>'name' AS name, d->>'comodel' AS model
    FROM {table} t, jsonb_array_elements(CASE jsonb_typeof(t.{column}) WHEN 'array' THEN t.{column} END) AS d
    WHERE t.{column} IS NOT NULL
      AND d->>'type' IN ('many2one', 'many2many') AND d->>'name' <> '' AND d->>'comodel' <> ''
"""
# Rows that vanish with the record they are about, as Odoo deletes them with it.
BELONGING = frozenset(
    """
    ir_attachment ir_default ir_model_data mail_activity mail_followers mail_message rating_rating mail_tracking_value
    """.split()
)


@dataclass(frozen=True)
class Reference:
    """A column that refers to rows of ``models`` (of any, where it is None)."""

    table: str
    column: str
    kind: str
    model_column: str = ""
    model: str = ""


def table_of(model: str) -> str:
    """Return the name of a model's table."""
    return OTHER_TABLES.get(model, model.replace(".", "_"))


def with_children(table: str) -> tuple[str, ...]:
    """Return a table and those that inherit from it: what refers to it may be to a row of any."""
    return ACTION_TABLES if table in ACTION_TABLES[:1] else (table,)


def models(cr: Cursor) -> dict[str, list[str]]:
    """Return which models' rows each table holds; nothing where Odoo is not."""
    if not value(cr, "SELECT to_regclass('public.ir_model') IS NOT NULL"):
        return {}
    found: dict[str, list[str]] = {}
    for row in rows(cr, "SELECT model FROM public.ir_model ORDER BY model"):
        found.setdefault(table_of(row["model"]), []).append(row["model"])
    return found


def read(cr: Cursor) -> list[Reference]:
    """Return every such reference of this database, and the definitions of properties; none where Odoo is not."""
    if not value(cr, "SELECT to_regclass('public.ir_model_fields') IS NOT NULL"):
        return []
    fields = rows(cr, FIELDS)
    columns = _columns(cr, sorted({table_of(field["model"]) for field in fields}))
    found = []
    for field in fields:
        table = table_of(field["model"])
        kind = columns.get(table, {}).get(field["name"])
        reference = kind and _reference(table, field, kind, columns[table])
        if reference:
            found.append(reference)
    return sorted(set(found), key=lambda one: (one.table, one.column))


def properties(cr: Cursor, definitions: list[Reference]) -> list[tuple[str, str]]:
    """Return name and model of every property that refers to records. Odoo makes up a new name for each.

    Reads all rows of the tables with ``definitions``, which are as many as there are products at some.
    """
    parts = [compose(DEFINED, table=Name("public", one.table), column=Name(one.column)) for one in definitions]
    found = rows(cr, "{parts}", parts=sql.SQL(" UNION ").join(parts)) if parts else []
    return sorted((one["name"], one["model"]) for one in found)


def _reference(table: str, field: dict, kind: str, columns: dict[str, str]) -> Reference | None:
    name = field["name"]
    if table == "ir_default":
        return Reference(table, name, "default") if "field_id" in columns else None
    if field["ttype"] == "many2one_reference":
        return _polymorph(table, name, columns)
    means, held_as, model = _meaning(field)
    return Reference(table, name, means, model=model) if held_as in ("", kind) else None


def _meaning(field: dict) -> tuple[str, str, str]:
    """Return the kind of reference that a field is, the type of its column ("": any), and the model it refers to."""
    if field["ttype"] == "reference":
        return "text", "", ""
    if field["ttype"] == "json":
        return "distribution", "jsonb", "account.analytic.account"
    if field["ttype"] == "many2one":
        return ("company", "jsonb", field["relation"]) if field["company_dependent"] else ("action", "integer", ACTIONS)
    return field["ttype"], "jsonb", ""


def _polymorph(table: str, name: str, columns: dict[str, str]) -> Reference | None:
    own = (f"{name.removesuffix('_id')}_model", name.replace("res_id", "res_model"), name.replace("_id", "_model"))
    beside = next((one for one in (*own, *MODEL_COLUMNS) if one != name and one in columns), None)
    return Reference(table, name, "polymorph", model_column=beside) if beside else None


def _columns(cr: Cursor, tables: list[str]) -> dict[str, dict[str, str]]:
    query = """
        SELECT c.relname AS table_name, a.attname AS name, format_type(a.atttypid, NULL) AS kind
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
          AND c.relname = ANY(%s)
    """
    found: dict[str, dict[str, str]] = {}
    for row in rows(cr, query, [tables]):
        found.setdefault(row["table_name"], {})[row["name"]] = row["kind"]
    return found

"""Whether a database is sound: nothing refers to what is not there, numbers come, the ORM works on what was touched."""

import contextlib

import psycopg2
import psycopg2.errors
from odoo.exceptions import UserError

SAMPLE = 3  # records of each model


def dangling(env):
    """Return {(table, column, number, what it names)} of references without a foreign key that lead nowhere.

    Odoo's own description of its fields is asked, not the journal's.
    """
    found = set()
    for model in _stored(env):
        for field in model._fields.values():
            query = field.store and field.column_type and _references(model, field)
            if query:
                found |= {(model._table, field.name, *row) for row in _leading_nowhere(env, query)}
    return found


# What fields refer to without a foreign key: number of the row, model, number of the record. By their type ...
REFERENCES = {
    "many2one_reference": 'SELECT id, "{field.model_field}", "{field.name}" FROM "{table}" WHERE "{field.name}" > 0',
    "reference": """
        SELECT id, split_part("{field.name}", ',', 1), split_part("{field.name}", ',', 2)::integer
        FROM "{table}" WHERE "{field.name}" LIKE '%,%'
    """,
    "company": """
        SELECT t.id, '{field.comodel_name}', v.value::integer
        FROM "{table}" t, jsonb_each_text(t."{field.name}") v WHERE v.value IS NOT NULL
    """,
    "action": """
        SELECT id, '{field.comodel_name}', "{field.name}" FROM "{table}" WHERE "{field.name}" IS NOT NULL
    """,
}
# ... and by their name.
NAMED_REFERENCES = {
    "analytic_distribution": """
        SELECT t.id, 'account.analytic.account', account::integer
        FROM "{table}" t, jsonb_object_keys(t."{field.name}") accounts, string_to_table(accounts, ',') account
    """,
    "json_value": """
        SELECT d.id, f.relation, d.json_value::integer FROM {table} d JOIN ir_model_fields f ON f.id = d.field_id
        WHERE f.ttype = 'many2one' AND d.json_value ~ '^[0-9]+$'
    """,
}


def _references(model, field):
    """Return the query for what a field refers to without a foreign key, or None."""
    kind = field.type
    if kind == "many2one":
        kind = "company" if field.company_dependent else "action" * (field.comodel_name == "ir.actions.actions")
    query = REFERENCES.get(kind) or NAMED_REFERENCES.get(field.name)
    if kind == "properties":
        return _of_properties(model, field)
    return query and query.format(table=model._table, field=field)


# Which record a property may name stands in its definition: one for all of the model's records, or of a record of each.
PROPERTIES = """
    SELECT t.id, d->>'comodel', number::integer
    FROM "{table}" t JOIN "{definitions}" p ON p.id = {definition}, jsonb_array_elements(p."{column}") d,
        jsonb_path_query(t."{name}" -> (d->>'name'), '$[*]') number
    WHERE d->>'type' IN ('many2one', 'many2many') AND d->>'comodel' <> '' AND jsonb_typeof(number) = 'number'
"""
FOR_ALL = """(
    SELECT b.id FROM properties_base_definition b JOIN ir_model_fields f ON f.id = b.properties_field_id
    WHERE f.model = '{model}' AND f.name = '{name}')
"""


def _of_properties(model, field):
    """Return the query for what the properties in a field refer to."""
    holder = model._fields[field.definition_record]
    own = f't."{holder.name}"' if holder.store else FOR_ALL.format(model=model._name, name=field.name)
    definitions, column = model.env[holder.comodel_name]._table, field.definition_record_field
    names = {"table": model._table, "name": field.name, "definitions": definitions, "column": column}
    return PROPERTIES.format(**names, definition=own)


def _stored(env):
    return [model for model in env.values() if model._auto and not model._abstract and not model._transient]


def _leading_nowhere(env, query):
    env.cr.execute(query)
    named = {}
    for number, model, target in env.cr.fetchall():
        named.setdefault(model, []).append((number, target))
    for model, references in named.items():
        there = set()
        if model in env and env[model]._auto and not env[model]._abstract:
            targets = [target for _number, target in references]
            env.cr.execute(f'SELECT id FROM "{env[model]._table}" WHERE id = ANY(%s)', [targets])
            there = {number for (number,) in env.cr.fetchall()}
        yield from ((number, model, target) for number, target in references if target not in there)


def assert_numbers_come(env):
    """Every number sequence gives a number, and no row is ahead of the sequence that its number is from."""
    for sequence in env["ir.sequence"].search([]):
        assert sequence.next_by_id()
        assert all(one._next() for one in sequence.date_range_ids)
    for model in _stored(env):
        env.cr.execute("SELECT pg_get_serial_sequence(%s, 'id')", [f'public."{model._table}"'])
        (sequence,) = env.cr.fetchone()
        if sequence:
            env.cr.execute(
                f'SELECT COALESCE(max(t.id), 0), (SELECT last_value FROM {sequence}) FROM "{model._table}" t'
            )
            highest, last = env.cr.fetchone()
            assert highest <= last, model._table


MADE_BY_OTHERS = {"account.full.reconcile"}  # a copy alone is nothing that its model can make
SIMPLE = frozenset("boolean integer float monetary char text html date datetime selection many2one json binary".split())


def assert_usable(env, touched):
    """The ORM reads, writes and copies what was ``touched`` (table -> ids); what it refuses, it says in words.

    All stored fields are read, a value of each simple type is written back, and where a copy can be made it is. Where
    nothing of what was touched is there any more, others are copied, or one is made of the least there has to be.
    """
    for model in _stored(env):
        numbers = touched.get(model._table, ())
        there = model.browse(numbers).exists()[:SAMPLE]
        for record in there:
            _read_and_write(env, record)
        if numbers and model._name not in MADE_BY_OTHERS:
            others = there or model.with_context(active_test=False).search([], order="id desc", limit=SAMPLE)
            for record in others:
                _try(env, record.copy)
            if not others:
                _try(env, lambda model=model: model.create(_least(model)))


def _read_and_write(env, record):
    record.read([name for name, field in record._fields.items() if field.store])
    for values in _of_each_type(record):
        _try(env, lambda values=values: record.write(values))


def _least(model):
    """Return a value for each field that must have one and has none by itself."""
    least = {"char": "Health", "text": "Health", "html": "Health", "integer": 1, "float": 1.0, "monetary": 1.0}
    values = {}
    for name, field in model._fields.items():
        if field.required and field.store and not (field.compute or field.default):
            if field.type == "many2one":
                values[name] = model.env[field.comodel_name].search([], limit=1).id
            elif field.type == "selection":
                values[name] = field.get_values(model.env)[0]
            elif field.type in least:
                values[name] = least[field.type]
    return values


def _of_each_type(record):
    """Yield values that a record has already, one of each simple type that somebody may type in."""
    types = set()
    for name, field in record._fields.items():
        may_be = field.store and not field.readonly and (not field.compute or field.inverse)
        if may_be and field.type in SIMPLE - types and record[name]:
            types.add(field.type)
            yield {name: field.convert_to_write(record[name], record)}


def _try(env, work):
    """Do something and take it back. Rules of the application may refuse it; the database may not be broken."""
    broken = None
    with contextlib.suppress(UserError), env.cr.savepoint() as savepoint:
        try:
            work()
            env.flush_all()
        except psycopg2.IntegrityError as error:
            broken = error
        savepoint.rollback()
    env.invalidate_all(flush=False)
    assert not isinstance(broken, psycopg2.errors.ForeignKeyViolation), broken
    assert not ((broken and broken.diag.constraint_name) or "").endswith("_pkey"), broken

"""Whether a database is sound: nothing refers to what is not there, numbers come, the ORM works on what was touched."""

import contextlib

import psycopg2
from odoo.exceptions import UserError

SAMPLE = 3  # records of each model


def dangling(env):
    """Return {(table, column, number, what it names)} of references without a foreign key that lead nowhere.

    Odoo's own description of its fields is asked, not the journal's.
    """
    found = set()
    for model in _stored(env):
        for field in model._fields.values():
            if not field.store:
                continue
            if field.type == "many2one_reference":
                query = (
                    f'SELECT id, "{field.model_field}", "{field.name}" FROM "{model._table}" WHERE "{field.name}" > 0'
                )
            elif field.type == "reference":
                query = f"""
                    SELECT id, split_part("{field.name}", ',', 1), split_part("{field.name}", ',', 2)::integer
                    FROM "{model._table}" WHERE "{field.name}" LIKE '%%,%%'
                """
            elif field.type == "many2one" and field.company_dependent:
                query = f"""
                    SELECT t.id, '{field.comodel_name}', v.value::integer
                    FROM "{model._table}" t, jsonb_each_text(t."{field.name}") v WHERE v.value IS NOT NULL
                """
            else:
                continue
            found |= {(model._table, field.name, *row) for row in _leading_nowhere(env, query)}
    return found


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
    for model in _stored(env):
        env.cr.execute("SELECT pg_get_serial_sequence(%s, 'id')", [f'public."{model._table}"'])
        (sequence,) = env.cr.fetchone()
        if sequence:
            env.cr.execute(
                f'SELECT COALESCE(max(t.id), 0), (SELECT last_value FROM {sequence}) FROM "{model._table}" t'
            )
            highest, last = env.cr.fetchone()
            assert highest <= last, model._table


def assert_usable(env, touched):
    """The ORM reads and writes ``touched`` (table -> ids) and copies documents; what it refuses, it says in words."""
    for model in _stored(env):
        for record in model.browse(touched.get(model._table, ())).exists()[:SAMPLE]:
            record.read()
            _try(env, lambda record=record: _write_the_same(record))
            if "message_ids" in model._fields:  # what people make: technical rows need not be made alone
                _try(env, record.copy)


def _write_the_same(record):
    for name, field in record._fields.items():
        if field.store and field.type == "char" and not field.readonly and not field.compute and record[name]:
            record.write({name: record[name]})
            break


def _try(env, work):
    """Do something and take it back. Rules of the application may refuse it; the database may not be broken."""
    broken = None
    with contextlib.suppress(UserError), env.cr.savepoint() as savepoint:
        try:
            work()
            env.flush_all()
        except psycopg2.IntegrityError as error:
            broken = error.diag.constraint_name
        savepoint.rollback()
    env.invalidate_all(flush=False)
    assert not str(broken).endswith("_pkey"), broken

"""Whether a database is sound: nothing refers to what is not there, numbers come, the ORM works on what was touched."""

import contextlib

import psycopg2
import psycopg2.errors
from odoo.exceptions import UserError

SAMPLE = 3  # records of each model


def assert_sound(office, operations, nowhere):
    """Nothing leads nowhere but ``nowhere``, numbers come, and the ORM works on what the operations had touched."""
    with office.person() as env:
        assert dangling(env) <= nowhere
        assert_usable(env(su=True), _touched(env, operations))
        assert_numbers_come(env)
        env.cr.rollback()


def _touched(env, operations):
    from odoo.addons.loomworks_ai import journal

    touched = {}
    with env.cr._cnx.cursor() as own:
        for change in journal.changes(own, operations, limit=100_000):
            if "id" in change["key"]:
                touched.setdefault(change["table"], []).append(int(change["key"]["id"]))
    return touched


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
    """The ORM reads, writes and creates on each model of what was ``touched`` (table -> ids).

    All stored fields are read, and a value of each simple type is written back, which the application may refuse in
    words. A record is made of each model: a copy of what was touched, of others where nothing of that is there any
    more, one of the least there has to be, or one as ``MADE_WITH`` makes it.
    """
    for model in _stored(env):
        numbers = touched.get(model._table, ())
        there = model.browse(numbers).exists()[:SAMPLE]
        for record in there:
            _read_and_write(env, record)
        if numbers and model._name not in MADE_BY_OTHERS:
            others = there or model.with_context(active_test=False).search([], order="id desc", limit=SAMPLE)
            refusals = [_try(env, record.copy) for record in others]
            if all(refusals):
                assert_can_create(model, refusals)


def assert_can_create(model, refusals):
    """A record of the model can be made, although copies were refused."""
    makers = [lambda env: env[model._name].create(_least(model))]
    if model._name in MADE_WITH:
        makers.append(MADE_WITH[model._name])
    for maker in makers:
        refusals = [*refusals, _try(model.env, lambda maker=maker: maker(model.env))]
    assert not all(refusals), (model._name, refusals)


def _picking(env):
    product = env["product.product"].create({"name": "Health", "type": "consu", "is_storable": True})
    kind = env["stock.picking.type"].search([("code", "=", "outgoing")], limit=1)
    here, there = kind.warehouse_id.lot_stock_id, env.ref("stock.stock_location_customers")
    places = {"location_id": here.id, "location_dest_id": there.id}
    move = {"product_id": product.id, "product_uom_qty": 1, "product_uom": product.uom_id.id, **places}
    picking = env["stock.picking"].create({"picking_type_id": kind.id, **places, "move_ids": [(0, 0, move)]})
    env["stock.quant"]._update_available_quantity(product, here, 1)
    picking.action_confirm()
    picking.action_assign()
    return picking.move_line_ids.ensure_one()


def _sale(env):
    product, partner = env["product.product"].create({"name": "Health"}), env["res.partner"].create({"name": "Health"})
    return env["sale.order"].create({"partner_id": partner.id, "order_line": [(0, 0, {"product_id": product.id})]})


def _invoice(env):
    line = {"name": "Health", "quantity": 1, "price_unit": 1}
    partner = env["res.partner"].create({"name": "Health"})
    values = {"move_type": "out_invoice", "partner_id": partner.id, "invoice_line_ids": [(0, 0, line)]}
    return env["account.move"].create(values).line_ids


def _notification(env):
    partner = env["res.partner"].create({"name": "Health", "email": "health@example.test"})
    message = partner.message_post(body="Health")
    return env["mail.notification"].create({"mail_message_id": message.id, "res_partner_id": partner.id})


def _supplier(env):
    product, partner = env["product.template"].create({"name": "Health"}), env["res.partner"].create({"name": "Health"})
    return env["product.supplierinfo"].create({"partner_id": partner.id, "product_tmpl_id": product.id})


def _range(env):
    return env["ir.sequence"].create({"name": "Health", "use_date_range": True})._create_date_range_seq("2030-01-01")


# How a record comes to be whose copy would break a rule, and that the values it must have are not enough for.
MADE_WITH = {
    "account.move.line": _invoice,
    "hr.employee": lambda env: env["hr.employee"].create({"name": "Health"}),
    "ir.sequence.date_range": _range,
    "mail.notification": _notification,
    "product.supplierinfo": _supplier,
    "project.task.stage.personal": lambda env: env["project.task"].create(
        {"name": "Health", "user_ids": env.ref("base.user_admin").ids}
    ),
    "sale.order.line": _sale,
    "stock.move": _picking,
    "stock.move.line": _picking,
    "stock.picking": _picking,
    "stock.quant": _picking,
}


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
    """Do something, take it back, and return why it was refused, or nothing.

    Rules of the application may refuse it; the database may not be broken.
    """
    refusal = None
    with contextlib.suppress(UserError), env.cr.savepoint() as savepoint:
        try:
            work()
            env.flush_all()
        except (UserError, psycopg2.IntegrityError) as error:
            refusal = error
        savepoint.rollback()
    env.invalidate_all(flush=False)
    assert not isinstance(refusal, psycopg2.errors.ForeignKeyViolation), refusal
    if isinstance(refusal, psycopg2.IntegrityError):
        assert not (refusal.diag.constraint_name or "").endswith("_pkey"), refusal
    return refusal

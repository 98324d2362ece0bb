"""Put the triggers on the tables that lack them, and take them from those that should have none."""

from __future__ import annotations

import json

from psycopg2 import sql

from . import capture, catalog, images, schema
from .catalog import Table
from .sqltext import Constant, Cursor, Name, Part, compose, execute, rows, text, value

# Sorts before the triggers of foreign keys: a row's changes are written down in the order in which they were made.
TRIGGER = "00_loomworks_capture"
LISTED = """
    SELECT r.id, r.schema_name, r.table_name, r.shape, s.key, s.hidden, s.secret, s.columns,
           p.prosrc AS body, p.proconfig IS NOT NULL AS zoned
    FROM loomworks.relation r JOIN loomworks.shape s ON s.id = r.shape
    LEFT JOIN pg_catalog.pg_proc p
      ON p.proname = pg_catalog.concat('capture_', r.id)::name AND p.pronamespace = 'loomworks'::pg_catalog.regnamespace
"""
TRIGGERS = """
    SELECT t.tgrelid AS oid, p.proname AS function FROM pg_catalog.pg_trigger t
    JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
    WHERE t.tgname = '00_loomworks_capture' AND t.tgparentid = 0 AND t.tgenabled = 'O'
"""


def install(cr: Cursor) -> dict[str, int]:
    """Have every table captured that should be; to be called again whenever tables may have changed.

    Works out the difference from the catalog first: where there is none, no lock is taken and nothing is written.

    :return: how many triggers were ``made`` and ``dropped``, and how many tables have another ``shape`` than before
    """
    done = {"made": 0, "dropped": 0, "shape": 0}
    if not schema.exists(cr):
        execute(cr, "SELECT pg_catalog.pg_advisory_xact_lock(%s)", [schema.LOCK])
        if not schema.exists(cr):
            schema.create(cr)
    if not (any(_difference(cr)) or _dropped(cr)):
        return done
    execute(cr, "SELECT pg_catalog.pg_advisory_xact_lock(%s)", [schema.LOCK])
    reshaped, untriggered, gone = _difference(cr)
    h = schema.hstore(cr)
    for table in reshaped:
        _write_shape(cr, table, h)
    for table in untriggered:
        _make_trigger(cr, table)
    for name in gone:
        execute(cr, "DROP TRIGGER {trigger} ON {table}", trigger=Name(TRIGGER), table=name)
    execute(cr, "UPDATE loomworks.relation SET shape = NULL WHERE id = ANY(%s)", [_dropped(cr)])
    return {"made": len(untriggered), "dropped": len(gone), "shape": len(reshaped)}


def _dropped(cr: Cursor) -> list[int]:
    """Return the numbers of listed tables that are gone; none while an operation is captured: it may have done it."""
    return [] if capture.current(cr) else [row["id"] for row in rows(cr, capture.MISSING)]


def _difference(cr: Cursor) -> tuple[list[Table], list[Table], list[Part]]:
    """Return tables of another shape than listed, tables without trigger, and names that have one for nothing."""
    wanted = catalog.tables(cr)
    listed = {(row["schema_name"], row["table_name"]): row for row in rows(cr, LISTED)}
    triggers = {row["oid"]: row["function"] for row in rows(cr, TRIGGERS)}
    h = schema.hstore(cr)
    reshaped = [table for table in wanted if not _is_same(cr, table, listed.get((table.schema, table.name)), h)]
    untriggered = [
        table for table in wanted if triggers.get(table.oid) != _function_name(listed.get((table.schema, table.name)))
    ]
    spare = sorted(triggers.keys() - {table.oid for table in wanted})
    return reshaped, untriggered, [_name_of(cr, oid) for oid in spare]


def _is_same(cr: Cursor, table: Table, listed: dict | None, h: Part) -> bool:
    """Tell whether the table is as listed, and its function the one that would be made now: rules change, too."""
    return listed is not None and (
        listed["key"] == list(table.key)
        and listed["hidden"] == table.hidden
        and listed["secret"] == list(table.secret)
        and listed["columns"] == table.columns
        and listed["zoned"] == _is_zoned(table)
        and listed["body"] == text(cr, _body(table, listed["shape"], h))
    )


def _function_name(listed: dict | None) -> str:
    return f"capture_{listed['id']}" if listed else ""


def _name_of(cr: Cursor, oid: int) -> Part:
    query = """
        SELECT n.nspname AS schema_name, c.relname AS table_name
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %s
    """
    (row,) = rows(cr, query, [oid])
    return Name(row["schema_name"], row["table_name"])


def _write_shape(cr: Cursor, table: Table, h: Part) -> None:
    """List the table as it is now, and have its function write entries of this shape."""
    relation = value(
        cr,
        """
        INSERT INTO loomworks.relation (schema_name, table_name) VALUES (%s, %s)
        ON CONFLICT (schema_name, table_name) DO UPDATE SET table_name = EXCLUDED.table_name RETURNING id
        """,
        [table.schema, table.name],
    )
    shape = value(
        cr,
        """
        INSERT INTO loomworks.shape (relation, key, hidden, secret, columns) VALUES (%s, %s, %s, %s, %s) RETURNING id
        """,
        [relation, list(table.key), table.hidden, list(table.secret), json.dumps(table.columns)],
    )
    execute(cr, "UPDATE loomworks.relation SET shape = %s WHERE id = %s", [shape, relation])
    function = Name(schema.NAME, f"capture_{relation}")
    body = Constant(text(cr, _body(table, shape, h)))
    statement = "CREATE OR REPLACE FUNCTION {f}() RETURNS trigger LANGUAGE plpgsql {settings} AS {body}"
    # The text of a moment depends on the zone. Setting it takes its time, so only where there are such columns.
    settings = sql.SQL("SET timezone TO 'UTC'" if _is_zoned(table) else "")
    execute(cr, statement, f=function, body=body, settings=settings)


def _is_zoned(table: Table) -> bool:
    return any("with time zone" in kind or "tstz" in kind for kind in table.columns.values())


def _make_trigger(cr: Cursor, table: Table) -> None:
    relation = value(
        cr,
        "SELECT id FROM loomworks.relation WHERE schema_name = %s AND table_name = %s",
        [table.schema, table.name],
    )
    execute(
        cr,
        """
        CREATE OR REPLACE TRIGGER {trigger} AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW
        WHEN (pg_catalog.current_setting('loomworks.operation', true) OPERATOR(pg_catalog.<>) '')
        EXECUTE FUNCTION {function}()
        """,
        trigger=Name(TRIGGER),
        table=table.sql,
        function=Name(schema.NAME, f"capture_{relation}"),
    )


# One entry for each row changed, also where nothing is different: `end` compares their number with the server's count.
BODY = """
DECLARE
    o {h}.hstore;
    n {h}.hstore;
    s text[];
BEGIN
    IF TG_OP OPERATOR(pg_catalog.=) 'INSERT' THEN
        n := {h}.hstore(NEW);
        INSERT INTO loomworks.entry (operation, shape, action, new, secret)
        VALUES ({operation}, {shape}, 'I', {shown_n}, {secret_n});
    ELSIF TG_OP OPERATOR(pg_catalog.=) 'DELETE' THEN
        o := {h}.hstore(OLD);
        INSERT INTO loomworks.entry (operation, shape, action, old, secret)
        VALUES ({operation}, {shape}, 'D', {shown_o}, {secret_o});
    ELSE
        o := {h}.hstore(OLD);
        n := {h}.delete({h}.hstore(NEW), o);
        s := {changed_secrets};
        n := {shown_changes};
        IF n OPERATOR({h}.=) ''::{h}.hstore AND s IS NULL THEN
            INSERT INTO loomworks.entry (operation, shape, action, key) VALUES ({operation}, {shape}, 'N', {own_key});
        {moved}
        ELSE
            INSERT INTO loomworks.entry (operation, shape, action, key, old, new, secret)
            VALUES ({operation}, {shape}, 'U', {h}.slice(o, {key}), {h}.slice(o, {h}.akeys(n)), n, s);
        END IF;
    END IF;
    RETURN NULL;
END
"""
MOVED = """
        ELSIF {moved_if} THEN
            n := {h}.hstore(NEW);
            INSERT INTO loomworks.entry (operation, shape, action, old, new, secret)
            VALUES ({operation}, {shape}, 'K', {moved_o}, {moved_n}, s);
"""


def _body(table: Table, shape: int, h: Part) -> Part:
    """Return the body of the table's capturing function. Names and keys are constants in it, which makes it fast."""
    old, new = sql.SQL("o"), sql.SQL("n")
    # Before and after, where ``n`` is what is changed, or all of it.
    both = old, compose("{h}.hs_concat(o, n)", h=h)
    parts = {
        "h": h,
        "operation": sql.SQL("pg_catalog.current_setting('loomworks.operation')::bigint"),
        "shape": Constant(shape),
        "key": images.names(table.key),
        "shown_n": images.shown(table, new, h),
        "shown_changes": images.shown(table, new, h, *both),
        "shown_o": images.shown(table, old, h),
        "moved_n": images.shown(table, new, h, *both),
        "moved_o": images.shown(table, old, h, *both),
        "secret_n": images.filled_credentials(table, new, h),
        "secret_o": images.filled_credentials(table, old, h),
        "changed_secrets": images.credentials_in(table, new, h, *both),
    }
    parts["own_key"] = compose("{h}.slice(o, {key})", **parts) if table.key else parts["shown_o"]
    # A row without a key has no identity but its values: whatever changes them, moves it.
    moved_if = compose("{h}.exists_any(n, {key})", **parts) if table.key else sql.SQL("true")
    return compose(BODY, moved=compose(MOVED, moved_if=moved_if, **parts), **parts)


def uninstall(cr: Cursor) -> None:
    """Remove every trigger and the journal with all it holds. The extension stays where something else uses it."""
    if not schema.exists(cr):
        return
    for row in rows(cr, TRIGGERS):
        execute(cr, "DROP TRIGGER {trigger} ON {table}", trigger=Name(TRIGGER), table=_name_of(cr, row["oid"]))
    execute(cr, "DROP SCHEMA loomworks CASCADE")
    if value(cr, "SELECT true FROM pg_catalog.pg_namespace WHERE nspname = 'loomworks_hstore'"):
        _drop_extension(cr)


def _drop_extension(cr: Cursor) -> None:
    used = value(
        cr,
        """
        SELECT true FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        WHERE t.typname IN ('hstore', '_hstore') AND t.typnamespace = 'loomworks_hstore'::pg_catalog.regnamespace
          AND a.attnum > 0 AND NOT a.attisdropped AND a.attrelid NOT IN (
              SELECT objid FROM pg_catalog.pg_depend WHERE deptype = 'e' AND classid = 'pg_catalog.pg_class'::regclass)
        LIMIT 1
        """,
    )
    if not used:
        execute(cr, "DROP EXTENSION hstore")
        execute(cr, "DROP SCHEMA loomworks_hstore")

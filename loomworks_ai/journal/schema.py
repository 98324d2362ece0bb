"""The journal's own schema: its tables, and the months they are kept in."""

from __future__ import annotations

import psycopg2.errors

from .sqltext import Cursor, Name, Part, compose, execute, rows, value

NAME = "loomworks"
LOCK = 0x4C4F4F4D  # advisory: one installation at a time
MONTHS_AHEAD = 3
# For which agents wait at most behind the drop of a month that waits for one table. Less than `deadlock_timeout`, after
# which the server would end one of two that wait for each other, or its own vacuum.
LOCK_TIMEOUT = "500ms"

# `relation`: a table, by name: oids do not survive a dump. `shape`: what it looked like when it was captured.
TABLES = """
CREATE SCHEMA loomworks;
CREATE SEQUENCE loomworks.entry_seq;
CREATE TABLE loomworks.relation (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    schema_name text NOT NULL,
    table_name text NOT NULL,
    shape integer,
    UNIQUE (schema_name, table_name)
);
CREATE TABLE loomworks.shape (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    relation integer NOT NULL REFERENCES loomworks.relation ON DELETE CASCADE,
    key text[] NOT NULL,
    hidden text[] NOT NULL,
    secret text[] NOT NULL,
    columns jsonb NOT NULL
);
CREATE INDEX shape_relation ON loomworks.shape (relation);
CREATE TABLE loomworks.entry (
    seq bigint NOT NULL DEFAULT pg_catalog.nextval('loomworks.entry_seq'),
    at timestamptz NOT NULL DEFAULT pg_catalog.transaction_timestamp(),
    operation bigint NOT NULL,
    shape integer NOT NULL,
    action "char" NOT NULL,
    key {h}.hstore,
    old {h}.hstore,
    new {h}.hstore,
    secret text[]
) PARTITION BY RANGE (at);
CREATE INDEX entry_operation ON loomworks.entry (operation);
CREATE TABLE loomworks.transaction (
    at timestamptz NOT NULL DEFAULT pg_catalog.transaction_timestamp(),
    operation bigint NOT NULL,
    entries bigint NOT NULL,
    lsn pg_lsn,
    restore_only text
) PARTITION BY RANGE (at);
CREATE INDEX transaction_operation ON loomworks.transaction (operation);
CREATE TABLE loomworks.effect (
    at timestamptz NOT NULL DEFAULT pg_catalog.transaction_timestamp(),
    operation bigint NOT NULL,
    kind text NOT NULL,
    detail jsonb NOT NULL
) PARTITION BY RANGE (at);
CREATE INDEX effect_operation ON loomworks.effect (operation);
CREATE TABLE loomworks.sequence (
    at timestamptz NOT NULL DEFAULT pg_catalog.transaction_timestamp(),
    operation bigint NOT NULL,
    name text NOT NULL,
    next bigint NOT NULL
) PARTITION BY RANGE (at);
CREATE INDEX sequence_name ON loomworks.sequence (name);
CREATE FUNCTION loomworks.key_of(jsonb) RETURNS {h}.hstore LANGUAGE sql IMMUTABLE AS $$
    SELECT {h}.hstore(pg_catalog.array_agg(key), pg_catalog.array_agg(value)) FROM pg_catalog.jsonb_each_text($1)
$$;
CREATE FUNCTION loomworks.key_to_json({h}.hstore) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT {h}.hstore_to_jsonb($1)
$$;
CREATE AGGREGATE loomworks.merge({h}.hstore) (SFUNC = {h}.hs_concat, STYPE = {h}.hstore);
"""
PARTITIONED = ("entry", "transaction", "effect", "sequence")


def exists(cr: Cursor) -> bool:
    """Tell whether the journal is installed."""
    return bool(value(cr, "SELECT true FROM pg_namespace WHERE nspname = 'loomworks'"))


def hstore(cr: Cursor) -> Part:
    """Return the schema, quoted, in which the extension hstore is; it is made if there is none."""
    query = """
        SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
        WHERE e.extname = 'hstore'
    """
    found = value(cr, query)
    if not found:
        execute(cr, "CREATE SCHEMA IF NOT EXISTS loomworks_hstore")
        execute(cr, "CREATE EXTENSION hstore SCHEMA loomworks_hstore")
        found = "loomworks_hstore"
    return Name(found)


def create(cr: Cursor) -> None:
    """Make schema, tables and the first months."""
    execute(cr, compose(TABLES, h=hstore(cr)))
    ensure_months(cr)


def ensure_months(cr: Cursor, ahead: int = MONTHS_AHEAD) -> int:
    """Make the partitions of this month and of those ahead; return how many were missing."""
    query = """
        SELECT month::timestamp AS first, (month + interval '1 month')::timestamp AS last,
               to_char(month, '"_"YYYY_MM') AS suffix
        FROM generate_series(
            date_trunc('month', now() AT TIME ZONE 'UTC'),
            date_trunc('month', now() AT TIME ZONE 'UTC') + %s * interval '1 month',
            interval '1 month'
        ) AS month
    """
    months = rows(cr, query, [ahead])
    there = {row["name"] for row in rows(cr, PARTITIONS)}
    missing = [
        (parent, parent + month["suffix"], month)
        for parent in PARTITIONED
        for month in months
        if parent + month["suffix"] not in there
    ]
    for parent, name, month in missing:
        _make_month(cr, parent, name, month)
    return len(missing)


PARTITIONS = """
    SELECT p.relname AS parent, c.relname AS name,
           pg_get_expr(c.relpartbound, c.oid) AS bound
    FROM pg_inherits i
    JOIN pg_class p ON p.oid = i.inhparent
    JOIN pg_class c ON c.oid = i.inhrelid
    WHERE p.relnamespace = 'loomworks'::regnamespace AND p.relkind = 'p' AND c.relkind = 'r'
    ORDER BY 1, 2
"""


def _make_month(cr: Cursor, parent: str, name: str, month: dict) -> None:
    # Attached, not created as a partition: that takes the lighter lock of the two, so nobody waits for a new month.
    parts = {"child": Name(NAME, name), "parent": Name(NAME, parent)}
    execute(cr, "CREATE TABLE {child} (LIKE {parent} INCLUDING DEFAULTS INCLUDING INDEXES)", **parts)
    bounds = [f"{month[end]:%Y-%m-%d} 00:00:00+00" for end in ("first", "last")]
    execute(cr, "ALTER TABLE {parent} ATTACH PARTITION {child} FOR VALUES FROM (%s) TO (%s)", bounds, **parts)


def drop_months(cr: Cursor, before: str) -> list[str]:
    """Drop the partitions that end before the month ``before`` (``2026_03``); return their names.

    None while somebody reads the journal for longer than ``LOCK_TIMEOUT``: to be called again later.
    """
    old = [row["name"] for row in rows(cr, PARTITIONS) if row["name"].split("_", 1)[1] < before]
    if not old:
        return []
    waiting = value(cr, "SELECT current_setting('lock_timeout')")
    execute(cr, "SAVEPOINT loomworks_months")
    try:
        execute(cr, "SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
        _drop(cr, old)
        execute(cr, "SELECT set_config('lock_timeout', %s, true)", [waiting])
    except psycopg2.errors.LockNotAvailable:
        execute(cr, "ROLLBACK TO SAVEPOINT loomworks_months")
        old = []
    execute(cr, "RELEASE SAVEPOINT loomworks_months")
    return old


def _drop(cr: Cursor, names: list[str]) -> None:
    # Whoever is captured queues behind these locks. Entries are what they write first: this waits for them before it
    # holds anything that they would wait for.
    for parent in PARTITIONED:
        execute(cr, "LOCK TABLE ONLY {parent} IN ACCESS EXCLUSIVE MODE", parent=Name(NAME, parent))
    for name in names:
        execute(cr, "DROP TABLE {child}", child=Name(NAME, name))

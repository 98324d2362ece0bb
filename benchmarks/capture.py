"""Ways to write down an UPDATE of many rows, as ratios to the UPDATE alone, in one run.

Why docs/decisions/0013 has a trigger for each row: what its parts cost, what a peer's way costs (E-Maj writes the old
and the new row into a table like the captured one), and what a trigger for each statement would save, and cost people
who are not captured at all. Each result is one JSON object a line in ``build/bench/capture.jsonl``.
"""

import argparse
import os
import statistics
import time

import emaj
import psycopg2
from figures import Figures
from harness.dropping import drop_database
from psycopg2.extensions import make_dsn, parse_dsn

ROWS = 20_000
DATABASE = "loomworks_bench_capture"
# A table as wide as Odoo's are.
COLUMNS = ", ".join(
    [f"n{i} integer DEFAULT {i}" for i in range(14)]
    + [f"t{i} varchar DEFAULT 'some text {i}'" for i in range(12)]
    + [f"a{i} numeric DEFAULT 1.5" for i in range(4)]
    + ["d timestamp DEFAULT now()", 'j jsonb DEFAULT \'{"en_US": "Name"}\'']
)
SCHEMA = """
    CREATE SCHEMA h;
    CREATE EXTENSION hstore SCHEMA h;
    CREATE SEQUENCE seq;
    CREATE TABLE entry (seq bigint NOT NULL DEFAULT nextval('seq'), at timestamptz NOT NULL DEFAULT now(),
        operation bigint NOT NULL, shape int NOT NULL, action "char" NOT NULL,
        key h.hstore, old h.hstore, new h.hstore);
    CREATE INDEX ON entry (operation);
"""
HEAD = "INSERT INTO entry (operation, shape, action, key, old, new)"
NUMBER = "current_setting('bench.operation')::bigint, 1, 'U'"
# name -> body of a trigger for each row
ROW = {
    "empty": "BEGIN RETURN NULL; END",
    "insert_only": f"BEGIN {HEAD} VALUES ({NUMBER}, NULL, NULL, NULL); RETURN NULL; END",
    "images_only": "DECLARE o h.hstore; n h.hstore; BEGIN o := h.hstore(OLD); n := h.delete(h.hstore(NEW), o); "
    "RETURN NULL; END",
    "changed_columns": "DECLARE o h.hstore; n h.hstore; BEGIN o := h.hstore(OLD); n := h.delete(h.hstore(NEW), o); "
    f"{HEAD} VALUES ({NUMBER}, h.hstore('id', OLD.id::text), h.slice(o, h.akeys(n)), n); RETURN NULL; END",
}
PAIRED = f"""
    BEGIN
        {HEAD}
        SELECT {NUMBER}, h.hstore('id', id::text), %s FROM (
            SELECT o.id, o.image AS o, n.image AS n
            FROM (SELECT row_number() OVER () AS i, id, %s AS image FROM old_rows x) o
            JOIN (SELECT row_number() OVER () AS i, %s AS image FROM new_rows x) n USING (i) OFFSET 0
        ) paired;
        RETURN NULL;
    END
"""
KNOWN = "ARRAY[n1::text, t1::text, d::text]"
NAMED = "h.hstore('{n1,t1,d}'::text[], o), h.hstore('{n1,t1,d}'::text[], n)"
DELTA = "h.slice(o, h.akeys(h.delete(n, o))), h.delete(n, o)"
# name -> body of a trigger for each statement
STATEMENT = {
    "statement": PAIRED % (DELTA, "h.hstore(x)", "h.hstore(x)"),
    "statement_known_columns": PAIRED % (NAMED, KNOWN, KNOWN),
}
WHEN = "WHEN (current_setting('bench.operation', true) <> '')"


def main():
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    server = psycopg2.connect(os.environ["PG_URL"])
    server.autocommit = True
    with server.cursor() as admin:
        drop_database(admin, DATABASE)
        admin.execute(f"CREATE DATABASE {DATABASE} TEMPLATE template0")
        try:
            measure(make_dsn(**{**parse_dsn(os.environ["PG_URL"]), "dbname": DATABASE}), rounds)
        finally:
            drop_database(admin, DATABASE)


def measure(dsn, rounds):
    """Time each way in turn, ``rounds`` times, and write the medians."""
    connection = psycopg2.connect(dsn)
    with connection.cursor() as cr:
        set_up(cr)
        connection.commit()
        runs = [("none", "plain", False), ("row_idle", "row_changed_columns", False)]
        runs += [("statement_idle", "statement_known_columns", False), ("emaj", "emaj", True)]
        runs += [(f"row_{name}", f"row_{name}", True) for name in ROW]
        runs += [(name, name, True) for name in STATEMENT]
        seconds = {label: [] for label, _table, _captured in runs}
        for _round in range(rounds):
            for label, table, captured in runs:
                seconds[label].append(timed(cr, table, captured))
    connection.close()
    figures = Figures("capture")
    least = statistics.median(seconds["none"])
    for label, values in seconds.items():
        figures.add(label, statistics.median(values) / ROWS * 1e6, "us a row", statistics.median(values) / least)


def set_up(cr):
    """Make a table for each way."""
    cr.execute(SCHEMA)
    table(cr, "plain")
    for name, body in ROW.items():
        table(cr, f"row_{name}")
        cr.execute(f"CREATE FUNCTION f_row_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$")
        trigger(cr, f"row_{name}", "FOR EACH ROW")
    for name, body in STATEMENT.items():
        table(cr, name)
        cr.execute(f"CREATE FUNCTION f_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$")
        trigger(cr, name, "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT")
    table(cr, "emaj")
    emaj.make(cr, "emaj", WHEN)


def table(cr, name):
    """Make a filled table."""
    cr.execute(f"CREATE TABLE {name} (id serial PRIMARY KEY, {COLUMNS})")
    cr.execute(f"INSERT INTO {name} SELECT FROM generate_series(1, {ROWS})")


def trigger(cr, name, kind):
    """Make the trigger of a table."""
    cr.execute(f"CREATE TRIGGER capture AFTER UPDATE ON {name} {kind} {WHEN} EXECUTE FUNCTION f_{name}()")


def timed(cr, name, captured):
    """Change three columns of every row; return the seconds, commit included."""
    cr.execute("SET LOCAL bench.operation = %s", ["1" if captured else ""])
    began = time.perf_counter()
    cr.execute(f"UPDATE {name} SET n1 = n1 + 1, t1 = 'x' || n1, d = clock_timestamp()")
    cr.connection.commit()
    seconds = time.perf_counter() - began
    cr.execute("TRUNCATE entry, emaj_log")
    cr.connection.commit()
    cr.connection.autocommit = True
    cr.execute(f"VACUUM {name}")  # as autovacuum would at some time
    cr.connection.autocommit = False
    return seconds


if __name__ == "__main__":
    main()

"""PostgreSQL sequences behind Odoo's `ir.sequence`: made and dropped with its rows, which no trigger sees.

Odoo names them after the row, and after the range of dates where a sequence has those (odoo/addons/base/models/
ir_sequence.py). An undo makes and drops them likewise. One that comes back goes on where it stood.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg2 import sql

from .sqltext import Cursor, Name, compose, execute, rows, value

EXISTS = "SELECT to_regclass('public.' || quote_ident(%s)) IS NOT NULL"
# A number as Odoo writes it into a name: at least three digits.
DIGITS = "lpad({number}, greatest(3, length({number})), '0')"
# What the undo has just done to the rows, and what such a sequence has to be now.
CHANGED = """
    SELECT 'ir_sequence_' || {own} AS name, s.id IS NOT NULL AND s.implementation = 'standard' AS wanted,
           s.number_increment AS step, s.number_next AS next
    FROM loomworks_net n JOIN loomworks.relation r ON r.id = n.relation
    CROSS JOIN LATERAL (SELECT {h}.fetchval(n.key, 'id') AS id) o
    LEFT JOIN public.ir_sequence s ON s.id = o.id::integer
    WHERE r.schema_name = 'public' AND r.table_name = 'ir_sequence'
"""
# Ranges of dates: those that the undo has changed, and all of sequences that it has changed.
RANGES = """
    SELECT 'ir_sequence_' || {parent} || '_' || {own} AS name,
           d.id IS NOT NULL AND s.implementation = 'standard' AS wanted, s.number_increment AS step,
           d.number_next AS next
    FROM (
        SELECT {h}.fetchval(n.key, 'id') AS id, {h}.fetchval(n.expected, 'sequence_id') AS was_of
        FROM loomworks_net n JOIN loomworks.relation r ON r.id = n.relation
        WHERE r.schema_name = 'public' AND r.table_name = 'ir_sequence_date_range'
      UNION
        SELECT d.id::text, d.sequence_id::text
        FROM loomworks_net n JOIN loomworks.relation r ON r.id = n.relation
        JOIN public.ir_sequence_date_range d ON d.sequence_id = {h}.fetchval(n.key, 'id')::integer
        WHERE r.schema_name = 'public' AND r.table_name = 'ir_sequence'
    ) o
    LEFT JOIN public.ir_sequence_date_range d ON d.id = o.id::integer
    CROSS JOIN LATERAL (SELECT COALESCE(d.sequence_id::text, o.was_of) AS id) p
    LEFT JOIN public.ir_sequence s ON s.id = p.id::integer
    WHERE p.id IS NOT NULL
"""
# Where sequences stood before operations set or dropped them.
STOOD = """
    SELECT DISTINCT ON (name) name, next FROM loomworks.sequence WHERE operation = ANY(%s) ORDER BY name, at
"""


def remember(cr: Cursor, operation: int, names: Sequence[str]) -> None:
    """Keep where sequences stand that ``operation`` is about to drop, or to set to another number."""
    for name in names:
        if value(cr, EXISTS, [name]):
            execute(
                cr,
                """
                INSERT INTO loomworks.sequence (operation, name, next)
                SELECT %s, %s, at.next FROM ({standing}) at
                """,
                [operation, name, _quoted(name)],
                standing=_standing(name),
            )


def follow(cr: Cursor, h: sql.Composable, operations: Sequence[int], by: int) -> None:
    """Make and drop sequences as the rows ask for that the undo of ``operations`` has changed, as operation ``by``.

    What ``operations`` had set back goes on where it stood before them; none is set back itself: its numbers are taken.
    """
    if not value(cr, "SELECT to_regclass('public.ir_sequence_date_range') IS NOT NULL"):
        return
    own, parent = (compose(DIGITS, number=sql.SQL(name)) for name in ("o.id", "p.id"))
    for query in (CHANGED, RANGES):
        for row in rows(cr, query, h=h, own=own, parent=parent):
            _follow_row(cr, row, by)
    for row in rows(cr, STOOD, [list(operations)]):
        if value(cr, EXISTS, [row["name"]]):
            _forward(cr, row["name"], row["next"])


def _follow_row(cr: Cursor, row: dict, by: int) -> None:
    there = value(cr, EXISTS, [row["name"]])
    if row["wanted"] and there:
        _alter(cr, row)
    elif row["wanted"]:
        _create(cr, row)
    elif there:
        remember(cr, by, [row["name"]])
        execute(cr, "DROP SEQUENCE {name}", name=Name("public", row["name"]))


def _quoted(name: str) -> str:
    """Return the name of a sequence as a text that the server casts to it."""
    return 'public."{}"'.format(name.replace('"', '""'))


def _standing(name: str) -> sql.Composed:
    """Return the query for a sequence's step and its next number; its parameter is the name, quoted."""
    return compose(
        """
        SELECT s.seqincrement AS step,
               CASE WHEN q.is_called THEN q.last_value + s.seqincrement ELSE q.last_value END AS next
        FROM {sequence} q, pg_sequence s WHERE s.seqrelid = %s::regclass
        """,
        sequence=Name("public", name),
    )


def _forward(cr: Cursor, name: str, least: int) -> None:
    """Have a sequence go on with ``least``, where it is not there yet."""
    execute(cr, "ALTER SEQUENCE {name} NO CYCLE", name=Name("public", name))  # from now on nobody takes a number of it
    (now,) = rows(cr, _standing(name), [_quoted(name)])
    if (least - now["next"]) * now["step"] > 0:
        execute(cr, "ALTER SEQUENCE {name} RESTART WITH %s", [least], name=Name("public", name))


def _alter(cr: Cursor, row: dict) -> None:
    execute(cr, "ALTER SEQUENCE {name} INCREMENT BY %s", [row["step"]], name=Name("public", row["name"]))


def _create(cr: Cursor, row: dict) -> None:
    last = value(cr, "SELECT next FROM loomworks.sequence WHERE name = %s ORDER BY at DESC LIMIT 1", [row["name"]])
    execute(
        cr,
        "CREATE SEQUENCE {name} INCREMENT BY %s START WITH %s",
        [row["step"], row["next"] if last is None else last],
        name=Name("public", row["name"]),
    )

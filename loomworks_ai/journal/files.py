"""Files that the journal names: the rows of Odoo's attachments hold only their names."""

from __future__ import annotations

from collections.abc import Sequence

from . import schema
from .sqltext import Cursor, rows

NAMED = """
    SELECT DISTINCT f.name FROM loomworks.entry e
    JOIN loomworks.shape s ON s.id = e.shape JOIN loomworks.relation r ON r.id = s.relation
    CROSS JOIN LATERAL (VALUES ({h}.fetchval(e.old, 'store_fname')), ({h}.fetchval(e.new, 'store_fname'))) AS f(name)
    WHERE r.schema_name = 'public' AND r.table_name = 'ir_attachment' AND f.name IS NOT NULL
"""


def named(cr: Cursor, names: Sequence[str]) -> set[str]:
    """Return those of ``names`` (``ab/abcdef…``) that an undo may need."""
    if not names or not schema.exists(cr):
        return set()
    return {row["name"] for row in rows(cr, NAMED + " AND f.name = ANY(%s)", [list(names)], h=schema.hstore(cr))}


def forgotten(cr: Cursor, before: str) -> set[str]:
    """Return the names that go with the months before ``before`` (``2026_03``)."""
    query = NAMED + " AND e.at < to_date(%s, 'YYYY_MM')::timestamp AT TIME ZONE 'UTC'"
    return {row["name"] for row in rows(cr, query, [before], h=schema.hstore(cr))}

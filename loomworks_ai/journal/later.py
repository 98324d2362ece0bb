"""Which later operation has caused a conflict: of agents' changes the journal knows, of people's it does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from . import schema
from .sqltext import Cursor, compose, rows

LOOKED_AT = 100_000  # entries, the newest of those that came later
OVERLAPPING = 100  # operations with numbers that much lower may have gone on writing after a higher one
# Whose key, which columns and what value a conflict is about, and what must have been done to the row.
SUBJECTS = """
    SELECT c.number, r.id AS relation, loomworks.key_of(one.key) AS key, c.columns, loomworks.key_of(c.now) AS now,
           CASE c.type WHEN 'deleted' THEN 'DK' WHEN 'key_taken' THEN 'IK' ELSE 'IUK' END AS acts,
           c.type = 'between' AS between
    FROM jsonb_to_recordset(%(conflicts)s::jsonb)
        AS c(number integer, type text, "table" text, keys jsonb, columns text[], now jsonb)
    JOIN loomworks.relation r
      ON c."table" = CASE r.schema_name WHEN 'public' THEN r.table_name ELSE r.schema_name || '.' || r.table_name END
    CROSS JOIN LATERAL jsonb_array_elements(c.keys) AS one(key)
"""
LATER = """
    WITH subject AS MATERIALIZED ({subjects}),
    own AS MATERIALIZED (
        SELECT min(seq) AS first, max(seq) AS last FROM loomworks.entry WHERE operation = ANY(%(operations)s)
    ),
    newest AS MATERIALIZED (
        SELECT e.seq, e.operation, e.shape, e.action, e.key, e.old, e.new FROM loomworks.entry e
        WHERE e.operation > %(after)s ORDER BY e.operation DESC LIMIT %(looked_at)s
    )
    SELECT s.number, (array_agg(e.operation ORDER BY e.seq DESC))[1] AS operation
    FROM newest e JOIN own ON e.seq > own.first
    JOIN loomworks.shape sh ON sh.id = e.shape
    CROSS JOIN LATERAL (
        SELECT COALESCE(e.key, {h}.slice(COALESCE(e.new, e.old), sh.key)) AS key
      UNION
        SELECT {h}.slice(e.old, sh.key) WHERE e.action = 'K'
    ) had
    JOIN subject s ON s.relation = sh.relation AND s.key OPERATOR({h}.=) had.key
    WHERE e.operation <> ALL(%(operations)s) AND strpos(s.acts, e.action::text) > 0
      AND (NOT s.between OR e.seq < own.last)
      AND (s.columns IS NULL OR s.columns = '{{*}}' OR e.action = 'D' OR {h}.exists_any(e.new, s.columns))
      AND (s.now IS NULL OR {h}.delete({h}.slice(e.new, s.columns), s.now) OPERATOR({h}.<>) {h}.slice(e.new, s.columns))
    GROUP BY s.number
"""


def causes(cr: Cursor, operations: Sequence[int], conflicts: Sequence[dict[str, Any]]) -> list[int | None]:
    """Return for each conflict of an undo of ``operations`` the last operation that has caused it, or None."""
    asked = [{"number": number, **_subject(one)} for number, one in enumerate(conflicts)]
    asked = [one for one in asked if one["keys"]]
    if not asked:
        return [None] * len(conflicts)
    parameters = {
        "operations": list(operations),
        "after": min(operations) - OVERLAPPING,
        "looked_at": LOOKED_AT,
        "conflicts": json.dumps(asked),
    }
    h = schema.hstore(cr)
    found = {row["number"]: row["operation"] for row in rows(cr, LATER, parameters, subjects=compose(SUBJECTS), h=h)}
    return [found.get(number) for number in range(len(conflicts))]


def _subject(conflict: dict[str, Any]) -> dict[str, Any]:
    """Return the rows in question: those of the conflict, or what stands against it."""
    kind, detail = conflict["type"], conflict["detail"] or {}
    subject = {"type": kind, "table": conflict["table"], "keys": [], "columns": None, "now": None}
    if kind == "changed" and "now" in detail:  # of credentials it is not known
        return {**subject, "keys": [conflict["key"]], "columns": conflict["columns"], "now": detail["now"]}
    if kind == "between":
        return {**subject, "keys": [conflict["key"]], "columns": conflict["columns"]}
    if kind in ("deleted", "key_taken"):
        return {**subject, "keys": [conflict["key"]]}
    if kind == "unique" and "by" in detail:
        return {**subject, "keys": [detail["by"]], "columns": conflict["columns"]}
    if kind == "depended":
        return {**subject, "table": detail["table"], "keys": detail["keys"], "columns": detail["columns"]}
    return subject

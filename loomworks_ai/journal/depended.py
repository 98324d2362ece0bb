"""Rows outside of an undo that refer to a row which it would delete, by a foreign key or by Odoo's own references."""

from __future__ import annotations

import json
from collections.abc import Sequence

from .catalog import Table
from .images import key_of
from .scope import Relation, Scope
from .sqltext import Cursor, Part, execute

INSERT = "INSERT INTO loomworks_conflict (relation, key, type, columns, detail) "
FIND = """
    SELECT n.relation, n.key, 'depended', NULL, %(detail)s::jsonb || jsonb_build_object(
        'rows', count(*), 'keys', (array_agg({h}.hstore_to_jsonb({key})))[1:10])
    FROM loomworks_net n JOIN {table} r ON {match}
    WHERE n.relation = %(referenced)s AND n.act = 'D' AND NOT EXISTS (
        SELECT FROM loomworks_net m WHERE m.relation = %(relation)s AND m.key OPERATOR({h}.=) {key}
          AND (m.act = 'D' OR {h}.exists_any(m.target, %(columns)s)))
    GROUP BY n.relation, n.key
"""


def find(
    cr: Cursor, scope: Scope, referenced: Relation, table: Table, columns: Sequence[str], match: Part, **detail: str
) -> None:
    """Add a conflict for each row ``n`` of ``referenced`` that rows ``r`` of ``table`` refer to, by ``match``."""
    parameters = {
        "detail": json.dumps({"table": table.label, **detail}),
        "referenced": referenced.id,
        "relation": scope.numbers.get(table.oid),
        "columns": list(columns),
    }
    execute(cr, INSERT + FIND, parameters, table=table.only, match=match, key=key_of(table, "r", scope.h), h=scope.h)

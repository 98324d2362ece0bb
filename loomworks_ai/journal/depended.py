"""Rows outside of an undo that refer to a row which it would delete, by a foreign key or by Odoo's own references."""

from __future__ import annotations

import json
from collections.abc import Sequence

from .catalog import Table
from .images import key_of
from .scope import Scope
from .sqltext import Cursor, Part, execute

INSERT = "INSERT INTO loomworks_conflict (relation, key, type, columns, detail) "
FIND = """
    SELECT n.relation, n.key, 'depended', NULL, %(detail)s::jsonb || jsonb_build_object(
        'rows', count(*), 'keys', (array_agg({h}.hstore_to_jsonb({key})))[1:10])
    FROM {deleted} JOIN {table} r ON {match}
    WHERE n.act = 'D' AND NOT EXISTS (
        SELECT FROM loomworks_net m WHERE m.relation = %(relation)s AND m.key OPERATOR({h}.=) {key}
          AND (m.act = 'D' OR {h}.exists_any(m.target, %(columns)s)))
    GROUP BY n.relation, n.key
"""


def find(
    cr: Cursor, scope: Scope, deleted: Part, table: Table, columns: Sequence[str], match: Part, **detail: str
) -> None:
    """Add a conflict for each row that would be deleted and that rows ``r`` of ``table`` refer to, by ``match``.

    :param deleted: the FROM item with the rows ``n`` of ``loomworks_net`` in question
    """
    parameters = {
        "detail": json.dumps({"table": table.label, "columns": list(columns), **detail}),
        "relation": scope.structure.numbers.get(table.oid),
        "columns": list(columns),
    }
    execute(
        cr,
        INSERT + FIND,
        parameters,
        deleted=deleted,
        table=table.only,
        match=match,
        key=key_of(table, "r", scope.h),
        h=scope.h,
    )

"""Where an undo meets what others did since. Each check adds rows to ``pg_temp.loomworks_conflict``.

=========== ============================================================================ ==================
type        meaning                                                                      choices
=========== ============================================================================ ==================
changed     a column that the operation changed has changed again                        theirs, ours, skip
between     somebody changed it between two of the operations                            theirs, ours, skip
deleted     the row is gone, or has another key now                                      skip
key_taken   a row with the key of the one to be inserted again is there, another one     skip
depended    rows that came later refer to the row that would be deleted                  skip, ours
unique      the value to be restored is another row's now                                skip
parent      what the restored value refers to is gone, or goes with the undo             skip
protected   the row must not be rewritten                                                skip
schema      the column is gone or has another type now, or the table is gone             skip, theirs
secret      the operation changed a credential, which the journal does not hold          skip
computed    a column that the caller computes anew, or that says who wrote it last or    recompute
            whether it was delivered, has changed again
=========== ============================================================================ ==================

``skip`` leaves the row as it is; ``theirs`` leaves the columns in question; ``ours`` takes the operation back anyway
(for ``depended``: with the rows that depend on it, where the foreign key would delete or empty them anyhow).
"""

from __future__ import annotations

from collections.abc import Collection

from . import comparison, constraints, keyless, rules
from .comparison import TABLE_GONE, Computed
from .scope import Scope
from .sqltext import Cursor, execute, value

CHOICES = {
    "changed": ("theirs", "ours", "skip"),
    "between": ("theirs", "ours", "skip"),
    "deleted": ("skip",),
    "key_taken": ("skip",),
    "depended": ("skip", "ours"),
    "unique": ("skip",),
    "parent": ("skip",),
    "protected": ("skip",),
    "schema": ("skip", "theirs"),
    "secret": ("skip",),
    "computed": ("recompute",),
}
CREATE = """
    CREATE TEMPORARY TABLE IF NOT EXISTS loomworks_conflict (
        relation integer NOT NULL, key {h}.hstore NOT NULL, type text NOT NULL,
        columns text[], detail jsonb, choice text
    ) ON COMMIT DROP
"""
CASCADING = frozenset({"c", "n", "d"})  # fates of a referring row that let the other one go


def choices(kind: str, detail: dict | None, table: str, columns: Collection[str]) -> list[str]:
    """Return what may be chosen for a conflict.

    What restricts a deletion cannot be overruled, and no number that others took since is given once more.
    """
    detail = detail or {}
    if kind in ("changed", "between") and rules.counts(table, columns):
        return ["theirs", "skip"]
    if kind == "depended" and detail.get("on_delete") not in CASCADING:
        return ["skip"]
    return ["skip"] if detail.get("reason") == TABLE_GONE else list(CHOICES[kind])


def find(cr: Cursor, scope: Scope, computed: Computed) -> int:
    """Look for conflicts of what is in ``loomworks_net``; return how many there are.

    Not for those over `Scope.minded_keys`: see `find_minded`.
    """
    execute(cr, CREATE, h=scope.h)
    execute(cr, "TRUNCATE pg_temp.loomworks_conflict")
    comparison.structure(cr, scope)
    comparison.credentials(cr, scope)
    for relation in scope.present():
        if comparison.values(cr, scope, relation):
            kept = rules.bookkeeping(relation.table.schema, relation.table.name)
            comparison.computed(cr, scope, relation, sorted(kept.union(computed.get(relation.label, ()))))
        constraints.protected(cr, scope, relation)
    comparison.copies(cr, scope)
    for key in scope.foreign_keys:
        if not key.minded:
            constraints.dependants(cr, scope, key)
        constraints.parents(cr, scope, key)
    for reference in scope.references:
        keyless.dependants(cr, scope, reference)
        keyless.parents(cr, scope, reference)
    for index in scope.unique_indexes:
        constraints.unique(cr, scope, index)
    return value(cr, "SELECT count(*) FROM loomworks_conflict")


def find_minded(cr: Cursor, scope: Scope) -> int:
    """Look besides for what depends on rows that would be deleted; return how many conflicts there are in all.

    Where the server has done what is meant, and no more, there is none: it would have refused, or counted more.
    """
    for key in scope.minded_keys():
        constraints.dependants(cr, scope, key)
    return value(cr, "SELECT count(*) FROM loomworks_conflict")

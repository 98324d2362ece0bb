"""Undo and preview: collect, lock, look for conflicts, decide, invert, compare what was touched with what was meant."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg2
import psycopg2.errors

from . import capture, comparison, conflicts, decisions, inverse, later, net, schema, scope, sequences
from .comparison import Computed
from .names import callers_path
from .sqltext import Cursor, Name, Part, execute, rows
from .structure import Structure

ROUNDS = 50  # each may bring new dependants to light; a chain of references deeper than that is refused
PREVIEW = -1  # the operation under which a preview is captured and rolled back
# Values are read as they were written; images of tens of thousands of rows are worked on in memory.
SETTINGS = {"TimeZone": "UTC", "work_mem": "32MB"}
REFUSALS = (
    psycopg2.IntegrityError,
    psycopg2.DataError,
    psycopg2.errors.RaiseException,  # by a trigger of the table
    psycopg2.errors.GeneratedAlways,  # a column that is computed by the database by now
)
LISTED = 200  # conflicts named in a report; all are counted

Report = dict[str, Any]
Choices = Mapping[tuple[str, Any], str]


@dataclass(frozen=True)
class Terms:
    """What the caller has chosen: see `undo`."""

    policy: str
    choices: dict[tuple[str, str], str]  # the keys as JSON
    only: list[tuple[str, Any]] | None
    computed: Computed
    undone_by: list[int]


def _terms(
    on_conflict: str = "refuse",
    choices: Choices | None = None,
    only: Iterable[tuple[str, Any]] | None = None,
    computed: Computed | None = None,
    undone_by: Iterable[int] = (),
) -> Terms:
    decided = {(table, _json(key)): choice for (table, key), choice in (choices or {}).items()}
    others = [int(operation) for operation in undone_by]
    return Terms(on_conflict, decided, None if only is None else list(only), computed or {}, others)


class Refused(Exception):
    """Why nothing was changed."""


class Unmeant(Refused):
    """The undo would not do what is meant, or more."""

    def __init__(self, unmeant: inverse.Unmeant) -> None:
        super().__init__("what would be touched is not what is meant: " + "; ".join(unmeant.reasons))
        self.rows = unmeant.rows


class NeedsPrimary(psycopg2.errors.ReadOnlySqlTransaction):
    """The connection only reads: it is to a replica, or its transaction was declared so. To be tried on the primary."""


def require_writing(cr: Cursor) -> None:
    """Raise where this connection only reads, before anything is done.

    :raises NeedsPrimary: which callers that try read-only errors again on the primary, take for one
    """
    (row,) = rows(cr, "SELECT current_setting('transaction_read_only') = 'on' AS reads, pg_is_in_recovery() AS replica")
    if row["reads"]:
        where = "this is a replica" if row["replica"] else "this transaction only reads"
        raise NeedsPrimary(f"an undo, and its preview, needs the primary server and a transaction that writes: {where}")


def undo(
    cr: Cursor,
    operation_ids: Sequence[int],
    *,
    by: int,
    **choices: Any,
) -> Report:
    """Take back what the operations changed, as operation ``by``; all of it, or nothing.

    :param on_conflict: what to do about every conflict: ``refuse`` the undo, ``skip`` the row, leave ``theirs``, or
        take back ``ours`` all the same
    :param choices: (table, key) -> one of these, for single rows; a key is its value, or a dict of its columns
    :param only: (table, key) of the rows to take back; all of them by default
    :param computed: table -> columns that the caller computes from others: where they have changed again they are left
        as they are, and named in ``recompute``
    :param undone_by: operations that have taken back parts of these since, with those that have taken back parts of
        them: only what is left is taken back
    :return: ``done``, ``refused`` (why, or None), ``rows`` (table -> restored, inserted, deleted), ``conflicts``
        (type, table, key, columns, detail, the later ``operation`` that has caused it if the journal knows one,
        choices, choice), ``effects`` (what has left the system), ``skipped``,
        ``touched`` (rows), ``gone`` (rows that were to be deleted and already are), ``back``
        (rows that were to be inserted and are there already, equal), ``recompute`` (table -> column ->
        keys), ``unmeant`` (table and key of rows that would not become what they were)
    :raises psycopg2.OperationalError: when the server ends the transaction (serialization, deadlock, timeout)
    :raises NeedsPrimary: on a connection that only reads; nothing was done
    """
    require_writing(cr)
    own = capture.current(cr)
    if own not in (None, by):
        raise ValueError(f"operation {own} is being captured in this transaction, not {by}")
    if own is None:
        capture.begin(cr, by)
    report = _run(cr, operation_ids, by, _terms(**choices))
    if own is None:
        capture.end(cr)
    return report


def preview(
    cr: Cursor,
    operation_ids: Sequence[int],
    *,
    meanwhile: Callable[[Report], None] | None = None,
    **choices: Any,
) -> Report:
    """Report what `undo` would do: the same run, rolled back.

    :param meanwhile: called with the report, on this connection, where it would be done and before it is rolled back;
        may raise. `changes` of the operation ``PREVIEW`` tells there what it does
    :raises NeedsPrimary: on a connection that only reads: the run writes like an undo
    """
    require_writing(cr)
    before = capture.before_savepoint(cr)
    execute(cr, "SAVEPOINT loomworks_preview")
    try:
        capture.switch_on(cr, PREVIEW)
        report = _run(cr, operation_ids, PREVIEW, _terms(**choices))
        if meanwhile and report["done"]:
            with callers_path(cr):
                meanwhile(report)
    except psycopg2.OperationalError:
        raise  # the transaction is over
    except BaseException:
        _roll_back(cr, "loomworks_preview", before)
        raise
    _roll_back(cr, "loomworks_preview", before)
    execute(cr, "RELEASE SAVEPOINT loomworks_preview")
    return {**report, "done": False}


def _roll_back(cr: Cursor, savepoint: str, before: capture.Counts | None) -> None:
    execute(cr, "ROLLBACK TO SAVEPOINT {savepoint}", savepoint=Name(savepoint))
    capture.taken_back(cr, before)


def _run(cr: Cursor, operations: Sequence[int], by: int, terms: Terms) -> Report:
    operations = [int(operation) for operation in operations]
    report: Report = {
        "operations": operations,
        "by": by,
        "done": False,
        "refused": None,
        "rows": {},
        "conflicts": [],
        "effects": effects(cr, operations),
        "skipped": [],
        "touched": 0,
        "gone": 0,
        "back": 0,
        "recompute": {},
        "unmeant": [],
    }
    settings = rows(cr, "SELECT name, current_setting(name) AS value FROM unnest(%s) AS name", [list(SETTINGS)])
    before = capture.before_savepoint(cr)
    execute(cr, "SAVEPOINT loomworks_undo")
    try:
        _set(cr, SETTINGS)
        _work(cr, operations, by, terms, report, capture.counted(cr) if before is None else before)
        report["done"] = True
        _set(cr, {one["name"]: one["value"] for one in settings})
    except Refused as refusal:
        report["refused"] = str(refusal)
        _roll_back(cr, "loomworks_undo", before)
    except REFUSALS as error:
        _roll_back(cr, "loomworks_undo", before)
        report["refused"] = f"the database does not take it: {error.diag.message_primary}"
        report["conflicts"].append(_as_conflict(error))
    execute(cr, "RELEASE SAVEPOINT loomworks_undo")
    return report


def _set(cr: Cursor, settings: Mapping[str, str]) -> None:
    """Have settings of the server be so to the end of the transaction."""
    for name, wanted in settings.items():
        execute(cr, "SELECT set_config(%s, %s, true)", [name, wanted])


def _work(cr: Cursor, operations: list[int], by: int, terms: Terms, report: Report, counted: capture.Counts) -> None:
    every = [*operations, *terms.undone_by]
    known = net.held(cr, every)
    reasons = net.unverified(cr, every, known)
    if reasons:
        raise Refused("; ".join(reasons))
    h = schema.hstore(cr)
    if terms.undone_by:
        net.collect_rest(cr, operations, terms.undone_by, known, terms.computed, h)
    else:
        net.collect(cr, operations, known, h)
    if terms.only is not None:
        _note_computed(cr, terms.computed, report)
        _keep_only(cr, terms.only, h)
    structure = Structure(cr)
    for _round in range(ROUNDS):
        seen = scope.read(cr, h, known.shapes, structure)
        if _round_of(cr, seen, by, terms, report, counted):
            sequences.follow(cr, h, operations, by)
            report["touched"] = sum(sum(acts.values()) for acts in report["rows"].values())
            return
    raise Refused("rows that depend on each other are nested too deep")


def _round_of(cr: Cursor, seen: scope.Scope, by: int, terms: Terms, report: Report, counted: capture.Counts) -> bool:
    """Do it, or settle the conflicts that stand in the way, or raise; tell whether it is done.

    What depends by foreign keys on rows that go, which is most of what there is to look for, is looked for only where
    the server has refused them or done more than was meant.
    """
    missing = comparison.lock(cr, seen)
    report["gone"] += comparison.forget_gone(cr, seen, missing)
    report["back"] += comparison.forget_back(cr, seen)
    failed = None
    if not conflicts.find(cr, seen, terms.computed):
        meant = net.totals(cr)
        report["rows"] = _by_label(seen, meant)
        failed = _attempt(cr, seen, by, meant, counted)
        if failed is None:
            return True
    if not conflicts.find_minded(cr, seen):
        report["unmeant"] = getattr(failed, "rows", [])
        raise failed
    _settle(cr, seen, terms, report)
    return False


def _attempt(cr: Cursor, seen: scope.Scope, by: int, meant: net.Totals, counted: capture.Counts) -> Exception | None:
    """Apply it; return what speaks against it, with nothing changed then, or None."""
    execute(cr, "SAVEPOINT loomworks_attempt")
    try:
        unmeant = inverse.apply(cr, seen, by, meant, counted)
        failed = Unmeant(unmeant) if unmeant.reasons else None
    except REFUSALS as error:
        failed = error
    if failed:
        _roll_back(cr, "loomworks_attempt", counted)
    execute(cr, "RELEASE SAVEPOINT loomworks_attempt")
    return failed


def _settle(cr: Cursor, seen: scope.Scope, terms: Terms, report: Report) -> None:
    """Do about each conflict what was chosen."""
    undecided = decisions.choose(cr, seen, terms.policy, terms.choices)
    found = _conflicts(cr, [*report["operations"], *terms.undone_by])
    if undecided:
        report["conflicts"] = [*report["conflicts"], *found]
        report["rows"] = _by_label(seen, net.totals(cr))
        raise Refused(f"{undecided} conflict{'s' if undecided > 1 else ''} with what was done since")
    _note_recompute(cr, report)
    left = "SELECT EXISTS (SELECT FROM loomworks_conflict WHERE choice IN ('skip', 'theirs')) AS some"
    if terms.only is None and not report["skipped"] and rows(cr, left)[0]["some"]:
        _note_computed(cr, terms.computed, report)  # once: later rounds have no more of these rows
    report["conflicts"] += found
    report["skipped"] += [
        {"table": one["table"], "key": one["key"], "type": one["type"]}
        for one in found
        if one["choice"] in ("skip", "theirs")
    ]
    decisions.apply(cr, seen)


def _note_recompute(cr: Cursor, report: Report) -> None:
    query = """
        SELECT CASE r.schema_name WHEN 'public' THEN r.table_name ELSE r.schema_name || '.' || r.table_name END
               AS label, name, jsonb_agg(loomworks.key_to_json(c.key)) AS keys
        FROM loomworks_conflict c JOIN loomworks.relation r ON r.id = c.relation
        CROSS JOIN LATERAL unnest(c.columns) AS name
        WHERE c.type = 'computed' GROUP BY 1, 2
    """
    for row in rows(cr, query):
        report["recompute"].setdefault(row["label"], {}).setdefault(row["name"], []).extend(row["keys"])


def _note_computed(cr: Cursor, computed: Computed, report: Report) -> None:
    """Have all that follows from others computed anew: of these, some come back and some stay as they are."""
    query = """
        SELECT r.table_name AS label, name, jsonb_agg(loomworks.key_to_json(n.key)) AS keys
        FROM loomworks_net n JOIN loomworks.relation r ON r.id = n.relation
        CROSS JOIN LATERAL unnest({h}.akeys(n.target)) AS name
        WHERE r.schema_name = 'public' AND n.act IN ('U', 'I') AND r.table_name = %s AND name = ANY(%s) GROUP BY 1, 2
    """
    tables = "SELECT DISTINCT table_name FROM loomworks_net JOIN loomworks.relation r ON r.id = relation"
    for found in rows(cr, tables):
        names = sorted(computed.get(found["table_name"], ()))
        for row in rows(cr, query, [found["table_name"], names], h=schema.hstore(cr)) if names else ():
            report["recompute"].setdefault(row["label"], {}).setdefault(row["name"], []).extend(row["keys"])


def _keep_only(cr: Cursor, only: Iterable[tuple[str, Any]], h: Part) -> None:
    kept = json.dumps([{"table": table, "key": json.loads(_json(key))} for table, key in only])
    execute(
        cr,
        """
        DELETE FROM loomworks_net n USING loomworks.relation r
        WHERE r.id = n.relation AND NOT EXISTS (
            SELECT FROM jsonb_to_recordset(%s::jsonb) AS kept("table" text, key jsonb)
            WHERE kept."table" IN (r.table_name, r.schema_name || '.' || r.table_name)
              AND loomworks.key_of(kept.key) OPERATOR({h}.=) n.key)
        """,
        [kept],
        h=h,
    )


def _json(key: Any) -> str:
    return json.dumps(key if isinstance(key, Mapping) else {"id": key})


def _by_label(seen: scope.Scope, meant: net.Totals) -> dict[str, dict[str, int]]:
    """Return what is meant, as reports have it: table -> rows to be restored, inserted and deleted."""
    labels = sorted((one.label, one.id) for one in seen.relations)
    return {label: meant[relation] for label, relation in labels if relation in meant}


def _conflicts(cr: Cursor, operations: Sequence[int]) -> list[dict[str, Any]]:
    query = """
        SELECT c.type, CASE r.schema_name WHEN 'public' THEN r.table_name ELSE r.schema_name || '.' || r.table_name END
               AS table, loomworks.key_to_json(c.key) AS key, c.columns, c.detail, c.choice
        FROM loomworks_conflict c JOIN loomworks.relation r ON r.id = c.relation
        WHERE c.type <> 'computed' ORDER BY 2, 1, 3::text LIMIT %s
    """
    found = rows(cr, query, [LISTED])
    return [
        {
            **one,
            "operation": operation,
            "choices": conflicts.choices(one["type"], one["detail"], one["table"], one["columns"] or ()),
        }
        for one, operation in zip(found, later.causes(cr, operations, found), strict=True)
    ]


def _as_conflict(error: psycopg2.Error) -> dict[str, Any]:
    """Return what a constraint has refused as a conflict; a check before should have named it more precisely."""
    kind = "unique" if isinstance(error, psycopg2.errors.UniqueViolation) else "refused"
    detail = {"constraint": error.diag.constraint_name, "reason": error.diag.message_primary}
    return {
        "type": kind,
        "table": error.diag.table_name,
        "key": None,
        "columns": None,
        "detail": detail,
        "operation": None,
        "choice": None,
        "choices": [],
    }


def effects(cr: Cursor, operations: Sequence[int]) -> list[dict[str, Any]]:
    """Return what the operations have sent out of the system and no undo brings back."""
    query = "SELECT operation, kind, detail FROM loomworks.effect WHERE operation = ANY(%s) ORDER BY at, kind"
    return rows(cr, query, [list(operations)])

"""The list of operations: rows of ``loomworks_ai_operation_log``, written by SQL in the transactions they are about."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import psycopg2

from .. import journal
from .operation import Call, Effect, Outcome

_logger = logging.getLogger(__name__)

ADD = """
    INSERT INTO public.loomworks_ai_operation_log (
        id, session_id, agent_id, user_id, tool_name, operation_type, model_name, method_name, record_ids, state,
        error_message, execution_time_ms, row_changes, lsn, timeline, undoes, partly, undone, started_at)
    VALUES (
        COALESCE(%(number)s, nextval('public.loomworks_ai_operation_log_id_seq')), %(session)s, %(agent)s, %(user)s,
        %(tool)s, %(kind)s, %(model)s, %(method)s, %(records)s, %(state)s, %(message)s, %(milliseconds)s, %(entries)s,
        %(lsn)s, %(timeline)s, %(undoes)s, %(partly)s, false,
        (clock_timestamp() - %(milliseconds)s * interval '1 millisecond') AT TIME ZONE 'UTC')
    RETURNING id
"""
UPDATE = """
    UPDATE public.loomworks_ai_operation_log
    SET state = %(state)s, error_message = %(message)s, execution_time_ms = %(milliseconds)s, row_changes = %(entries)s,
        record_ids = %(records)s
    WHERE id = %(number)s AND state IN ('pending', 'done', 'failed', 'restore_only') RETURNING id
"""
TODAY = """
    SELECT count(*) FROM public.loomworks_ai_operation_log
    WHERE agent_id = user_id AND (state <> 'failed' OR row_changes > 0) AND operation_type NOT IN ('undo', 'redo')
      AND started_at >= date_trunc('day', now() AT TIME ZONE 'UTC')
"""
LIMIT = "SELECT value FROM public.ir_config_parameter WHERE key = 'loomworks.max_ai_operations_daily'"
LIMITING = 0x4C4F4F4D, 1  # advisory: between the count and the commit of one operation at a time
MESSAGE = 10_000  # characters of an error that are kept
RECORDS = 10_000  # numbers of records that are kept


class DatabaseLog:
    """The list in one database."""

    def __init__(
        self,
        cursor: Callable[[], AbstractContextManager[Any]],
        refuse: Callable[[int], None],
    ) -> None:
        """Write to the list.

        :param cursor: opens a cursor in a transaction of its own, committed at the end of its block
        :param refuse: raises because this many operations have been done today, which is the limit
        """
        self._cursor = cursor
        self._refuse = refuse
        self._limit = 0  # operations a day; 0: any number

    def allow(self, cr: Any, call: Call) -> None:
        """Let through what is within the day's limit. Undoing is always allowed, and so is what people do.

        Others that are under way may use the limit up meanwhile: see `admit`.
        """
        if not _is_counted(call):
            return
        cr.execute(LIMIT)
        limit = (cr.fetchone() or ["0"])[0] or "0"
        self._limit = int(limit) if limit.isdigit() else 0
        if self._limit:
            self._count(cr)

    def admit(self, cr: Any, call: Call) -> None:
        """Look again, just before the commit in which the operation is listed: the last one of a day is taken once.

        The transaction of ``cr`` sees what was there when it began. So the count is another one's, and whoever else is
        about to be listed waits until this commit, which comes at once.
        """
        if self._limit and _is_counted(call):
            cr.execute("SELECT pg_advisory_xact_lock(%s, %s)", LIMITING)
            with self._cursor() as fresh:
                self._count(fresh)

    def _count(self, cr: Any) -> None:
        cr.execute(TODAY)
        if cr.fetchone()[0] >= self._limit:
            self._refuse(self._limit)

    def add(self, cr: Any, outcome: Outcome) -> int:
        """Write the operation's row in the transaction of ``cr``; return its number."""
        cr.execute(ADD, _values(cr, outcome))
        return cr.fetchone()[0]

    def separately(self, outcome: Outcome, effects: Sequence[Effect], *, listed: bool) -> None:
        """Write the row, or bring it up to date, in a transaction of its own. What fails here is logged only."""
        try:
            with self._cursor() as cr:
                cr.execute("SET LOCAL lock_timeout = '2s'")
                number = outcome.number
                if listed:
                    cr.execute(UPDATE, _values(cr, outcome))
                else:
                    number = self.add(cr, outcome)
                for kind, detail in effects:
                    journal.add_effect(cr, number, kind, detail)
        except psycopg2.Error:
            _logger.exception("operation %s could not be listed as %s", outcome.number, outcome.state)


def _is_counted(call: Call) -> bool:
    return call.agent_id == call.user_id and call.kind not in ("undo", "redo")


def _records(cr: Any, outcome: Outcome) -> list[int]:
    """Return the records that the operation is about: those it was called on, or else those of its model it made."""
    call = outcome.call
    if call.record_ids or not (call.table and outcome.number and outcome.entries):
        return list(call.record_ids)[:RECORDS]
    return journal.created(cr, outcome.number, call.table, RECORDS)


def _values(cr: Any, outcome: Outcome) -> dict[str, Any]:
    call = outcome.call
    return {
        "number": outcome.number,
        "session": call.session or None,
        "agent": call.agent_id,
        "user": call.user_id,
        "tool": call.tool,
        "kind": call.kind,
        "model": call.model or None,
        "method": call.method or None,
        "records": json.dumps(_records(cr, outcome)),
        "state": outcome.state,
        "message": outcome.message[:MESSAGE] or None,
        "milliseconds": outcome.milliseconds,
        "entries": outcome.entries,
        "lsn": outcome.lsn or None,
        "timeline": outcome.timeline or None,
        "undoes": json.dumps(list(outcome.undoes)) if outcome.undoes else None,
        "partly": outcome.partly,
    }

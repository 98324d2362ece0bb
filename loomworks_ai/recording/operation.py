"""An operation: what one request writes, from its first writing statement to its end."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from .. import journal

# Statements after which nothing has changed: they cost an operation nothing. All others begin its capture.
READING = frozenset("SELECT SHOW FETCH MOVE CLOSE DECLARE EXPLAIN SAVEPOINT RELEASE SET RESET LISTEN UNLISTEN".split())
FIRST_WORD = re.compile(r"\s*(\w+)")
WRITING_WORD = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE)\b", re.IGNORECASE)
NUMBER = "SELECT nextval('public.loomworks_ai_operation_log_id_seq')"
POSITION = """
    SELECT pg_current_wal_insert_lsn()::text AS lsn,
           ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::integer AS timeline
"""


@dataclass(frozen=True)
class Call:
    """What was asked for, by whom and how."""

    user_id: int
    agent_id: int | None = None
    session: str = ""
    tool: str = ""
    model: str = ""
    table: str = ""  # the model's, where it has one
    method: str = ""
    record_ids: tuple[int, ...] = ()  # those it was called on
    kind: str = "method"


@dataclass(frozen=True)
class Outcome:
    """What the log is told of an operation: enough for a row, or for bringing an earlier row up to date."""

    number: int | None
    call: Call
    state: str  # pending, done, failed, restore_only
    message: str
    entries: int
    milliseconds: int
    lsn: str
    timeline: int
    undoes: tuple[int, ...]
    partly: bool  # it has undone a part of them only


Effect = tuple[str, dict]  # kind (mail, sms, request, cron), and what is to be said of it


class Log(Protocol):
    """Where operations are listed, and who allows them."""

    def allow(self, cr: Any, call: Call) -> None:
        """Raise where this call may write nothing, before it has written anything."""

    def admit(self, cr: Any, call: Call) -> None:
        """Raise where it may not be committed, just before it is, in the transaction of ``cr``."""

    def add(self, cr: Any, outcome: Outcome) -> int:
        """Write the operation's row in the transaction of ``cr``; return its number."""

    def separately(self, outcome: Outcome, effects: Sequence[Effect], *, listed: bool) -> None:
        """Write the row, or bring it up to date, in a transaction of its own."""


@dataclass
class _Transaction:
    """One connection's current transaction. What it holds counts when it is committed."""

    missed: Sequence[str] = ()  # tables in which rows had been changed before it was captured
    armed: bool = True
    rolled_back: bool = False  # a savepoint was
    entries: int = 0
    reason: str = ""
    lists: str = ""  # the state in the row that it writes
    effects: int = 0


@dataclass
class Operation:
    """One request. `before`, `committing`, `committed` and `rolled_back` are called by every cursor that it uses."""

    database: str
    call: Call
    log: Log
    undoes: tuple[int, ...] = ()
    partly: bool = False
    number: int | None = None
    answered: bool = False  # the request's work is done: the commit that follows is its last
    closed: bool = False
    _state: str = ""  # as listed
    _entries: int = 0
    _listed_entries: int = 0
    _reason: str = ""
    _lsn: str = ""
    _timeline: int = 0
    _positioned: bool = False  # whether that is just before the first change
    _started: float = field(default_factory=time.monotonic)
    _transactions: dict[int, _Transaction] = field(default_factory=dict)
    _effects: list[Effect] = field(default_factory=list)
    _begun: dict[int, list[Effect]] = field(default_factory=dict)  # by connection: come true with its commit

    # --- what cursors tell ---

    def before(self, connection: Any, statement: Any) -> None:
        """See to it that what ``statement`` changes will be written down."""
        word, code = _first_word(statement)
        if word == "ROLLBACK":  # to a savepoint: the setting may have been made below it
            self._savepoint_rolled_back(connection)
        elif _may_write(word, code):
            self.arm(connection)

    def arm(self, connection: Any) -> int | None:
        """Capture what this connection changes from now on; return the operation's number, if it has one."""
        transaction = self._transactions.get(id(connection))
        if connection.readonly or (transaction and transaction.armed):
            return self.number
        with connection.cursor() as cr:
            if transaction:
                journal.resume(cr, self.number)
                transaction.armed = True
            else:
                missed = journal.overlooked(cr)
                self._take_number(cr)
                journal.begin(cr, self.number)
                self._transactions[id(connection)] = _Transaction(missed)
        return self.number

    def committing(self, connection: Any, *, alone: bool = True) -> None:
        """End the capture of this transaction, and list the operation with it if it has changed anything, or undone.

        :param alone: nobody but this operation uses this transaction
        """
        if connection.readonly:
            return
        with connection.cursor() as cr:
            transaction = self._ended(cr, self._transactions.get(id(connection)), alone)
            if not transaction:
                return
            self._transactions[id(connection)] = transaction
            self._effects += self._begun.pop(id(connection), [])
            if transaction.entries or transaction.reason or self.undoes:
                self._list(cr, transaction)

    def committed(self, connection: Any) -> None:
        """Count what `committing` has written: it is there for good."""
        transaction = self._transactions.pop(id(connection), None)
        if transaction:
            self._entries += transaction.entries
            self._reason = self._reason or transaction.reason
            del self._effects[: transaction.effects]
            if transaction.lists:
                self._state, self._listed_entries = transaction.lists, self._entries

    def rolled_back(self, connection: Any) -> None:
        """Forget a transaction that came to nothing, and what would have happened with its commit."""
        self._transactions.pop(id(connection), None)
        self._begun.pop(id(connection), None)
        if not self._state:  # of an undo: another try may be refused
            self.undoes, self.partly = (), False
        # Where nothing of it is kept, its first change is yet to come, behind whatever others commit meanwhile.
        self._positioned = bool(self._state or self._transactions)

    # --- what the request tells ---

    def note(self, kind: str, **detail: Any) -> None:
        """Take note of something that leaves the system and that no undo brings back."""
        self._effects.append((kind, detail))
        if self.closed:
            self._list_separately(self._outcome())

    def note_at_commit(self, connection: Any, kind: str, **detail: Any) -> None:
        """Take note of something that leaves the system if this connection's transaction is committed."""
        self._begun.setdefault(id(connection), []).append((kind, detail))

    def finish(self) -> None:
        """Bring the list up to date: the request is over, and its last commit done."""
        self.closed = True
        outcome = self._outcome()
        listed = (self._state, self._listed_entries)
        if self._effects or (self._state and listed != (outcome.state, outcome.entries)):
            self._list_separately(outcome)

    def fail(self, message: str, *, quietly: bool = False) -> None:
        """List the operation as failed.

        :param quietly: not if it has tried no change and left no effect: a read that failed
        """
        if self.closed:
            return
        self.closed = True
        self._transactions.clear()
        if self.number or self._effects or not quietly:
            self._list_separately(replace(self._outcome(), state="failed", message=message))

    # ---

    def _take_number(self, cr: Any) -> None:
        if self.number is None:
            self.log.allow(cr, self.call)
            cr.execute(NUMBER)
            (self.number,) = cr.fetchone()
        if not self._positioned:
            cr.execute(POSITION)
            self._lsn, self._timeline = cr.fetchone()
            self._positioned = True

    def _savepoint_rolled_back(self, connection: Any) -> None:
        transaction = self._transactions.get(id(connection))
        if transaction:
            transaction.armed = False
            transaction.rolled_back = True

    def _ended(self, cr: Any, transaction: _Transaction | None, alone: bool) -> _Transaction | None:
        if transaction:
            if not transaction.armed:
                journal.resume(cr, self.number)
            ended = journal.end(cr, savepoints_rolled_back=transaction.rolled_back)
            transaction.entries, transaction.reason = ended["entries"], ended["restore_only"] or ""
            missed = transaction.missed if alone else ()
        else:
            missed = journal.overlooked(cr) if alone else ()
        if missed:
            transaction = transaction or _Transaction()
            self._take_number(cr)
            reason = f"changed by a function of the database before the capture began: {', '.join(missed)}"
            journal.mark_restore_only(cr, self.number, reason)
            transaction.reason = transaction.reason or reason
        return transaction

    def _list(self, cr: Any, transaction: _Transaction) -> None:
        if not self._state:
            self.log.admit(cr, self.call)
        for kind, detail in self._effects:
            journal.add_effect(cr, self.number, kind, detail)
        transaction.effects = len(self._effects)
        if not self._state:
            outcome = self._outcome(transaction)
            transaction.lists = outcome.state if self.answered else "pending"
            self.log.add(cr, replace(outcome, state=transaction.lists))

    def _list_separately(self, outcome: Outcome) -> None:
        effects, self._effects = self._effects, []
        self.log.separately(outcome, effects, listed=bool(self._state))
        self._state, self._listed_entries = outcome.state, outcome.entries

    def _outcome(self, transaction: _Transaction | None = None) -> Outcome:
        entries, reason = (transaction.entries, transaction.reason) if transaction else (0, "")
        reason = self._reason or reason
        return Outcome(
            number=self.number,
            call=self.call,
            state="restore_only" if reason else "done",
            message=reason,
            entries=self._entries + entries,
            milliseconds=int((time.monotonic() - self._started) * 1000),
            lsn=self._lsn,
            timeline=self._timeline,
            undoes=self.undoes,
            partly=self.partly,
        )


def _may_write(word: str, code: str) -> bool:
    """Tell whether a statement that begins so may change rows; several in one may."""
    if ";" in code.rstrip("; \n"):
        return True
    if word in {"WITH", "EXPLAIN"}:
        return bool(WRITING_WORD.search(code))
    return word not in READING


def _first_word(statement: Any) -> tuple[str, str]:
    """Return the first word of a statement, in capitals, and its text; nothing where it is composed."""
    code = getattr(statement, "code", statement)  # Odoo's own SQL object has its text there
    if isinstance(code, bytes):
        code = code.decode("utf-8", "replace")
    found = FIRST_WORD.match(code) if isinstance(code, str) else None
    return (found.group(1).upper(), code) if found else ("", "")

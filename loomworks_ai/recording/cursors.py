"""Have Odoo's cursors tell the operation that is under way what they are about to do."""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .operation import Operation

# What a cursor passes on to the driver's cursor without `execute`.
PAST_EXECUTE = frozenset({"copy_from", "copy_expert", "executemany", "callproc"})

_within: contextvars.ContextVar[Operation | None] = contextvars.ContextVar("loomworks_operation", default=None)

OfRequest = Callable[[], "Operation | None"]


def current(cursor: Any, of_request: OfRequest) -> Operation | None:
    """Return the operation that what this cursor does belongs to, or None."""
    operation = under_way(of_request)
    return None if operation is None or operation.closed or operation.database != cursor.dbname else operation


def under_way(of_request: OfRequest) -> Operation | None:
    """Return the operation of this block or of the current request; it may have been closed."""
    return _within.get() or of_request()


@contextmanager
def within(operation: Operation) -> Iterator[Operation]:
    """Have the cursors used in this block tell ``operation``, whatever request there is."""
    token = _within.set(operation)
    try:
        yield operation
    finally:
        _within.reset(token)


def activate(cursor_class: Any, of_request: OfRequest) -> None:
    """Wrap the methods of Odoo's cursors, once in a process. Without an operation they do what they did.

    :param of_request: returns the operation of the current request, or None
    """
    if _first_time(cursor_class):
        _wrap_statements(cursor_class, of_request)
        _wrap_ends(cursor_class, of_request, alone=True)


def activate_shared(cursor_class: Any, of_request: OfRequest) -> None:
    """Wrap cursors that stand on another cursor and share its transaction with others."""
    if _first_time(cursor_class):
        _wrap_ends(cursor_class, of_request, alone=False)


def _first_time(cursor_class: Any) -> bool:
    first = not getattr(cursor_class, "_loomworks_tells", False)
    cursor_class._loomworks_tells = True
    return first


def _wrap_statements(cls: Any, of_request: OfRequest) -> None:
    execute, getattribute = cls.execute, cls.__getattr__

    @functools.wraps(execute)
    def telling_execute(self: Any, query: Any, *args: Any, **kwargs: Any) -> None:
        operation = current(self, of_request)
        if operation is not None:
            operation.before(self._cnx, query)
        return execute(self, query, *args, **kwargs)

    @functools.wraps(getattribute)
    def telling_getattr(self: Any, name: str) -> Any:
        if name in PAST_EXECUTE:
            operation = current(self, of_request)
            if operation is not None:
                operation.arm(self._cnx)
        return getattribute(self, name)

    cls.execute = telling_execute
    cls.__getattr__ = telling_getattr


def _wrap_ends(cls: Any, of_request: OfRequest, *, alone: bool) -> None:
    commit, rollback = cls.commit, cls.rollback

    @functools.wraps(commit)
    def telling_commit(self: Any) -> None:
        operation = current(self, of_request)
        if operation is None:
            commit(self)
            return
        self.flush()  # the last changes are the operation's, too
        operation.committing(self._cnx, alone=alone)
        committed = functools.partial(operation.committed, self._cnx)
        self.postcommit._funcs.appendleft(committed)  # before the others: they may go on with the operation
        commit(self)
        committed()  # a test's cursor forgets its callbacks

    @functools.wraps(rollback)
    def telling_rollback(self: Any) -> None:
        operation = current(self, of_request)
        if operation is not None:
            operation.rolled_back(self._cnx)
        rollback(self)

    cls.commit, cls.rollback = telling_commit, telling_rollback

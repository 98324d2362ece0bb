"""What names in SQL mean: the server's own things in the journal's statements, the caller's in triggers of tables.

Functions and operators are looked up along ``search_path``, and one that fits its arguments better is taken wherever it
is found there. So the journal's statements are read with a path of their own. Triggers, checks and defaults of tables
that an undo writes to run with the caller's, as they do for everybody.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from psycopg2.extensions import TRANSACTION_STATUS_INTRANS

from .sqltext import Cursor, execute

Result = TypeVar("Result")
OWN = "pg_catalog, pg_temp"
ENTER = """
    SELECT pg_catalog.set_config('loomworks.search_path', pg_catalog.current_setting('search_path'), true),
           pg_catalog.set_config('search_path', %s, true)
"""
# As an expression: what a statement does after it has come to this runs with the caller's path.
CALLERS = "set_config('search_path', current_setting('loomworks.search_path'), true)"


def plain(function: Callable[..., Result]) -> Callable[..., Result]:
    """Have the names in a function's statements be the server's own; its first argument is the cursor."""

    @functools.wraps(function)
    def plain_function(cr: Cursor, *args: Any, **kwargs: Any) -> Result:
        with _own_path(cr):
            return function(cr, *args, **kwargs)

    return plain_function


@contextmanager
def _own_path(cr: Cursor) -> Iterator[None]:
    execute(cr, ENTER, [OWN])
    try:
        yield
    finally:
        if cr.connection.info.transaction_status == TRANSACTION_STATUS_INTRANS:  # else its end has done so
            execute(cr, f"SELECT pg_catalog.{CALLERS.replace('current_', 'pg_catalog.current_')}")


@contextmanager
def callers_path(cr: Cursor) -> Iterator[None]:
    """Have the names in this block be the caller's."""
    execute(cr, f"SELECT pg_catalog.{CALLERS.replace('current_', 'pg_catalog.current_')}")
    yield
    execute(cr, "SELECT pg_catalog.set_config('search_path', %s, true)", [OWN])


@contextmanager
def callers_path_meanwhile(cr: Cursor) -> Iterator[None]:
    """Have a statement in this block, which evaluates `CALLERS`, leave the path as it was."""
    yield
    execute(cr, "SELECT pg_catalog.set_config('search_path', %s, true)", [OWN])

"""Compose and run SQL: every name from a database goes through an identifier, every value through a parameter.

A percent sign stands for a parameter wherever psycopg2 is given some. `execute` always gives some, so those in names
and values are doubled here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg2 import sql

Part = sql.Composable
Cursor = Any  # a psycopg2 cursor of any row type


class Name(sql.Identifier):
    """A quoted name; with several parts, a qualified one."""

    def as_string(self, context: Any) -> str:
        """Return the SQL."""
        return super().as_string(context).replace("%", "%%")


class Constant(sql.Literal):
    """A quoted value."""

    def as_string(self, context: Any) -> str:
        """Return the SQL."""
        return super().as_string(context).replace("%", "%%")


def as_written(text: str) -> sql.SQL:
    """Return SQL as the server has it in its catalog: an expression of an index, a type."""
    return sql.SQL(text.replace("%", "%%"))


def compose(template: str, **parts: Part) -> sql.Composed:
    """Return ``template`` with its ``{names}`` replaced by ``parts``."""
    return sql.SQL(template).format(**parts)


def execute(cr: Cursor, template: str | Part, parameters: Sequence[Any] | None = None, **parts: Part) -> int:
    """Run one statement; return the number of rows it touched."""
    statement = compose(template, **parts) if isinstance(template, str) else template
    cr.execute(statement, () if parameters is None else parameters)
    return cr.rowcount


def rows(
    cr: Cursor, template: str | Part, parameters: Sequence[Any] | None = None, **parts: Part
) -> list[dict[str, Any]]:
    """Run a query; return its rows as dicts, whatever kind of rows the cursor makes."""
    execute(cr, template, parameters, **parts)
    names = [column[0] for column in cr.description]
    return [dict(row) if hasattr(row, "keys") else dict(zip(names, row, strict=True)) for row in cr.fetchall()]


def value(cr: Cursor, template: str | Part, parameters: Sequence[Any] | None = None, **parts: Part) -> Any:
    """Run a query; return the one value of its first row, or None."""
    found = rows(cr, template, parameters, **parts)
    return next(iter(found[0].values())) if found else None


def columns(names: Sequence[str], prefix: str = "") -> Part:
    """Return names as a list of quoted identifiers, each after ``prefix`` (an alias)."""
    quoted = [Name(prefix, name) if prefix else Name(name) for name in names]
    return sql.SQL(", ").join(quoted)


def text(cr: Cursor, part: Part) -> str:
    """Return ``part`` as the text that the server would get."""
    return part.as_string(cr.connection if hasattr(cr, "connection") else cr).replace("%%", "%")

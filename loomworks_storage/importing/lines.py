"""A list of tenants to bring in, as a table with a line each: all of it is looked at before anything is done.

The first line names the columns ``name``, ``subdomain``, ``plan`` and ``source``, in any order. It may name ``dump``
(when that is not in the source), ``files`` and ``bytes`` (how many there have to be), too; others are passed over.
Columns are separated by commas, semicolons or tabs, as spreadsheets write them.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from .errors import ListUnreadable

COLUMNS = ("name", "subdomain", "plan", "source")
NUMBERS = ("files", "bytes")
ALL = (*COLUMNS, "dump", *NUMBERS)  # the last ones need not be there
MOST_LINES = 1000
LONGEST_NAME = 128  # characters of a tenant's name

_SUBDOMAIN = re.compile(r"[a-z][a-z0-9-]{1,61}[a-z0-9]")
_SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@+=-]*(/[A-Za-z0-9][A-Za-z0-9 ._@+=-]*)*/?")


@dataclass(frozen=True)
class Line:
    """One tenant to bring in, and what is wrong with it; ``number`` is that of the line in the file."""

    number: int
    name: str
    subdomain: str
    plan: str
    source: str  # a folder or an archive, below the place that all sources are in
    dump: str = ""  # below that place, too; empty: it is in the source
    files: int = 0  # how many there have to be; 0: nobody says
    bytes: int = 0  # of all of them
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Known:
    """What lines are compared with: what there is, and how often the list itself names something."""

    plans: frozenset[str]
    taken: frozenset[str]
    reserved: frozenset[str]
    counts: dict[str, Counter[str]]


def read(
    data: bytes, plans: Collection[str], taken: Collection[str] = (), reserved: Collection[str] = ()
) -> list[Line]:
    """Return the lines of a file, each with its problems; one line's problems say nothing of the others.

    :param plans: the names that there are
    :param taken: subdomains of tenants that there are
    :param reserved: subdomains that no tenant gets
    :raises ListUnreadable: when it is no such table at all
    """
    rows = list(_rows(data))
    if not rows:
        raise ListUnreadable("the list has no line beside its first one")
    if len(rows) > MOST_LINES:
        raise ListUnreadable(f"the list has more than {MOST_LINES} lines", "Cut it into several.")
    counts = {column: Counter(row[column].casefold() for _, row in rows) for column in ("subdomain", "source")}
    known = Known(frozenset(plans), frozenset(taken), frozenset(reserved), counts)
    return [
        Line(
            number,
            **{**row, **{name: _number(row[name]) or 0 for name in NUMBERS}},
            problems=tuple(_problems(row, known)),
        )
        for number, row in rows
    ]


def check_place(name: str) -> None:
    """Be sure that a name stays below the place that all sources are in.

    :raises ListUnreadable: when it may not
    """
    if not _SOURCE.fullmatch(name):
        raise ListUnreadable(f"“{name}” is no folder or archive below the place of sources")


def bare(name: str) -> str:
    """Return the name of a source without slashes at its end, as a folder's may have: one source has one name."""
    return name.rstrip("/") or name


def _rows(data: bytes) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield number and cells of each line that is not empty."""
    reader = csv.DictReader(io.StringIO(_text(data), newline=""), dialect=_dialect(data), strict=True)
    try:
        named = {(name or "").strip().casefold(): name for name in reader.fieldnames or ()}
        if missing := [column for column in COLUMNS if column not in named]:
            raise ListUnreadable(
                f"the list's first line does not name {', '.join(missing)}",
                f"Have it name the columns {', '.join(COLUMNS)}.",
            )
        for row in reader:
            cells = {column: (row[named[column]] or "").strip() if column in named else "" for column in ALL}
            if any(cells.values()):
                yield reader.line_num, {**cells, "source": bare(cells["source"])}
    except csv.Error as error:
        raise ListUnreadable(f"line {reader.line_num} of the list cannot be read: {error}") from error


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ListUnreadable("the list is not UTF-8", "Have the spreadsheet save it as “CSV UTF-8”.") from error


def _dialect(data: bytes) -> type[csv.Dialect]:
    first = data.split(b"\n", 1)[0]

    class Found(csv.excel):
        delimiter = max(",;\t", key=lambda one: first.count(one.encode()))

    return Found


def _problems(row: dict[str, str], known: Known) -> Iterator[str]:
    """Yield what is wrong with one line, in words."""
    if not row["name"]:
        yield "it has no name"
    elif len(row["name"]) > LONGEST_NAME or not row["name"].isprintable():
        yield f"its name has more than {LONGEST_NAME} characters, or some that cannot be printed"
    yield from _subdomain_problems(row["subdomain"], known)
    if row["plan"] not in known.plans:
        yield f"there is no plan “{row['plan']}”"
    if not _SOURCE.fullmatch(row["source"]):
        yield f"“{row['source']}” is no folder or archive below the place of sources"
    elif known.counts["source"][row["source"].casefold()] > 1:
        yield f"the source “{row['source']}” is in several lines"
    yield from _content_problems(row)


def _content_problems(row: dict[str, str]) -> Iterator[str]:
    if row["dump"] and not _SOURCE.fullmatch(row["dump"]):
        yield f"“{row['dump']}” is no dump below the place of sources"
    for name in NUMBERS:
        if _number(row[name]) is None:
            yield f"“{row[name]}” is no number of {name}"


def _number(text: str) -> int | None:
    """Return a number as spreadsheets write it; 0 for none given, None for what is no number."""
    text = text.replace(" ", "").replace("\u00a0", "")
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 16 else None if text else 0


def _subdomain_problems(subdomain: str, known: Known) -> Iterator[str]:
    if not _SUBDOMAIN.fullmatch(subdomain):
        yield f"“{subdomain}” is no subdomain: 3 to 63 small letters, digits and hyphens, letter first, no hyphen last"
    elif subdomain in known.reserved:
        yield f"the subdomain “{subdomain}” is reserved"
    elif subdomain in known.taken:
        yield f"the subdomain “{subdomain}” is another tenant's"
    elif known.counts["subdomain"][subdomain] > 1:
        yield f"the subdomain “{subdomain}” is in several lines"

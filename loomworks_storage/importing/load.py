r"""Load a dump into an empty database, as the role that owns it: a dump is a stranger's program.

A plain dump is read by ``psql``, whose own commands could start programs here (``\!``) or read files. They are
switched off by ``\restrict`` with a word that the dump cannot know (PostgreSQL 17.6 and later; an older ``psql``
refuses to begin).
"""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

from .away import is_away
from .errors import DatabaseAway, DumpRefused
from .source import DumpKind

BLOCK = 1024 * 1024  # bytes
LONGEST_END = 1024  # bytes: the line at the end of a dump that switches commands on again is shorter
COMPLETE = b"\n-- PostgreSQL database dump complete\n"
LAST_WORDS = 600  # characters of what a program says
SERIES = "19.0"

KEPT = ("PATH", "LANG", "LC_ALL", "HOME")  # of this process's own environment

PLAIN = ("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction", "--output=/dev/null")
CUSTOM = (
    "pg_restore",
    "--exit-on-error",
    "--single-transaction",
    "--no-owner",
    "--no-privileges",
    "--no-tablespaces",
    "--no-publications",
    "--no-subscriptions",
    "--no-security-labels",
)
# Whoever has one of these could be made to do more than what an owner does in his own database.
MIGHTY = """
    SELECT r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls
           OR EXISTS (SELECT FROM pg_catalog.pg_roles g
                       WHERE g.oid <> r.oid AND g.rolname <> 'pg_database_owner'
                         AND pg_catalog.pg_has_role(r.oid, g.oid, 'MEMBER')) AS mighty
      FROM pg_catalog.pg_roles r WHERE r.rolname = SESSION_USER
"""
RELATIONS = """
    SELECT count(*) AS count FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
"""
IS_ODOO = "SELECT pg_catalog.to_regclass('public.ir_module_module') IS NOT NULL AS is_odoo"
VERSION = "SELECT latest_version AS version FROM public.ir_module_module WHERE name = 'base'"

_OWN_BEGINNING = re.compile(rb"\A((?:\s|--[^\n]*\n)*)\\restrict [A-Za-z0-9]+\r?\n")
_OWN_END = re.compile(rb"^\\unrestrict [A-Za-z0-9]+\s*\Z", re.MULTILINE)
_REFUSED = (
    "permission denied",
    "must be superuser",
    "must be owner",
    "must be able",
    "backslash commands are restricted",
    "invalid command",
)

Wrap = Callable[[Sequence[str]], list[str]]


@dataclass(frozen=True)
class Loaded:
    """What a dump has made."""

    tables: int
    version: str  # of Odoo's module base


def require_harmless(cr: Any) -> None:
    """Be sure that what runs on this connection can do nothing beyond one empty database.

    :raises DumpRefused: when the role may do more, or there is something in the database
    """
    cr.execute(MIGHTY)
    if _value(cr):
        raise DumpRefused(
            "the role that would load the dump may do more than own a database",
            "Load it as the tenant's own role; never as a superuser or a member of another role.",
        )
    cr.execute(RELATIONS)
    if _value(cr):
        raise DumpRefused("the database that would be filled is not empty", "Give it an empty one.")


def load(
    stream: BinaryIO, kind: DumpKind, address: Mapping[str, str], wrap: Wrap = list, *, word: str | None = None
) -> None:
    """Load all of a dump, or nothing of it.

    :param stream: the dump
    :param address: PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE and whatever else libpq needs
    :param wrap: turns a command into one that finds PostgreSQL's programs
    :param word: that switches psql's commands on again
    :raises DumpRefused: with the program's last words
    :raises DatabaseAway: when the server went away meanwhile, or the program was killed
    """
    if kind == DumpKind.CUSTOM:
        _run([*CUSTOM, f"--dbname={address['PGDATABASE']}"], _blocks(stream), address, wrap)
    else:
        _run(list(PLAIN), _restricted(_blocks(stream), word or secrets.token_hex(32)), address, wrap)


def look(cr: Any) -> Loaded:
    """Return what was loaded.

    :raises DumpRefused: when that is no Odoo of the series that this platform runs
    """
    cr.execute(RELATIONS)
    tables = _value(cr)
    cr.execute(IS_ODOO)
    if not _value(cr):
        raise DumpRefused("the dump is not that of an Odoo's database")
    cr.execute(VERSION)
    version = _value(cr) or ""
    if not version.startswith(f"{SERIES}."):
        raise DumpRefused(
            f"the dump is of Odoo {version or '(unknown)'}, and this platform runs {SERIES}", "Upgrade it first."
        )
    return Loaded(tables, version)


def _run(argv: list[str], blocks: Iterator[bytes], address: Mapping[str, str], wrap: Wrap) -> None:
    environment = {name: os.environ[name] for name in KEPT if name in os.environ} | dict(address)
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            wrap(argv), env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said
        )
        try:
            _feed(process, blocks)
        except BaseException:
            process.kill()
            raise
        finally:
            code = process.wait()
        if code:
            said.seek(0)
            raise _failure(argv[0], code, said.read().decode(errors="replace"))


def _feed(process: subprocess.Popen, blocks: Iterator[bytes]) -> None:
    with suppress(BrokenPipeError):  # it has ended, and its exit code and last words say why
        for block in blocks:
            process.stdin.write(block)
        process.stdin.close()


def _restricted(blocks: Iterator[bytes], word: str) -> Iterator[bytes]:
    r"""Yield a plain dump with psql's own commands switched off until its end.

    Newer versions of pg_dump do the same by themselves; their first and last such lines would be commands themselves.
    """
    yield f"\\restrict {word}\n".encode()
    waiting = _OWN_BEGINNING.sub(rb"\1", next(blocks, b""))
    for block in blocks:
        yield waiting[:-LONGEST_END]
        waiting = waiting[-LONGEST_END:] + block
    if COMPLETE not in waiting:  # psql would take its end for that of the rows it is at, and keep what it has
        raise DumpRefused("the dump ends early, or is none of pg_dump's", "Make it anew, and copy it whole.")
    yield _OWN_END.sub(b"", waiting)
    yield f"\n\\unrestrict {word}\n".encode()


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    while block := stream.read(BLOCK):
        yield block


def _failure(program: str, code: int, said: str) -> DumpRefused | DatabaseAway:
    lines = [line for line in said.splitlines() if line.strip()]
    text = " ".join(" ".join(lines[:3]).split())[:LAST_WORDS] or "it ended without a word"
    if code < 0:
        return DatabaseAway(f"{program} was killed (signal {-code}) while it loaded the dump: {text}")
    if is_away(said):
        return DatabaseAway(f"the database server went away while {program} loaded the dump: {text}")
    hint = (
        "Make the dump with pg_dump --no-owner --no-privileges, of a database without extensions that need a superuser."
    )
    return DumpRefused(
        f"{program} does not load the dump: {text}", hint if any(one in said for one in _REFUSED) else ""
    )


def _value(cr: Any) -> Any:
    row = cr.fetchone()
    if row is None:
        return None
    return next(iter(row.values())) if isinstance(row, dict) else row[0]

"""Carry the restored database from the scratch server into its new place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ...loomworks_storage.importing.away import is_away
from ...loomworks_tenant.errors import ServerUnreachable
from .checks import AMCHECK
from .errors import LoadFailed, ProgramFailed
from .programs import Programs
from .scratch_server import ScratchServer

NOT_WAITING = "-c synchronous_commit=off"  # for the disk, with each statement


def dump(programs: Programs, server: ScratchServer, database: str, folder: Path, jobs: int) -> None:
    """Write the database as a directory that ``pg_restore`` reads; ``folder`` must not exist.

    What was installed for the checks stays out.
    """
    programs.run(
        "pg_dump",
        "--format=directory",
        "--compress=none",
        f"--jobs={jobs}",
        f"--exclude-extension={AMCHECK}",
        f"--file={folder}",
        f"--dbname={database}",
        env=server.address(),
    )


def plain(programs: Programs, server: ScratchServer, database: str) -> Iterator[bytes]:
    """Yield the database as statements for ``psql``, as in Odoo's own backup; they name no role of this server."""
    yield from programs.output(
        "pg_dump",
        "--no-owner",
        "--no-privileges",
        "--no-tablespaces",
        "--no-publications",
        "--no-subscriptions",
        f"--exclude-extension={AMCHECK}",
        f"--dbname={database}",
        env=server.address(),
    )


def load(programs: Programs, folder: Path, address: Mapping[str, str], jobs: int) -> None:
    """Fill an empty database with what :func:`dump` wrote; it belongs to the role that connects, or that it acts as.

    Thousands of statements do not each wait for the disk: the analysis afterwards does, and with it all of them. A dump
    has no statistics; they are made anew, so that the first queries are planned as they were.

    :param address: PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE and whatever else libpq needs
    :raises LoadFailed: at the first statement that fails
    :raises ServerUnreachable: when the server goes away meanwhile
    """
    try:
        programs.run(
            "pg_restore",
            "--exit-on-error",
            "--no-owner",
            "--no-tablespaces",
            "--no-privileges",  # all is one role's, and a role that was named in a grant may be gone
            f"--jobs={jobs}",
            f"--dbname={address['PGDATABASE']}",
            folder,
            env={**address, "PGOPTIONS": f"{address.get('PGOPTIONS', '')} {NOT_WAITING}".strip()},
        )
    except ProgramFailed as error:
        if is_away(error.message):
            raise ServerUnreachable(f"the server went away while the database was loaded: {error.message}") from error
        raise LoadFailed(f"the restored database could not be loaded: {error.message}") from error
    programs.run(
        "vacuumdb", "--analyze-only", f"--jobs={jobs}", f"--dbname={address['PGDATABASE']}", "--quiet", env=address
    )

"""Databases of Odoo's own modules in the cache: to install them takes minutes, to load them seconds."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import IO

from psycopg2 import sql
from stack import cache, test_database
from stack.postgres_root import BINARIES
from stack.settings import Settings

NAME = "odoo-database"
DUMP, FILES = "database.dump", "files"
AS_ODOO_MAKES_ONE = "CREATE DATABASE {} ENCODING 'UTF8' LC_COLLATE 'C' TEMPLATE template0"


def is_kept(settings: Settings, key: str) -> bool:
    """Tell whether a database made of ``key`` can be loaded."""
    return cache.is_built(settings.cache, NAME, key)


def keep(settings: Settings, key: str, name: str, files: Path) -> None:
    """Keep the database ``name`` with its files under ``key``."""

    def save(folder: Path) -> None:
        with (folder / DUMP).open("wb") as stream:
            _run(settings, "pg_dump", "--format=custom", "--compress=1", name, stdout=stream)
        shutil.copytree(files, folder / FILES)

    cache.built(settings.cache, NAME, key, save)


def load(settings: Settings, key: str, cursor, name: str, files: Path) -> None:
    """Make the database ``name`` with its files of what is kept under ``key``."""
    folder = settings.cache / f"{NAME}-{key}"
    cursor.execute(sql.SQL(AS_ODOO_MAKES_ONE).format(sql.Identifier(name)))
    owner = f"--role={test_database.ROLE}"
    with (folder / DUMP).open("rb") as stream:
        _run(settings, "pg_restore", "--no-owner", owner, "--exit-on-error", f"--dbname={name}", stdin=stream)
    _run(settings, "vacuumdb", "--analyze-only", "--quiet", name)
    shutil.copytree(folder / FILES, files)


def _run(settings: Settings, program: str, *arguments: str, **streams: IO[bytes]) -> None:
    """Run one of the server's own programs, as its superuser."""
    server = (f"--host={test_database.INSIDE}/socket", f"--port={settings.test_database_port}", "--username=postgres")
    command = test_database.inside(settings, [f"{BINARIES}/{program}", *server, *arguments])
    subprocess.run(command, check=True, **streams)

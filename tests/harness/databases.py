"""Odoo databases for the tests of addons: built once, cloned for each run.

Two templates are kept for an addon: one with the modules of Odoo that it depends on, and one made of it with the
addon installed. Each is named by its inputs, so it is built again exactly when they change.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Set
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
from psycopg2 import sql
from stack import odoo_host, test_database
from stack.cache import digest
from stack.settings import Settings

from . import kept_databases
from .dropping import drop_database

PREFIX = "loomworks_test"
# What an addon's database is not made of: changing these needs no new template.
SOURCES_LEFT_OUT = {"tests", "readme", "static", "__pycache__"}
BUILD_LOCK = 54317  # advisory lock: two runs must not build one template at once


@dataclass(frozen=True)
class OdooDatabase:
    """A database made for one run of tests, and the configuration file that names it."""

    name: str
    configuration: Path


class OdooDatabases:
    """Makes databases with an addon installed on the host's test server."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._host = odoo_host.ensure(settings)
        self._url = test_database.url(settings)
        self._folder = settings.state / "test-odoo"
        (self._folder / "data" / "filestore").mkdir(parents=True, exist_ok=True)

    @contextmanager
    def cloned(self, addon: str) -> Iterator[OdooDatabase]:
        """Offer a fresh database with ``addon`` installed, and drop it afterwards."""
        with self._clone_of(lambda cursor: self._template(cursor, addon), addon) as made:
            yield made

    @contextmanager
    def _clone_of(self, template: Callable[..., str], label: str) -> Iterator[OdooDatabase]:
        name = f"{PREFIX}_run_{label}_{os.getpid()}"
        with self._connection() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [BUILD_LOCK])
            self._clone(cursor, template(cursor), name)
            cursor.execute("SELECT pg_advisory_unlock(%s)", [BUILD_LOCK])
        try:
            yield OdooDatabase(name, self._configure(name))
        finally:
            self.drop(name)

    @contextmanager
    def plain(self, modules: list[str], label: str) -> Iterator[OdooDatabase]:
        """Offer a fresh database with ``modules`` of Odoo and nothing of ours, and drop it afterwards."""
        with self._clone_of(lambda cursor: self._base(cursor, set(modules)), label) as made:
            yield made

    def files(self, name: str) -> Path:
        """Return where the files of the database ``name`` are."""
        return self._files(name)

    @contextmanager
    def cloned_with(self, addon: str, modules: list[str], suffix: str = "") -> Iterator[OdooDatabase]:
        """Offer a fresh database with ``addon`` installed beside ``modules`` of Odoo, and drop it afterwards."""
        with self._clone_of(
            lambda cursor: self._template(cursor, addon, set(modules)), f"{addon}_with{suffix}"
        ) as made:
            yield made

    def drop(self, name: str) -> None:
        """Remove the database ``name`` with its files, whoever is connected to it."""
        with self._connection() as cursor:
            self._drop(cursor, name)

    def _template(self, cursor, addon: str, more: Set[str] = frozenset()) -> str:
        own, foreign = _dependencies(self._settings.repository, addon)
        foreign |= more
        base = self._base(cursor, foreign)
        sources = [path for name in sorted(own) for path in _sources(self._settings.repository / name)]
        stale = f"{PREFIX}_{'with' if more else 'addon'}_{addon}_"
        template = f"{stale}{digest([base, *sources])}"

        def add(name: str) -> None:
            self._clone(cursor, base, name)
            self._install(name, [addon])

        self._build(cursor, template, add, stale=stale)
        return template

    def _base(self, cursor, modules: Set[str]) -> str:
        odoo = self._host.addons_path.parents[5].name
        key = digest([odoo, *sorted(modules)])

        def load_or_install(name: str) -> None:
            if kept_databases.is_kept(self._settings, key):
                kept_databases.load(self._settings, key, cursor, name, self._files(name))
            else:
                self._install(name, sorted(modules))
                kept_databases.keep(self._settings, key, name, self._files(name))

        base = f"{PREFIX}_base_{key}"
        self._build(cursor, base, load_or_install)
        return base

    def _build(self, cursor, name: str, make: Callable[[str], None], stale: str = "") -> None:
        if _exists(cursor, name):
            return
        unfinished = f"{name}_new"
        self._drop(cursor, unfinished)
        make(unfinished)
        if stale:
            self._drop_all(cursor, stale, keep=unfinished)
        _rename(cursor, unfinished, name)
        self._files(unfinished).rename(self._files(name))

    def _install(self, name: str, modules: list[str]) -> None:
        command = [self._host.python, self._host.bin, "-c", self._configure(name), "-i", ",".join(modules)]
        log = self._folder / f"{name}.log"
        with log.open("w") as stream:
            arguments = [*command, "--stop-after-init", "--no-http"]
            done = subprocess.run(arguments, stdout=stream, stderr=stream, check=False)
        errors = [line for line in log.read_text().splitlines() if " ERROR " in line or " CRITICAL " in line]
        if done.returncode or errors:
            raise SystemExit(f"installing {', '.join(modules)} failed:\n{log.read_text()[-6000:]}")
        self._files(name).mkdir(exist_ok=True)

    def _clone(self, cursor, template: str, name: str) -> None:
        self._drop(cursor, name)
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        cursor.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        shutil.copytree(self._files(template), self._files(name), copy_function=os.link)

    def _drop_all(self, cursor, prefix: str, keep: str) -> None:
        cursor.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s) AND datname <> %s", [prefix, keep]
        )
        for (name,) in cursor.fetchall():
            self._drop(cursor, name)

    def _drop(self, cursor, name: str) -> None:
        drop_database(cursor, name)
        shutil.rmtree(self._files(name), ignore_errors=True)

    def _files(self, name: str) -> Path:
        return self._folder / "data" / "filestore" / name

    def _configure(self, name: str) -> Path:
        server = urlsplit(self._url)
        path = self._folder / f"{name}.conf"
        path.touch(mode=0o600)
        options = {
            "db_name": name,
            "db_host": server.hostname,
            "db_port": server.port,
            "db_user": server.username,
            "db_password": server.password,
            "addons_path": f"{self._host.addons_path},{self._settings.repository}",
            "data_dir": self._folder / "data",
            "max_cron_threads": 0,
            "http_interface": "127.0.0.1",
        }
        lines = "".join(f"{key} = {value}\n" for key, value in options.items())
        path.write_text(f"[options]\n{lines}")
        return path

    @contextmanager
    def _connection(self) -> Iterator:
        with closing(psycopg2.connect(self._url)) as connection:
            connection.autocommit = True
            yield connection.cursor()


def _dependencies(repository: Path, addon: str) -> tuple[set[str], set[str]]:
    """Return the addons of this repository that ``addon`` stands on, itself included, and those of Odoo."""
    own, foreign, queue = set(), set(), [addon]
    while queue:
        name = queue.pop()
        manifest = repository / name / "__manifest__.py"
        if not manifest.exists():
            foreign.add(name)
        elif name not in own:
            own.add(name)
            queue.extend(ast.literal_eval(manifest.read_text())["depends"])
    return own, foreign


def _sources(addon: Path) -> list[Path]:
    return [path for path in sorted(addon.iterdir()) if path.name not in SOURCES_LEFT_OUT]


def _exists(cursor, name: str) -> bool:
    cursor.execute("SELECT FROM pg_database WHERE datname = %s", [name])
    return bool(cursor.rowcount)


def _rename(cursor, old: str, new: str) -> None:
    cursor.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new)))

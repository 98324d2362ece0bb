"""The suites: where their tests are and how pytest is called for each."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stack.settings import Settings

from . import closing, time_left
from .databases import OdooDatabases

ODOO_OPTIONS = ("--override-ini=addopts=-ra", "--odoo-http", "--odoo-log-level=critical")
NO_TESTS = 5  # pytest's exit code when it collected none


@dataclass(frozen=True)
class Suite:
    """Tests that one run of pytest can take together."""

    name: str
    paths: tuple[str, ...]
    options: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    measured: bool = True  # whether it counts for the coverage, which slows Odoo down


def addons(settings: Settings) -> list[str]:
    """Return the names of the repository's addons."""
    return sorted(path.parent.name for path in settings.repository.glob("*/__manifest__.py"))


class Runner:
    """Runs suites, one after another or beside each other; what each reports is left in the folder ``reports``."""

    def __init__(self, settings: Settings, reports: Path, arguments: Sequence[str]) -> None:
        self._settings = settings
        self._reports = reports
        self._arguments = arguments
        self._live = True
        self._command = (sys.executable, "-m", "pytest", "-p", time_left.__name__)
        shutil.rmtree(reports, ignore_errors=True)
        reports.mkdir(parents=True)

    def run(self, suite: Suite) -> bool:
        """Run ``suite`` and tell whether all of it passed."""
        existing = [path for path in suite.paths if (self._settings.repository / path).exists()]
        if not existing:
            return True
        command = [*self._command, *suite.options, *self._options(suite), *existing, *self._arguments]
        env = {**os.environ, **suite.env, "COVERAGE_FILE": str(self._reports / f"coverage.{suite.name}")}
        with self._telling(suite) as stream:
            done = subprocess.run(command, cwd=self._settings.repository, env=env, check=False, stdout=stream)
        if not (self._reports / f"{suite.name}.xml").exists():
            closing.record_death(self._reports, suite.name, done.returncode)
        return done.returncode in (0, NO_TESTS)

    def at_once(self, *lanes: Callable[[Runner], bool]) -> bool:
        """Run suites of several lanes beside each other; each suite is told as a whole when it is done."""
        quiet = copy.copy(self)
        quiet._live = False
        with ThreadPoolExecutor(len(lanes)) as pool:
            results = list(pool.map(lambda lane: lane(quiet), lanes))  # all of them, whatever the first says
        return all(results)

    def yielding(self) -> Runner:
        """Return one whose runs take the processor time that all others leave."""
        other = copy.copy(self)
        other._command = ("nice", "-n", "19", *self._command)
        return other

    @contextmanager
    def _telling(self, suite: Suite) -> Iterator[int | None]:
        """Offer where the suite's output goes: None for the screen."""
        if self._live:
            print(f"\n== {suite.name} ==", flush=True)
            yield None
            return
        with tempfile.TemporaryFile() as stream:
            yield stream.fileno()
            stream.seek(0)
            told = stream.read().decode("utf-8", "replace")
        sys.stdout.write(f"\n== {suite.name} ==\n{told}")
        sys.stdout.flush()

    def run_addon(self, databases: OdooDatabases, addon: str) -> bool:
        """Run the Odoo tests of ``addon`` in a database of their own."""
        if not (self._settings.repository / addon / "tests").exists():
            return True
        with databases.cloned(addon) as database:
            env = {"ODOO_RC": str(database.configuration)}
            return self.run(Suite(addon, (f"{addon}/tests",), ODOO_OPTIONS, env))

    def _options(self, suite: Suite) -> list[str]:
        coverage = ["--cov", "--cov-report="] if suite.measured else []
        return [*coverage, f"--junit-xml={self._reports / suite.name}.xml"]

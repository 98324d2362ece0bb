"""The suites: where their tests are and how pytest is called for each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stack.settings import Settings

from .databases import OdooDatabases

NO_TESTS = 5  # pytest's exit code when it collected none


@dataclass(frozen=True)
class Suite:
    """Tests that one run of pytest can take together."""

    name: str
    paths: tuple[str, ...]
    options: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)


def addons(settings: Settings) -> list[str]:
    """Return the names of the repository's addons."""
    return sorted(path.parent.name for path in settings.repository.glob("*/__manifest__.py"))


def run(settings: Settings, suite: Suite, arguments: Sequence[str] = ()) -> bool:
    """Run ``suite`` and tell whether all of it passed; the results go to ``build/test``."""
    existing = [path for path in suite.paths if (settings.repository / path).exists()]
    if not existing:
        return True
    print(f"\n== {suite.name} ==", flush=True)
    command = [sys.executable, "-m", "pytest", *suite.options, *_reports(settings, suite.name), *existing, *arguments]
    env = {**os.environ, **suite.env, "COVERAGE_FILE": str(folder(settings) / f"coverage.{suite.name}")}
    done = subprocess.run(command, cwd=settings.repository, env=env, check=False)
    return done.returncode in (0, NO_TESTS)


def run_addon(settings: Settings, databases: OdooDatabases, addon: str, arguments: Sequence[str] = ()) -> bool:
    """Run the Odoo tests of ``addon`` in a database of their own."""
    if not (settings.repository / addon / "tests").exists():
        return True
    with databases.cloned(addon) as database:
        options = ("--override-ini=addopts=-ra", "--odoo-http", "--odoo-log-level=critical")
        env = {"ODOO_RC": str(database.configuration)}
        return run(settings, Suite(addon, (f"{addon}/tests",), options, env), arguments)


def folder(settings: Settings) -> Path:
    """Return the folder of what the runs report."""
    return settings.repository / "build" / "test"


def _reports(settings: Settings, name: str) -> list[str]:
    return ["--cov", "--cov-report=", f"--junit-xml={folder(settings) / name}.xml"]

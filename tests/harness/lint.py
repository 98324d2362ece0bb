"""Every checker in one run: ``python -m harness.lint``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from stack import promtool, python_env
from stack.settings import Settings

from . import import_contract

SHELLS = ("#!/bin/sh", "#!/bin/bash", "#!/usr/bin/env bash")

# What pylint-odoo asks for and we do otherwise.
NOT_OURS = (
    "missing-readme",  # the fragments in readme/ are the source
    "consider-merging-classes-inherited",  # one file a concern, also where several concern one model
    "method-required-super",  # engines have methods called create and write, too
    "no-search-all",
)

PYLINT_OPTIONS = ("--rcfile=pyproject.toml", "--score=n", f"--disable={','.join(NOT_OURS)}")


class Linter:
    """Runs checkers one after another and remembers which found something."""

    def __init__(self, settings: Settings) -> None:
        self._repository = settings.repository
        self._bin = python_env.ensure(settings) / "bin"
        self._lint_bin = python_env.ensure_lint(settings) / "bin"
        self._promtool = promtool.ensure(settings)
        self.failed: list[str] = []

    def python(self) -> None:
        """Style of all Python, and Odoo's idiom in the addons."""
        self._run("ruff check", self._bin / "ruff", "check", ".")
        self._run("ruff format", self._bin / "ruff", "format", "--check", ".")
        addons = sorted(path.parent.name for path in self._repository.glob("*/__manifest__.py"))
        self._run("pylint-odoo", self._lint_bin / "pylint", *PYLINT_OPTIONS, *addons)

    def docker_and_shell(self) -> None:
        """Dockerfiles and shell scripts."""
        self._run("hadolint", self._lint_bin / "hadolint", *self._tracked(lambda path: path.name == "Dockerfile"))
        self._run("shellcheck", self._lint_bin / "shellcheck", *self._tracked(_is_shell_script))

    def alerts(self) -> None:
        """The alerts' rules, and what they do with series of figures."""
        self._run("promtool", self._promtool, "check", "rules", "infrastructure/monitoring/alerts.yaml")
        self._run("alerts", self._promtool, "test", "rules", "infrastructure/monitoring/alerts_test.yaml")

    def contract(self) -> None:
        """Who imports whom."""
        found = import_contract.breaches(self._repository)
        self._report("import contract", not found, "\n".join(map(str, found)))

    def tests(self) -> None:
        """Every folder of tests can be collected, as a whole: two files of one name beside each other cannot."""
        for folder in sorted(path for path in (self._repository / "tests").iterdir() if any(path.rglob("test_*.py"))):
            self._run(f"tests of {folder.name}", self._bin / "python", "-m", "pytest", "-q", "--collect-only", folder)

    def kubernetes(self) -> None:
        """Every overlay against the schemas of the Kubernetes release that is built here."""
        tests = "tests/kubernetes/test_manifests.py"
        self._run("kubeconform", self._bin / "python", "-m", "pytest", "-q", "-k", "kubeconform", tests)

    def _run(self, name: str, *command: str | Path) -> None:
        done = subprocess.run(command, cwd=self._repository, capture_output=True, text=True, check=False)
        self._report(name, done.returncode == 0, done.stdout + done.stderr)

    def _report(self, name: str, passed: bool, output: str) -> None:
        print(f"{'ok' if passed else 'FAILED':<7} {name}", flush=True)
        if not passed:
            self.failed.append(name)
            print(output.rstrip(), flush=True)

    def _tracked(self, wanted: Callable[[Path], bool]) -> list[str]:
        listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
        done = subprocess.run(listing, cwd=self._repository, capture_output=True, text=True, check=True)
        return [name for name in done.stdout.splitlines() if wanted(self._repository / name)]


def _is_shell_script(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.readline().decode(errors="replace").strip().startswith(SHELLS)


def main() -> int:
    """Run all checkers and return the exit code."""
    linter = Linter(Settings.from_environment())
    style = (linter.python, linter.docker_and_shell, linter.alerts)
    for check in (*style, linter.contract, linter.tests, linter.kubernetes):
        check()
    print(f"\n{len(linter.failed)} checks failed" + (f": {', '.join(linter.failed)}" if linter.failed else ""))
    return 1 if linter.failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""``python -m harness unit|cluster|long|all`` or ``python -m harness <addon>|<path> [pytest's arguments]``."""

from __future__ import annotations

import secrets
import sys

from stack.settings import Settings

from . import closing
from .databases import OdooDatabases
from .suites import Runner, Suite, addons

PLAIN = Suite("unit", ("tests/unit",))
SERVER = Suite("server", ("tests/server",))
SCENES = Suite("scenes", ("tests/scenes",), ("--ignore=tests/scenes/test_random_days.py",))
DAYS = Suite("days", ("tests/scenes/test_random_days.py",), ("--timeout=1800",))  # one test of 500 examples
STACK = Suite("stack", ("tests/stack",))
MANIFESTS = Suite("kubernetes", ("tests/kubernetes",))
END_TO_END = Suite("e2e", ("tests/e2e",))
BROWSER = Suite("browser", ("tests/browser",))
EVERY_CALL = Suite(
    "killed", ("tests/e2e/test_killed_anywhere.py",), ("--timeout=3600",), env={"LOOMWORKS_KILL_EVERY": "1"}
)
SEED = secrets.randbelow(2**32)  # of the long runs; the short ones are the same each time
EXAMPLES = {"LOOMWORKS_UNDO_EXAMPLES": "10000", "LOOMWORKS_DAYS_EXAMPLES": "10000", "LOOMWORKS_UNDO_RANDOM": "1"}
AT_RANDOM = ("--timeout=0", f"--hypothesis-seed={SEED}", "--hypothesis-show-statistics")
MANY_DAYS = Suite("days", DAYS.paths, AT_RANDOM, EXAMPLES)
MANY_UNDOS = Suite("undos", ("tests/unit/loomworks_ai/test_journal_properties.py",), AT_RANDOM, EXAMPLES)
LONG = Suite("long", ("tests/long",))

GROUPS = {
    "e2e": (STACK, MANIFESTS, END_TO_END, BROWSER),
    "long": (MANY_UNDOS, MANY_DAYS, EVERY_CALL, LONG),
}


def main(arguments: list[str]) -> int:
    """Run what was asked for, print the closing line, and return the exit code."""
    settings = Settings.from_environment()
    name, *rest = arguments or ["all"]
    reports = settings.repository / "build" / "test" / name.replace("/", "-")
    passed = _run(settings, Runner(settings, reports, rest), name)
    covered = closing.coverage(reports) if name in ("unit", "all") and not rest else True
    print(f"\n{closing.line(reports)}", flush=True)
    return 0 if passed and (covered or name == "unit") else 1


def _run(settings: Settings, runner: Runner, name: str) -> bool:
    if name in addons(settings):
        return runner.run_addon(OdooDatabases(settings), name)
    if name == "unit":
        return _unit(settings, runner)
    if name == "all":
        return all([_unit(settings, runner), _group(runner, "e2e")])
    if name in GROUPS:
        return _group(runner, name)
    return runner.run(Suite("chosen", (name,)))


def _unit(settings: Settings, runner: Runner) -> bool:
    databases = OdooDatabases(settings)

    def with_odoo(lane: Runner) -> bool:
        results = [lane.run(DAYS), lane.run(SERVER)]
        results += [lane.run_addon(databases, addon) for addon in addons(settings)]
        return all(results)

    def others(lane: Runner) -> bool:
        return all([lane.run(PLAIN), lane.run(SCENES)])

    return runner.at_once(with_odoo, others)


def _group(runner: Runner, name: str) -> bool:
    if name == "long":
        print(f"--hypothesis-seed={SEED}", flush=True)
    results = [runner.run(suite) for suite in GROUPS[name]]  # all of them, whatever the first says
    return all(results)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``python -m harness unit|e2e|long|all`` or ``python -m harness <addon>|<path> [pytest's arguments]``."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterable, Sequence

from stack.settings import Settings

from . import closing
from .databases import OdooDatabases
from .suites import Runner, Suite, addons

# Engines that work on repositories wait for programs and disks; the others keep a processor busy.
REPOSITORY_TESTS = ("tests/unit/loomworks_snapshot", "tests/unit/loomworks_storage")
REPOSITORIES = Suite("repositories", REPOSITORY_TESTS)
UNDOS = ("tests/unit/loomworks_ai/test_journal_properties.py",)
PLAIN = Suite("unit", ("tests/unit",), tuple(f"--ignore={path}" for path in (*REPOSITORY_TESTS, *UNDOS)))
SERVER = Suite("server", ("tests/server",))
# Made up at random: they keep a processor busy for long, and nothing waits for them.
UNDOING = Suite("undoing", UNDOS, ("--timeout=3600",))  # of 500 examples a property
DAYS = Suite("days", ("tests/scenes/test_random_days.py",), ("--timeout=3600",), measured=False)  # of 100 examples
BUSINESS = Suite("business", ("tests/scenes/test_random_business.py",), ("--timeout=3600",), measured=False)
NOT_AT_RANDOM = tuple(f"--ignore={path}" for path in (*DAYS.paths, *BUSINESS.paths))
SCENES = Suite("scenes", ("tests/scenes",), NOT_AT_RANDOM, measured=False)
STACK = Suite("stack", ("tests/stack",))
MANIFESTS = Suite("kubernetes", ("tests/kubernetes",), ("-m", "not alone"))
REPOSITORY_ALONE = Suite("kubernetes-alone", ("tests/kubernetes",), ("-m", "alone"))
# What goes on with a tenant's data, beside what goes on with its life; whatever disturbs all of it comes after.
WITH_DATA = "restore copies files download backups template_build time_machine import ending reset"
DATA_TESTS = tuple(f"tests/e2e/test_{name}.py" for name in WITH_DATA.split())
BESIDE = ("-m", "not alone and not long")
DATA = Suite("data", DATA_TESTS, BESIDE)
LIFE = Suite("life", ("tests/e2e",), (*BESIDE, *(f"--ignore={path}" for path in DATA_TESTS)))
ALONE = Suite("alone", ("tests/e2e",), ("-m", "alone and not long"))
BROWSER = Suite("browser", ("tests/browser",))
EVERY_CALL = Suite(
    "killed", ("tests/e2e/test_killed_anywhere.py",), ("--timeout=3600",), env={"LOOMWORKS_KILL_EVERY": "1"}
)
SEED = secrets.randbelow(2**32)  # of the long runs; the short ones are the same each time
AT_RANDOM = ("--timeout=0", "--hypothesis-show-statistics")


def made_up(name: str, paths: tuple[str, ...], seed: int, **examples: int) -> Suite:
    """Return a suite whose examples are new ones, made of ``seed``."""
    env = {variable: str(number) for variable, number in examples.items()}
    options = (*AT_RANDOM, f"--hypothesis-seed={seed}")
    return Suite(name, paths, options, {**env, "LOOMWORKS_UNDO_RANDOM": "1"})


# 10,000 days in two halves beside each other: a day keeps one processor busy, in Odoo or in PostgreSQL.
MANY_DAYS = [made_up(f"days-{half}", DAYS.paths, SEED + half, LOOMWORKS_DAYS_EXAMPLES=5000) for half in range(2)]
MUCH_BUSINESS = made_up("business", BUSINESS.paths, SEED, LOOMWORKS_BUSINESS_EXAMPLES=600)
MANY_UNDOS = made_up("undos", UNDOS, SEED, LOOMWORKS_UNDO_EXAMPLES=10000)
LONG = Suite("long", ("tests/long",))
MANY = Suite("many", ("tests/e2e",), ("-m", "long"))


def main(arguments: list[str]) -> int:
    """Run what was asked for, print the closing line, and return the exit code."""
    settings = Settings.from_environment()
    name, *rest = arguments or ["all"]
    reports = settings.repository / "build" / "test" / name.replace("/", "-")
    passed = _run(settings, Runner(settings, reports, rest), name)
    left_out = closing.left_out(reports)
    covered = closing.coverage(reports) if name in ("unit", "all") and not rest else True
    covered = covered or bool(left_out)  # of a part of the tests it says nothing
    print(closing.failures(reports))
    print("\n".join(f"NOT RUN, as no time was left: {test}" for test in left_out))
    print(f"\n{closing.line(reports)}", flush=True)
    return 0 if passed and (covered or name == "unit") else 1


def _run(settings: Settings, runner: Runner, name: str) -> bool:
    if name in addons(settings):
        return runner.run_addon(OdooDatabases(settings), name)
    if name == "unit":
        return runner.at_once(_at_random, lambda lane: _unit(settings, lane))
    if name == "all":
        return runner.at_once(_at_random, lambda lane: all([_unit(settings, lane), _cluster(lane)]))
    if name == "e2e":
        return _cluster(runner)
    if name == "long":
        return _long(runner)
    return runner.run(Suite("chosen", (name,)))


def _at_random(runner: Runner) -> bool:
    return _each(runner.yielding(), (UNDOING, DAYS, BUSINESS))


def _unit(settings: Settings, runner: Runner) -> bool:
    databases = OdooDatabases(settings)
    return runner.at_once(
        lambda lane: _all(lane.run_addon(databases, addon) for addon in addons(settings)),
        lambda lane: _each(lane, (PLAIN, SCENES, SERVER)),
        lambda lane: lane.run(REPOSITORIES),
    )


def _long(runner: Runner) -> bool:
    print(f"--hypothesis-seed={SEED}, and {SEED + 1} for half of the days", flush=True)
    halves = [lambda lane, half=half: lane.run(half) for half in MANY_DAYS]
    rest = (MUCH_BUSINESS, EVERY_CALL, MANY, LONG)
    results = [runner.run(MANY_UNDOS), runner.at_once(*halves), _each(runner, rest)]
    return all(results)


def _cluster(runner: Runner) -> bool:
    results = [
        runner.run(STACK),
        runner.at_once(lambda lane: lane.run(DATA), lambda lane: _each(lane, (MANIFESTS, LIFE))),
        _each(runner, (BROWSER, ALONE, REPOSITORY_ALONE)),
    ]
    return all(results)


def _each(runner: Runner, suites: Sequence[Suite]) -> bool:
    return _all(runner.run(suite) for suite in suites)


def _all(runs: Iterable[bool]) -> bool:
    """Have all of them run, whatever the first says."""
    results = list(runs)
    return all(results)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

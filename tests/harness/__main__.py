"""``python -m harness unit|cluster|long|all`` or ``python -m harness <addon>|<path> [pytest's arguments]``."""

from __future__ import annotations

import sys

from stack.settings import Settings

from . import closing
from .databases import OdooDatabases
from .suites import Suite, addons, run, run_addon

PLAIN = Suite("unit", ("tests/unit",))
STACK = Suite("stack", ("tests/stack",))
MANIFESTS = Suite("kubernetes", ("tests/kubernetes",))
END_TO_END = Suite("e2e", ("tests/e2e",))
BROWSER = Suite("browser", ("tests/browser",))
LONG = Suite("long", ("tests/long",))

GROUPS = {
    "e2e": (STACK, MANIFESTS, END_TO_END, BROWSER),
    "long": (LONG,),
}


def main(arguments: list[str]) -> int:
    """Run what was asked for, print the closing line, and return the exit code."""
    settings = Settings.from_environment()
    closing.begin(settings)
    name, *rest = arguments or ["all"]
    passed = _run(settings, name, rest)
    covered = closing.coverage(settings) if name in ("unit", "all") and not rest else True
    print(f"\n{closing.line(settings)}", flush=True)
    return 0 if passed and (covered or name == "unit") else 1


def _run(settings: Settings, name: str, rest: list[str]) -> bool:
    if name in addons(settings):
        return run_addon(settings, OdooDatabases(settings), name, rest)
    if name == "unit":
        return _unit(settings, rest)
    if name == "all":
        return all([_unit(settings, rest), _group(settings, "e2e", rest)])
    if name in GROUPS:
        return _group(settings, name, rest)
    return run(settings, Suite("chosen", (name.split("::")[0],)), rest)


def _unit(settings: Settings, rest: list[str]) -> bool:
    databases = OdooDatabases(settings)
    results = [run(settings, PLAIN, rest)]
    results += [run_addon(settings, databases, addon, rest) for addon in addons(settings)]
    return all(results)


def _group(settings: Settings, name: str, rest: list[str]) -> bool:
    return all([run(settings, suite, rest) for suite in GROUPS[name]])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The host's own tools without the cluster: ``python3 -m stack.hosttools up|down|env|browser|peers|lock``.

``up`` builds the Python environment and Odoo and starts the test database, ``env`` prints shell
exports for scripts, ``down`` stops the test database, ``browser`` installs Chromium, ``peers`` what the
benchmarks compare with, ``lock`` resolves the requirements anew.
"""

from __future__ import annotations

import shlex
import sys

from . import host, odoo_host, python_env, test_database
from .errors import StackError
from .settings import Settings

PACKAGES = ("ca-certificates", "util-linux")
BROWSER_PACKAGES = ("chromium", "fonts-dejavu-core")
PEER_PACKAGES = ("rclone", "restic")


def up(settings: Settings) -> None:
    """Make the tools ready and the test database run."""
    host.ensure(settings, PACKAGES)
    odoo_host.ensure(settings)
    test_database.start(settings)


def down(settings: Settings) -> None:
    """Stop the test database, whoever started it."""
    test_database.stop(settings)


def env(settings: Settings) -> None:
    """Print the exports that scripts and tests need."""
    for name, value in variables(settings).items():
        print(f"export {name}={shlex.quote(value)}")


def browser(settings: Settings) -> None:
    """Install the browser of the tests where it is missing."""
    host.ensure(settings, BROWSER_PACKAGES)


def peers(settings: Settings) -> None:
    """Install the programs that the benchmarks compare with, where they are missing."""
    host.ensure(settings, PEER_PACKAGES)


def variables(settings: Settings) -> dict[str, str]:
    """Return the environment of the host's tests; the tools must be up."""
    host = odoo_host.ensure(settings)
    return {
        "ODOO_PYTHON": str(host.python),
        "ODOO_BIN": str(host.bin),
        "PG_URL": test_database.url(settings),
    }


COMMANDS = {"up": up, "down": down, "env": env, "browser": browser, "peers": peers, "lock": python_env.lock}


def main(arguments: list[str]) -> int:
    """Run one command and return the exit code."""
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        COMMANDS[arguments[0]](Settings.from_environment())
    except StackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

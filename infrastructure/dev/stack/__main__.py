"""``python3 -m stack up|status|down|reset|logs|dev``."""

from __future__ import annotations

import argparse
import os
import sys

from . import down, status
from .errors import StackError
from .settings import Settings

ROOT_COMMANDS = ("up", "down", "reset", "dev")


def main() -> int:
    """Run one command; a :class:`StackError` is shown without a traceback."""
    options = _parse()
    try:
        if options.command in ROOT_COMMANDS and os.geteuid() != 0:
            raise StackError("the stack makes interfaces, mounts and control groups", hint="run as root")
        _run(options, Settings.from_environment())
    except StackError as error:
        print(f"\nloomworks: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nloomworks: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="stack", description="Loomworks' embedded stack")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="bring everything up; what is up stays as it is")
    commands.add_parser("status", help="show processes, nodes, pods, volumes, addresses")
    commands.add_parser("down", help="stop everything and leave nothing behind but state and cache")
    commands.add_parser("reset", help="down, and delete the state; what was built is kept")
    logs = commands.add_parser("logs", help="show the ends of all logs, or follow one")
    logs.add_argument("name", nargs="?")
    commands.add_parser("dev", help="run the control plane from source against the cluster, with reload")
    return parser.parse_args()


def _run(options: argparse.Namespace, settings: Settings) -> None:
    if options.command == "up":
        from . import up

        up.up(settings)
    elif options.command == "logs":
        status.logs(settings, options.name)
    elif options.command == "dev":
        from . import dev

        dev.dev(settings)
    else:
        {"status": status.status, "down": down.down, "reset": down.reset}[options.command](settings)


if __name__ == "__main__":
    sys.exit(main())

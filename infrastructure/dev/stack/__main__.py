"""``python3 -m stack up|status|down|reset|logs|dev``."""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from . import dev, down, status, up
from .errors import StackError
from .settings import Settings

CHANGING = ("up", "down", "reset")
ROOT_COMMANDS = (*CHANGING, "dev")


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


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Let one command at a time change this checkout's stack."""
    path = settings.state.with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError("another make up, down or reset is at work here", hint="wait for its end") from None
        yield


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
    if options.command in CHANGING:
        with _alone(settings):
            {"up": up.up, "down": down.down, "reset": down.reset}[options.command](settings)
    elif options.command == "logs":
        status.logs(settings, options.name)
    elif options.command == "dev":
        dev.dev(settings)
    else:
        status.status(settings)


if __name__ == "__main__":
    sys.exit(main())

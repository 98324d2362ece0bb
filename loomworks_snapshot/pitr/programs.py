"""Run the programs of PostgreSQL and pgBackRest: the only place that starts processes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from .errors import ProgramFailed

LAST_LINES = 12
KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "HOME")  # of this process's own environment

Wrap = Callable[[Sequence[str]], list[str]]


class Programs:
    """How the programs are called: ``wrap`` turns a command into one that finds them."""

    def __init__(self, wrap: Wrap = list, paths: str | None = None) -> None:
        self._wrap = wrap
        self._paths = paths

    def run(self, *argv: str | Path, env: Mapping[str, str] | None = None, log: Path | None = None) -> str:
        """Run a program to its end and return what it printed; with ``log``, all it says is appended there.

        :raises ProgramFailed: with its last words, when it fails
        """
        command = self._command(argv)
        if log is None:
            done = subprocess.run(command, env=self._environment(env), capture_output=True, text=True, check=False)
            said = done.stdout + done.stderr
        else:
            with log.open("a") as stream:
                done = subprocess.run(
                    command, env=self._environment(env), stdout=stream, stderr=subprocess.STDOUT, text=True, check=False
                )
            said = log.read_text(errors="replace") if done.returncode else ""
        if done.returncode:
            raise ProgramFailed(f"{argv[0]} failed ({done.returncode}): {last_words(said)}")
        return done.stdout or ""

    def start(self, *argv: str | Path, log: TextIO, env: Mapping[str, str] | None = None) -> subprocess.Popen:
        """Start a program that stays."""
        return subprocess.Popen(
            self._command(argv),
            env=self._environment(env),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    def _command(self, argv: Sequence[str | Path]) -> list[str]:
        return self._wrap([str(word) for word in argv])

    def _environment(self, env: Mapping[str, str] | None) -> dict[str, str]:
        own = {name: os.environ[name] for name in KEPT if name in os.environ}
        return {**own, **({"PATH": self._paths} if self._paths else {}), **(env or {})}


def last_words(text: str) -> str:
    """Return the end of a log as one line."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return " | ".join(lines[-LAST_LINES:])

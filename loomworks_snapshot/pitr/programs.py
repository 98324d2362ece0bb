"""Run the programs of PostgreSQL and pgBackRest: the only place that starts processes."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from .errors import ProgramFailed

LAST_LINES = 12
BLOCK = 256 * 1024  # bytes of a program's output at once
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
            message = f"{argv[0]} failed ({done.returncode}): {last_words(said)}"
            raise ProgramFailed(message, exit_code=done.returncode, said=said)
        return done.stdout or ""

    def output(self, *argv: str | Path, env: Mapping[str, str] | None = None) -> Iterator[bytes]:
        """Yield what a program prints while it runs; whoever stops reading ends it.

        :raises ProgramFailed: with its last words, when it fails; what it has printed is not all then
        """
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                self._command(argv),
                env=self._environment(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
            )
            try:
                while block := process.stdout.read(BLOCK):
                    yield block
            except BaseException:
                process.kill()
                raise
            finally:
                process.stdout.close()
                process.wait()
            if process.returncode:
                said.seek(0)
                text = last_words(said.read().decode(errors="replace"))
                raise ProgramFailed(f"{argv[0]} failed ({process.returncode}): {text}")

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

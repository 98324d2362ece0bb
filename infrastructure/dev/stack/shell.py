"""Run other programs: output to a log file, the last lines in the error."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .errors import StackError

TAIL_LINES = 25


def run(
    command: Sequence[str | Path],
    *,
    log: Path | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    input_text: str | None = None,
    check: bool = True,
) -> str:
    """Run ``command`` to its end and return its standard output.

    With ``log`` both streams are appended there and nothing is returned. ``env`` is added to
    this process's own environment.

    :raises StackError: when the program fails and ``check`` is true, with the end of its output
    """
    argv = [str(word) for word in command]
    environment = {**os.environ, **(env or {})}
    if log is not None:
        return _run_logged(argv, log, environment, cwd, input_text, check)
    done = subprocess.run(argv, env=environment, cwd=cwd, input=input_text, text=True, capture_output=True, check=False)
    if check and done.returncode:
        raise StackError(_failure(argv, done.returncode, done.stderr or done.stdout))
    return done.stdout


def _run_logged(argv, log: Path, environment, cwd, input_text, check) -> str:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as stream:
        stream.write(f"$ {' '.join(argv)}\n")
        stream.flush()
        done = subprocess.run(
            argv,
            env=environment,
            cwd=cwd,
            input=input_text,
            text=True,
            stdout=stream,
            stderr=subprocess.STDOUT,
            stdin=None if input_text is not None else subprocess.DEVNULL,
            check=False,
        )
    if check and done.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
        raise StackError(_failure(argv, done.returncode, tail), hint=f"the whole log is {log}")
    return ""


def _failure(argv: Sequence[str], code: int, output: str) -> str:
    lines = "\n".join(f"    {line}" for line in output.strip().splitlines()[-TAIL_LINES:])
    return f"{' '.join(argv[:6])} ended with {code}:\n{lines}"

"""The steward of the image, as a process beside a database server of the harness."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from harness.cell import Cell
from stack.postgres_root import BINARIES

IMAGE = Path(__file__).resolve().parents[2] / "infrastructure/docker/postgres"
PROGRAMS = (f"{BINARIES}/psql", f"{BINARIES}/pg_isready", "/usr/bin/pgbackrest")
IO_TIMEOUT = "1"  # second: what a repository that is away costs, times nine
PATIENCE = 60  # seconds


class Steward:
    """One steward; as in its container, killing it kills what it runs."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self.log = cell.folder / "steward.log"
        self._process: subprocess.Popen | None = None
        for name in ("bin", "sql", "credentials", "state"):
            (cell.folder / name).mkdir(exist_ok=True)
        for path in IMAGE.glob("conf/*.sql"):
            shutil.copy(path, cell.folder / "sql")
        for role in ("provisioner", "control"):
            (cell.folder / "credentials" / f"{role}-password").write_text(f"the {role}'s")
        for program in PROGRAMS:
            self._wrap(Path(program))

    def _wrap(self, program: Path) -> None:
        """Make a program of the server's root folder callable from outside of it."""
        *command, script = self._cell.command(program)
        path = self._cell.folder / "bin" / program.name
        quoted = shlex.join([*command, f'{script} "$@"', program.name])
        path.write_text(f'#!/bin/sh\nexec {quoted} "$@"\n')
        path.chmod(0o755)

    def start(self) -> None:
        """Start it, and wait until it has looked at what an earlier one left."""
        folder = self._cell.folder
        environment = {
            **self._cell.environment(),
            "PATH": f"{folder}/bin:{self._cell.environment()['PATH']}",
            "PYTHONPATH": str(IMAGE),
            "STATE_DIR": f"{folder}/state",
            "CREDENTIALS_DIR": f"{folder}/credentials",
            "SQL_DIR": f"{folder}/sql",
            "PGHOST": f"{folder}/socket",
            "PGPORT": str(self._cell.port),
            "PGBACKREST_IO_TIMEOUT": IO_TIMEOUT,
        }
        with self.log.open("a") as log:
            command = [sys.executable, "-m", "steward"]
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)

    def stop(self, how: signal.Signals = signal.SIGKILL) -> int | None:
        """Send a signal to it and what it runs; return its exit code."""
        if not self._process:
            return None
        os.killpg(self._process.pid, how)
        code = self._process.wait(PATIENCE)
        self._process = None
        return code

    def has_done(self, step: str) -> bool:
        """Tell whether a step of its set-up is done."""
        return (self._cell.folder / "state" / step).exists()


def wait_until(holds, seconds: float = PATIENCE):
    """Return what ``holds()`` returns, once it is true."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, f"not true after {seconds} s"
        time.sleep(0.05)
    return found

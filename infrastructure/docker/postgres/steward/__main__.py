"""Runs beside the server and shares its socket, its data and pgBackRest's locks.

First it sets up what a server needs, trying each step until it succeeds, whatever is not there yet; then it does
what the control plane asks for (:mod:`.queue`), one piece of work at a time. It may be killed anywhere and run again.
CREDENTIALS_DIR holds the files provisioner-password and control-password.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psycopg2

from .backrest import Backrest, Outcome, RepositoryError
from .queue import Queue, Work

STATE = Path(os.environ.get("STATE_DIR", "/run/steward"))
CREDENTIALS = Path(os.environ.setdefault("CREDENTIALS_DIR", "/etc/postgres-credentials"))
SQL = Path(os.environ.get("SQL_DIR", "/etc/loomworks"))
SQL_FILES = ("roles.sql", "repository.sql")
LOOK = 1.0  # seconds between two looks for work
RETRY_FROM, RETRY_UP_TO = 1.0, 30.0  # seconds
INFO_AGE = 300.0  # seconds after which the repository is asked again; each time is a little WAL
SIZE_AGE = 3600.0  # seconds after which its files are listed again
NEVER = float("-inf")
PASSWORDS_AGE = 30.0  # seconds between two looks at the passwords


class Failed(Exception):
    """A step did not succeed; ``str`` is why."""


def say(text: str) -> None:
    """Write one line to the log."""
    print(f"{datetime.now(UTC):%FT%TZ} steward: {text}", flush=True)


class Step:
    """Something to be done until it succeeds, waiting longer after each failure; a file marks that it is done."""

    def __init__(self, name: str, act: Callable[[], None], longest_pause: float = RETRY_UP_TO) -> None:
        self.name = name
        self._act = act
        self._longest_pause = longest_pause
        self._said = ""
        self._pause = RETRY_FROM
        self._not_before = 0.0
        self.done = False

    def attempt(self) -> None:
        """Try it, if it is not done and its time has come."""
        if self.done or time.monotonic() < self._not_before:
            return
        try:
            self._act()
        except (Failed, RepositoryError) as error:
            self._not_before = time.monotonic() + self._pause
            self._say_once(f"{self.name} failed, next attempt in {self._pause:.0f} s: {str(error).strip()}")
            self._pause = min(2 * self._pause, self._longest_pause)
            return
        self.done, self._pause = True, RETRY_FROM
        (STATE / self.name).touch()
        self._say_once(f"{self.name}: done")

    def _say_once(self, text: str) -> None:
        """Write to the log what it was not the last to say: an outage of an hour is a few lines."""
        if text != self._said:
            self._said = text
            say(text)


class Steward:
    """The steps of a server and the work on its repository."""

    def __init__(self, backrest: Backrest, queue: Queue) -> None:
        self._backrest = backrest
        self._queue = queue
        self._applied = ""
        self._unrecorded: tuple[Work, Outcome] | None = None
        self._looked_at_passwords = self._looked_at_repository = self._measured = NEVER
        actions = (server_is_up, self.roles, self.interrupted, self.stanza, self.archive, self.first_backup)
        self._steps = {action.__name__: Step(action.__name__, action) for action in actions}
        self._steps["server_is_up"] = Step("server_is_up", server_is_up, RETRY_FROM)  # the control plane waits for it

    def look(self) -> None:
        """Go on with whatever is not done yet; do one piece of work."""
        try:
            self._set_up()
            if self._steps["interrupted"].done:
                self._work()
                self._refresh()
        except psycopg2.Error as error:
            say(f"the server is away: {str(error).strip()}")
            for name in ("server_is_up", "interrupted"):
                self._steps[name].done = False

    def _set_up(self) -> None:
        for step in self._steps.values():
            step.attempt()
            if not step.done:
                return

    def roles(self) -> None:
        """Bring the control plane's roles and the queue's tables to what they should be."""
        self._applied = passwords()
        files = [f"--file={SQL / name}" for name in SQL_FILES]
        # Terse: an error does not quote the statement, which may hold a password.
        options = ["--no-psqlrc", "--variable=VERBOSITY=terse", "--username=postgres", "--dbname=postgres"]
        run("psql", *options, "--output=/dev/null", *files)

    def interrupted(self) -> None:
        """Record what the server was not there to hear, and that what an earlier steward was doing was not done."""
        self._record()
        self._queue.end_interrupted()
        self._looked_at_repository = NEVER

    def stanza(self) -> None:
        """Have a place for this server in the repository."""
        must(self._backrest.stanza_create())

    def archive(self) -> None:
        """See a segment reach the repository."""
        must(self._backrest.check())

    def first_backup(self) -> None:
        """Have a base backup from which to restore."""
        if self._has_backup():
            return
        self._queue.ask("full")
        while self._work():
            pass
        if not self._has_backup():
            raise Failed("there is none yet")

    def _has_backup(self) -> bool:
        return any(stanza["backup"] for stanza in self._backrest.info())

    def _work(self) -> bool:
        """Do one piece of work; return whether there was any."""
        work = self._queue.claim()
        if work:
            say(f"{work.kind} ({work.id}) started")
            outcome = self._outcome(work)
            say(f"{work.kind} ({work.id}): {outcome.message if outcome.exit_code else 'done'}")
            self._unrecorded = (work, outcome)
            self._record()
            self._looked_at_repository = self._measured = NEVER
        return bool(work)

    def _record(self) -> None:
        if self._unrecorded:
            self._queue.finish(*self._unrecorded)
            self._unrecorded = None

    def _outcome(self, work: Work) -> Outcome:
        try:
            if work.kind == "expire":
                return self._backrest.expire(work.argument or "")
            if work.kind in {"check", "verify"}:
                return self._backrest.check() if work.kind == "check" else self._backrest.verify()
            return self._backrest.backup(work.kind)
        except RepositoryError as error:
            return Outcome(1, str(error))

    def _refresh(self) -> None:
        """Look at the repository, and at the passwords: a mounted Secret changes by itself when it is rotated."""
        now = time.monotonic()
        if now - self._looked_at_passwords > PASSWORDS_AGE:
            self._looked_at_passwords = now
            self._steps["roles"].done = passwords() == self._applied
        if now - self._looked_at_repository > INFO_AGE:
            self._looked_at_repository = now
            try:
                self._look_at_repository(now)
            except RepositoryError as error:
                self._queue.keep_error(str(error))

    def _look_at_repository(self, now: float) -> None:
        self._queue.keep_info(self._backrest.info())
        if now - self._measured > SIZE_AGE:
            self._queue.keep_size(self._backrest.size("backup"), self._backrest.size("archive"))
            self._measured = now


def server_is_up() -> None:
    """See that the server takes connections."""
    run("pg_isready", "--quiet", "--timeout=3")


def passwords() -> str:
    """Return a digest of the passwords that the roles should have."""
    parts = [path.read_bytes() for path in sorted(CREDENTIALS.glob("*-password"))]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def run(*command: str) -> None:
    """Run a program.

    :raises Failed: when it does not succeed
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(done.stderr.strip() or f"exit code {done.returncode}")


def must(outcome: Outcome) -> None:
    """Accept nothing but success.

    :raises Failed: with pgBackRest's own words
    """
    if outcome.exit_code:
        raise Failed(outcome.message)


def end(*_signal: object) -> None:
    """Leave the loop, wherever it is."""
    raise SystemExit(0)


def main() -> None:
    """Look after the server until told to end."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    STATE.mkdir(parents=True, exist_ok=True)
    for mark in STATE.iterdir():
        mark.unlink()
    backrest = Backrest()
    steward = Steward(backrest, Queue())
    try:
        while True:
            steward.look()
            time.sleep(LOOK)
    finally:
        backrest.stop()


if __name__ == "__main__":
    main()

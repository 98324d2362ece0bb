"""A primary with a streaming standby on this machine: PostgreSQL 17 as in the test database, thrown away afterwards."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from odoo_server import TenantRole, free_port
from stack import test_database
from stack.settings import Settings
from stack.shell import run
from stack.test_database import ADDRESS, BINARIES, INSIDE

TIMEOUT = 60  # seconds
REPLICATION = "local replication postgres peer map=superuser\n"


class Replicated:
    """Both servers, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.settings = dataclasses.replace(Settings.from_environment(), state=folder, test_database_port=free_port())
        self.standby_port = 0
        self._standby: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        """The primary's address, as the test database's."""
        return test_database.url(self.settings)

    def start(self) -> None:
        """Start the primary, copy it, and have the copy follow it."""
        test_database.ensure(self.settings)
        with (self.settings.state / "test-database" / "data" / "pg_hba.conf").open("a") as stream:
            stream.write(REPLICATION)
        test_database.start(self.settings)
        self.standby_port = free_port()
        copy = self.settings.state / "test-database" / "standby"
        copy.mkdir(mode=0o700)
        os.chown(copy, test_database.USER_ID, test_database.USER_ID)
        source = ["-h", f"{INSIDE}/socket", "-p", str(self.settings.test_database_port), "-U", "postgres"]
        self._run("pg_basebackup", "-D", f"{INSIDE}/standby", "-R", "-X", "stream", "-c", "fast", *source)
        command = [f"{BINARIES}/postgres", "-D", f"{INSIDE}/standby", "-c", f"port={self.standby_port}"]
        with (self.settings.logs / "standby.log").open("w") as log:
            self._standby = subprocess.Popen(test_database.inside(self.settings, command), stdout=log, stderr=log)

    def stop(self) -> None:
        """End both."""
        if self._standby:
            self._standby.send_signal(signal.SIGINT)
            self._standby.wait(TIMEOUT)
        test_database.stop(self.settings)

    def connect_to_standby(self, role: TenantRole) -> Any:
        """Connect to the standby as a tenant's role, to its own database."""
        return psycopg2.connect(
            host=ADDRESS, port=self.standby_port, user=role.name, password=role.password, dbname=role.name
        )

    def wait(self, role: TenantRole) -> None:
        """Wait until the standby has all that the primary has now."""
        with closing(role.connect()) as primary, primary.cursor() as cr:
            cr.execute("SELECT pg_current_wal_insert_lsn()::text")
            (position,) = cr.fetchone()
        deadline = time.monotonic() + TIMEOUT
        while not self._has(role, position):
            if time.monotonic() > deadline:
                raise AssertionError(f"the standby has not come to {position}: see {self.settings.logs}")
            time.sleep(0.05)

    @contextmanager
    def standing_still(self, role: TenantRole) -> Iterator[None]:
        """Have the standby take nothing in meanwhile: it shows the past, which tells it from the primary."""
        self.wait(role)
        self._as_superuser("SELECT pg_wal_replay_pause()")
        yield
        self._as_superuser("SELECT pg_wal_replay_resume()")
        self.wait(role)

    def _has(self, role: TenantRole, position: str) -> bool:
        try:
            with closing(self.connect_to_standby(role)) as standby, standby.cursor() as cr:
                cr.execute("SELECT pg_is_in_recovery() AND pg_last_wal_replay_lsn() >= %s::pg_lsn", [position])
                return bool(cr.fetchone()[0])
        except psycopg2.OperationalError:  # it is starting, or does not know the role yet
            return False

    def _as_superuser(self, statement: str) -> None:
        folder = self.settings.state / "test-database" / "socket"
        options = {"host": str(folder), "port": self.standby_port, "user": "postgres", "dbname": "postgres"}
        with closing(psycopg2.connect(**options)) as connection:
            connection.autocommit = True
            connection.cursor().execute(statement)

    def _run(self, program: str, *arguments: str) -> None:
        command = test_database.inside(self.settings, [f"{BINARIES}/{program}", *arguments])
        run(command, log=self.settings.logs / "standby.log")


def role_of(servers: Replicated) -> TenantRole:
    """Return a tenant's role with its database on the primary, made anew."""
    role = TenantRole(servers.url, f"loomworks_test_replicated_{os.getpid()}")
    role.create()
    return role

"""A real Odoo server on this machine, with a role and a database of its own, as a tenant has them."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
from harness.dropping import drop_database
from psycopg2 import sql

REPOSITORY = Path(__file__).resolve().parents[2]
START_TIMEOUT = 60  # seconds

# What the image's loomworks-tenant-odoo does.
LAUNCHER = f"""
import runpy
from odoo import sql_db, tools
from odoo.cli import main
runpy.run_path({str(REPOSITORY / "loomworks_client" / "private_channels.py")!r})["activate"](sql_db, tools.config)
main()
"""


class TenantRole:
    """A role that may connect to its own database and to no other."""

    def __init__(self, server_url: str, name: str) -> None:
        self._server_url = server_url
        self.name = name
        self.password = secrets.token_hex(16)

    def create(self) -> None:
        """Make the role and its empty database."""
        self.drop()
        role = sql.Identifier(self.name)
        self._run(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(self.password)))
        self._run(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 LC_COLLATE 'C'").format(role, role))
        self._run(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(role))

    def allow_databases(self) -> None:
        """Let it make databases, as an Odoo with a database manager does."""
        self._run(sql.SQL("ALTER ROLE {} CREATEDB").format(sql.Identifier(self.name)))

    def drop(self) -> None:
        """Remove both."""
        with closing(psycopg2.connect(self._server_url)) as connection:
            connection.autocommit = True
            drop_database(connection.cursor(), self.name)
        self._run(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(self.name)))

    def connect(self, database: str | None = None) -> Any:
        """Connect as this role, by default to its own database."""
        return psycopg2.connect(self.url(database))

    def url(self, database: str | None = None) -> str:
        """Return the address by which it connects, by default to its own database."""
        server = urlsplit(self._server_url)
        return f"postgresql://{self.name}:{self.password}@{server.hostname}:{server.port}/{database or self.name}"

    def _run(self, statement: sql.Composable) -> None:
        with closing(psycopg2.connect(self._server_url)) as connection:
            connection.autocommit = True
            connection.cursor().execute(statement)


class OdooServer:
    """One Odoo process on a loopback port."""

    def __init__(self, role: TenantRole, folder: Path, server_url: str, **options: Any) -> None:
        """Write its configuration into ``folder``; ``options`` go before its own."""
        self.port = free_port()
        self.log = folder / "odoo.log"
        self.configuration = folder / "odoo.conf"
        self.data = folder / "data"
        self._forgotten = 0
        self._configure(role, urlsplit(server_url), options)
        self._process: subprocess.Popen | None = None
        self._cookies = CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._cookies))

    def install(self, *modules: str) -> None:
        """Install modules in a process that ends."""
        command = [*self._command(), "-i", ",".join(modules), "--stop-after-init", "--no-http"]
        subprocess.run(command, check=True, env=_environment())

    def start(self) -> None:
        """Start serving, and wait until the login page answers."""
        self._process = subprocess.Popen(self._command(), env=_environment())
        deadline = time.monotonic() + START_TIMEOUT
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise AssertionError(f"Odoo did not start:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.2)

    def stop(self) -> None:
        """End the server."""
        if self._process:
            self._process.terminate()
            self._process.wait(30)

    def login(self, login: str, password: str, database: str) -> str:
        """Log in, and return the session's cookie."""
        self.rpc("/web/session/authenticate", db=database, login=login, password=password)
        return next(f"{cookie.name}={cookie.value}" for cookie in self._cookies if cookie.name == "session_id")

    def call(self, model: str, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method as the user who is logged in."""
        return self.rpc("/web/dataset/call_kw", model=model, method=method, args=args, kwargs=kwargs)

    def rpc(self, path: str, **params: Any) -> Any:
        """Make a JSON-RPC call and return its result."""
        body = json.dumps({"jsonrpc": "2.0", "method": "call", "params": params}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers)
        with self._opener.open(request, timeout=30) as response:
            answer = json.load(response)
        assert "error" not in answer, answer["error"]["data"]["debug"]
        return answer["result"]

    def get(self, path: str) -> bytes:
        """Return the body of a page."""
        with self._opener.open(f"http://127.0.0.1:{self.port}{path}", timeout=20) as response:
            return response.read()

    def errors(self) -> list[str]:
        """Return the errors that the server has logged since they were last forgotten."""
        lines = self.log.read_text()[self._forgotten :].splitlines()
        return [line for line in lines if " ERROR " in line or " CRITICAL " in line]

    def forget_errors(self) -> None:
        """Leave out what has been logged by now: errors that a test has provoked."""
        self._forgotten = len(self.log.read_text())

    def _answers(self) -> bool:
        try:
            return bool(self.get("/web/login"))
        except OSError:
            return False

    def _command(self) -> list[str]:
        return [sys.executable, "-c", LAUNCHER, "-c", str(self.configuration)]

    def _configure(self, role: TenantRole, server: Any, more: dict[str, Any]) -> None:
        options = {
            "db_host": server.hostname,
            "db_port": server.port,
            "db_user": role.name,
            "db_password": role.password,
            "db_name": role.name,
            "list_db": False,
            "addons_path": REPOSITORY,
            "data_dir": self.data,
            "http_interface": "127.0.0.1",
            "http_port": self.port,
            "max_cron_threads": 1,
            "server_wide_modules": "base,rpc,web,loomworks_client",
            "logfile": self.log,
            **more,
        }
        lines = "".join(f"{key} = {value}\n" for key, value in options.items())
        self.configuration.write_text(f"[options]\n{lines}")


def _environment() -> dict[str, str]:
    """What the tenant's Deployment sets; crons tell of their changes, so that a test sees the notification."""
    return {**os.environ, "LOOMWORKS_PRIVATE_CHANNELS": "1", "ODOO_NOTIFY_CRON_CHANGES": "1"}


def free_port() -> int:
    """Return a port on loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]

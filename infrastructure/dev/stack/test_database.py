"""The PostgreSQL of the host's tests (:mod:`stack.postgres_root`).

The server listens on loopback only, keeps nothing safe on disk (``fsync`` is off), and its superuser is
reachable by the unix socket alone.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path

from . import postgres_root
from .errors import StackError
from .postgres_root import BINARIES, USER_ID
from .settings import Settings
from .shell import run

ROLE = "loomworks_test"
ADDRESS = "127.0.0.1"
START_TIMEOUT = 60  # seconds
STOP_TIMEOUT = 30  # seconds
STATUS_LINE = 7  # of postmaster.pid, counted from 0

INSIDE = postgres_root.MOUNTS  # where the server sees its state folder

# Nothing safe on disk; otherwise what plans depend on is as in infrastructure/docker/postgres/conf/postgresql.conf.
CONFIGURATION = """
listen_addresses = '{address}'
port = {port}
unix_socket_directories = '{inside}/socket'
max_connections = 200
shared_buffers = 256MB
max_locks_per_transaction = 256
fsync = off
synchronous_commit = off
full_page_writes = off
max_wal_size = 4GB
random_page_cost = 1.1
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
password_encryption = scram-sha-256
"""

ACCESS = f"""local all postgres peer map=superuser
local all all scram-sha-256
host all postgres {ADDRESS}/32 reject
host all all {ADDRESS}/32 scram-sha-256
"""

IDENTITIES = """superuser root postgres
superuser postgres postgres
"""

# Single-user mode reads one statement a line.
ROLES = """CREATE ROLE {role} LOGIN CREATEDB CREATEROLE PASSWORD '{password}'
ALTER ROLE {role} SET createrole_self_grant = 'set, inherit'
REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC
GRANT CONNECT ON DATABASE postgres, template1 TO {role}
"""


def ensure(settings: Settings) -> None:
    """Make the server's files and data ready to be started; harmless when they already are."""
    folder = _folder(settings)
    if (folder / "ready").exists():
        _configure(settings, folder / "data")
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    folder.chmod(0o711)
    _initialise(settings, folder)
    (folder / "ready").touch()


def command(settings: Settings) -> list[str]:
    """Return the foreground command of the server; SIGINT ends it at once and cleanly."""
    return inside(settings, [f"{BINARIES}/postgres", "-D", f"{INSIDE}/data"])


def start(settings: Settings) -> None:
    """Start the server in the background unless it runs, and wait until it takes connections."""
    ensure(settings)
    if not running(settings):
        settings.logs.mkdir(parents=True, exist_ok=True)
        with (settings.logs / "test-database.log").open("a") as log:
            subprocess.Popen(
                command(settings), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
    wait(settings)


def stop(settings: Settings) -> None:
    """End the server, whoever started it, and wait for its end."""
    process = _process(settings)
    if process is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGINT)
    deadline = time.monotonic() + STOP_TIMEOUT
    while _process(settings) is not None:
        if time.monotonic() > deadline:
            raise StackError(f"the test database (process {process}) did not end in {STOP_TIMEOUT} s")
        time.sleep(0.1)


def running(settings: Settings) -> bool:
    """Tell whether the server runs, started by this module or by the supervisor."""
    return _process(settings) is not None


def wait(settings: Settings) -> None:
    """Wait until the server takes connections.

    :raises StackError: when it does not within ``START_TIMEOUT``
    """
    deadline = time.monotonic() + START_TIMEOUT
    while _status(settings) != "ready":
        if time.monotonic() > deadline:
            raise StackError(
                f"the test database does not answer on {ADDRESS}:{settings.test_database_port}",
                hint=f"see {settings.logs / 'test-database.log'}",
            )
        time.sleep(0.1)


def url(settings: Settings) -> str:
    """Return the address, with the password, at which databases may be created."""
    password = _password_file(settings).read_text()
    return f"postgresql://{ROLE}:{password}@{ADDRESS}:{settings.test_database_port}/postgres"


def inside(settings: Settings, argv: list[str]) -> list[str]:
    """Wrap ``argv`` to run in the server's root as its user; the same process throughout."""
    return postgres_root.inside(settings, argv, {_folder(settings): INSIDE})


def _folder(settings: Settings) -> Path:
    return settings.state / "test-database"


def _password_file(settings: Settings) -> Path:
    return _folder(settings) / "password"


def _initialise(settings: Settings, folder: Path) -> None:
    log = settings.logs / "test-database.log"
    for name in ("data", "socket"):
        (folder / name).mkdir()
        os.chown(folder / name, USER_ID, USER_ID)
    options = ["--data-checksums", "--encoding=UTF8", "--locale=C.UTF-8", "--auth-local=peer", "--auth-host=reject"]
    run(inside(settings, [f"{BINARIES}/initdb", "-D", f"{INSIDE}/data", *options]), log=log)
    _configure(settings, folder / "data")
    (folder / "data" / "pg_hba.conf").write_text(ACCESS)
    (folder / "data" / "pg_ident.conf").write_text(IDENTITIES)
    password = secrets.token_urlsafe(24)
    _keep_password(settings, password)
    statements = ROLES.format(role=ROLE, password=password)
    single_user = [f"{BINARIES}/postgres", "--single", "-D", f"{INSIDE}/data", "postgres"]
    run(inside(settings, single_user), input_text=statements)


def _configure(settings: Settings, data: Path) -> None:
    text = CONFIGURATION.format(address=ADDRESS, port=settings.test_database_port, inside=INSIDE)
    (data / "postgresql.auto.conf").write_text(text)  # it comes after all that initdb has written


def _keep_password(settings: Settings, password: str) -> None:
    path = _password_file(settings)
    path.touch(mode=0o600)
    path.write_text(password)


def _process(settings: Settings) -> int | None:
    """Return the id of the running server, if there is one: a file left by a dead one does not count."""
    lines = _lock_file(settings)
    if not lines:
        return None
    try:
        words = Path(f"/proc/{lines[0]}/cmdline").read_bytes().split(b"\0")
    except FileNotFoundError:
        return None
    return int(lines[0]) if words[0] == f"{BINARIES}/postgres".encode() else None


def _status(settings: Settings) -> str:
    """Return what the server says of itself: ``starting``, ``ready``, ``stopping`` or nothing."""
    lines = _lock_file(settings)
    return lines[STATUS_LINE].strip() if running(settings) and len(lines) > STATUS_LINE else ""


def _lock_file(settings: Settings) -> list[str]:
    try:
        return (_folder(settings) / "data" / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []

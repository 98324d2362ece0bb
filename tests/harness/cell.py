"""A database server that archives, without the cluster: PostgreSQL 17 and pgBackRest against a real S3 server.

Its configuration is that of the product's image (``infrastructure/docker/postgres/conf``), as far as a machine without
the image allows. The superuser comes in by the unix socket.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg2
from stack import postgres_root
from stack.postgres_root import BINARIES, USER_ID
from stack.settings import Settings

from .s3_server import REGION, S3Server, free_ports

CONFIGURATION = Path("infrastructure/docker/postgres/conf")
BUCKET = "loomworks-pgbackrest"
CIPHER_PASS = "a passphrase of tests"
START_TIMEOUT = 60  # seconds
TRIES = 3  # ports
PATHS = f"{BINARIES}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOT_HERE = ("hba_file", "ssl", "unix_socket_directories", "listen_addresses")  # what only the image can have

OWN_SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}/socket'
max_connections = 100
shared_buffers = 256MB
fsync = off
synchronous_commit = off
archive_timeout = 0
autovacuum_naptime = 5s
max_wal_size = 4GB
"""
ACCESS = "local all all peer map=superuser\nhost all all 127.0.0.1/32 trust\n"
IDENTITIES = "superuser root postgres\nsuperuser postgres postgres\n"


class Cell:
    """One server with its stanza ``main``; ``folder`` is below /tmp and holds everything of it."""

    def __init__(self, settings: Settings, folder: Path, s3: S3Server, settings_text: str = "") -> None:
        self._settings = settings
        self._extra = settings_text
        self.folder = folder
        self.s3 = s3
        self.port = free_ports(1)[0]
        self._process: subprocess.Popen | None = None

    # --- its life -----------------------------------------------------------------------------------

    def make(self) -> None:
        """Make the cluster, start it and create its stanza."""
        for name in ("", "data", "socket", "spool", "run", "scratch"):
            path = self.folder / name
            path.mkdir(exist_ok=True)
            os.chown(path, USER_ID, USER_ID)
        self.data.chmod(0o700)
        locale = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C.UTF-8")
        self.run("initdb", "-D", self.data, "--data-checksums", "--encoding=UTF8", *locale, "--username=postgres")
        self.s3.client().create_bucket(Bucket=BUCKET)
        self._start_anew()
        self.run("pgbackrest", "--stanza=main", "stanza-create")

    def _start_anew(self) -> None:
        """Start it for the first time, on another port where somebody has taken this one meanwhile."""
        for tries_left in reversed(range(TRIES)):
            self._configure()
            try:
                self.start()
                break
            except AssertionError as error:
                if not tries_left or "Address already in use" not in str(error):
                    raise
                self.port = free_ports(1)[0]

    def start(self) -> None:
        """Start the server and wait until it takes connections."""
        with (self.folder / "log").open("a") as log:
            argv = self.command("postgres", "-D", self.data)
            environment = {**self.environment(), "LC_ALL": "C.UTF-8"}
            self._process = subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_TIMEOUT
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise AssertionError((self.folder / "log").read_text()[-3000:])
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT is fast and clean, SIGQUIT is a crash."""
        if self._process:
            self._process.send_signal(how)
            self._process.wait(START_TIMEOUT)
            self._process = None

    # --- its parts ----------------------------------------------------------------------------------

    @property
    def data(self) -> Path:
        """PGDATA."""
        return self.folder / "data"

    def pids(self) -> list[int]:
        """Return the numbers of the server's processes."""
        first = int((self.data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, children)]

    def environment(self) -> dict[str, str]:
        """Return the environment in which its programs run, secrets of the repository included."""
        return {
            "PATH": PATHS,
            "LANG": "C.UTF-8",
            "PGBACKREST_CONFIG": f"{self.folder}/pgbackrest.conf",
            "PGBACKREST_REPO1_S3_ENDPOINT": self.s3.endpoint,
            "PGBACKREST_REPO1_S3_BUCKET": BUCKET,
            "PGBACKREST_REPO1_S3_REGION": REGION,
            "PGBACKREST_REPO1_S3_KEY": self.s3.key,
            "PGBACKREST_REPO1_S3_KEY_SECRET": self.s3.key_secret,
            "PGBACKREST_REPO1_STORAGE_CA_FILE": f"{self.folder}/ca.crt",
            "PGBACKREST_REPO1_CIPHER_PASS": CIPHER_PASS,
        }

    def command(self, *argv: str | Path) -> list[str]:
        """Wrap a command to run where PostgreSQL is."""
        return postgres_root.inside(self._settings, [str(word) for word in argv], {self.folder: str(self.folder)})

    def run(self, *argv: str | Path, env: Mapping[str, str] | None = None) -> str:
        """Run a program of PostgreSQL or pgBackRest to its end and return what it said.

        :raises AssertionError: when it fails, with its last words
        """
        environment = {**self.environment(), **(env or {})}
        done = subprocess.run(self.command(*argv), env=environment, text=True, capture_output=True, check=False)
        assert not done.returncode, f"{argv[0]}: {(done.stdout + done.stderr)[-3000:]}"
        return done.stdout

    @contextmanager
    def connect(self, database: str = "postgres") -> Iterator[psycopg2.extensions.cursor]:
        """Yield a cursor of the superuser, in autocommit."""
        connection = psycopg2.connect(
            host=str(self.folder / "socket"), port=self.port, user="postgres", dbname=database
        )
        connection.autocommit = True
        try:
            with connection.cursor() as cr:
                yield cr
        finally:
            connection.close()

    def ask(self, statement: str, database: str = "postgres", parameters: Sequence | None = None) -> list[tuple]:
        """Run one statement as the superuser and return its rows."""
        with self.connect(database) as cr:
            cr.execute(statement, parameters)
            return cr.fetchall() if cr.description else []

    # --- its work -----------------------------------------------------------------------------------

    def backup(self, kind: str = "full") -> str:
        """Take a base backup (``full``, ``diff`` or ``incr``) and return its label."""
        said = self.run("pgbackrest", "--stanza=main", f"--type={kind}", "--log-level-console=info", "backup")
        return re.search(r"new backup label = (\S+)", said)[1]

    def restore_point(self, name: str) -> str:
        """Make a named restore point and have its segment archived; return its LSN."""
        lsn = self.ask("SELECT pg_create_restore_point(%s)::text", parameters=[name])[0][0]
        self.archive()
        return lsn

    def await_promotion(self) -> None:
        """Wait until a server that was started to recover takes writes."""
        deadline = time.monotonic() + START_TIMEOUT
        while self.ask("SELECT pg_is_in_recovery()") == [(True,)]:
            if time.monotonic() > deadline:
                raise AssertionError("it is still in recovery")
            time.sleep(0.1)

    def archive(self) -> None:
        """Switch WAL and wait until the segment is in the repository."""
        self.ask("SELECT pg_create_restore_point('archived')")  # else there may be nothing to switch
        [(segment,)] = self.ask("SELECT pg_walfile_name(pg_switch_wal())")
        deadline = time.monotonic() + START_TIMEOUT
        while (
            self.ask(
                "SELECT last_archived_wal FROM pg_stat_archiver WHERE last_archived_wal >= %s", parameters=[segment]
            )
            == []
        ):
            if time.monotonic() > deadline:
                raise AssertionError(f"{segment} has not been archived")
            time.sleep(0.02)

    # --- making it ----------------------------------------------------------------------------------

    def _configure(self) -> None:
        conf = self._settings.repository / CONFIGURATION
        kept = [line for line in (conf / "postgresql.conf").read_text().splitlines() if not line.startswith(NOT_HERE)]
        own = OWN_SETTINGS.format(port=self.port, folder=self.folder)
        (self.data / "postgresql.conf").write_text("\n".join(kept) + own + self._extra)
        (self.data / "pg_hba.conf").write_text(ACCESS)
        (self.data / "pg_ident.conf").write_text(IDENTITIES)
        shutil.copy(self.s3.ca_file, self.folder / "ca.crt")
        text = (conf / "pgbackrest.conf").read_text()
        replaced = {
            "pg1-path=/var/lib/postgresql/17/main": f"pg1-path={self.data}\npg1-port={self.port}",
            "pg1-socket-path=/run/postgresql": f"pg1-socket-path={self.folder}/socket",
            "spool-path=/var/lib/postgresql/spool": f"spool-path={self.folder}/spool",
            "lock-path=/run/pgbackrest": f"lock-path={self.folder}/run",
        }
        for old, new in replaced.items():
            assert old in text, f"pgbackrest.conf has no line {old}"
            text = text.replace(old, new)
        (self.folder / "pgbackrest.conf").write_text(text)

    def _answers(self) -> bool:
        try:
            self.ask("SELECT 1")
        except psycopg2.OperationalError:
            return False
        return True


@contextmanager
def a_cell(settings_text: str = "") -> Iterator[Cell]:
    """Offer a running server with its stanza and an S3 server of its own, and leave nothing of them behind."""
    folder = Path(tempfile.mkdtemp(prefix="loomworks-cell-", dir="/tmp"))
    folder.chmod(0o755)  # PostgreSQL is another user
    settings = Settings.from_environment()
    s3 = S3Server(settings, folder / "s3")
    one = Cell(settings, folder / "cell", s3, settings_text)
    try:
        s3.start()
        one.make()
        yield one
    finally:
        one.stop()
        s3.stop()
        shutil.rmtree(folder)

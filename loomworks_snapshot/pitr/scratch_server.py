"""A PostgreSQL server on scratch space: restored from an overlay, replayed to a moment, and asked for one database."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2 import sql

from ...loomworks_tenant.errors import LoomworksError
from ..repository.errors import RepositoryDamaged
from ..repository.location import Location
from .errors import FilesMissing, ProgramFailed, TargetNotReached
from .overlay import Plan
from .programs import Programs, last_words
from .request import Request, TargetKind
from .scratch import Scratch, no_room

USER = "postgres"
LOOK = 0.05  # seconds between two looks at a recovering server
STOP_TIMEOUT = 60
SHARED_BUFFERS = "512MB"
READY = "database system is ready to accept connections"
STOPPED = re.compile(r"recovery stopping ((?:at|after|before) [a-zA-Z ]+)")
STOPS = {TargetKind.NAME: "at restore point", TargetKind.LSN: "before WAL location", TargetKind.TIME: "before"}
DAMAGED = re.compile(r"checksum|decrypt|decompress|cipher|ChecksumError|FormatError|CryptoError")
SHORT = ("recovery ended before configured recovery target was reached", "requested timeline")

# Nothing here outlives the restore: no safety against a crash, no background work, nobody from outside. Nothing is read
# ahead: records that are passed over still name pages, of files that are not there.
SETTINGS = """
config_file = '{root}/postgresql.conf'
listen_addresses = ''
port = {port}
unix_socket_directories = '{socket}'
unix_socket_permissions = 0700
hba_file = '{root}/pg_hba.conf'
ident_file = '{root}/pg_ident.conf'
shared_buffers = {shared_buffers}
maintenance_work_mem = 128MB
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
archive_mode = off
shared_preload_libraries = ''
max_logical_replication_workers = 0
hot_standby = off
recovery_prefetch = off
autovacuum = off
jit = off
max_wal_size = 64GB
wal_recycle = off
checkpoint_timeout = 1d
max_connections = 50
max_locks_per_transaction = 512
max_prepared_transactions = 20
log_destination = stderr
logging_collector = off
log_timezone = UTC
timezone = UTC
lc_messages = C
log_checkpoints = off
"""
# The socket is in a folder of this user's alone; he is whichever role he asks for.
ACCESS = "local all all peer map=restore\n"
IDENTITIES = "restore postgres all\nrestore root all\n"
PORT = 5432  # only a part of the socket's name


class ScratchServer:
    """One server in one scratch folder; :meth:`stop` may be called at any time."""

    def __init__(self, programs: Programs, scratch: Scratch, location: Location, request: Request) -> None:
        self._programs = programs
        self._scratch = scratch
        self._location = location
        self._request = request
        self._process: subprocess.Popen | None = None
        self.log = scratch.root / "postgres.log"

    # --- from the overlay to files ------------------------------------------------------------------

    def restore(self, planned: Plan, restore_command: str) -> None:
        """Have pgBackRest restore the overlay, and make sure that every file is there.

        :raises ProgramFailed: when pgBackRest fails (it compares every file's checksum)
        :raises FilesMissing: when a file is missing or has another size
        """
        self._scratch.owned()
        overlay = ["--repo1-type=posix", f"--repo1-path={self._scratch.overlay}", "--repo1-cipher-type=aes-256-cbc"]
        secret = {"PGBACKREST_REPO1_CIPHER_PASS": self._location.cipher_pass}
        self._pgbackrest_restore(planned.manifest.label, restore_command, overlay, secret)
        self._check_files(planned)

    def restore_whole(self, label: str, restore_command: str, options: Sequence[str] = ()) -> None:
        """Have pgBackRest itself restore out of the whole repository.

        With ``--db-include`` it takes as long as the server has files, without options as long as the server is large;
        nobody but pgBackRest has to know the repository's format.

        :raises RepositoryDamaged, ScratchFull, ProgramFailed: when pgBackRest fails
        """
        self._scratch.owned()
        self._pgbackrest_restore(label, restore_command, list(options), self._location.to_environment())

    def _pgbackrest_restore(
        self, label: str, restore_command: str, source: list[str], environment: dict[str, str]
    ) -> None:
        scratch, request = self._scratch, self._request
        options = [f"--target-timeline={request.target.timeline}"] if request.target.timeline else []
        if request.target.kind == TargetKind.LSN:
            options.append("--target-exclusive")  # else the first record behind the position would be replayed, too
        try:
            self._programs.run(
                "pgbackrest",
                "--no-config",
                f"--stanza={self._location.stanza}",
                *source,
                f"--pg1-path={scratch.data}",
                f"--lock-path={scratch.lock}",
                f"--process-max={request.jobs}",
                "--log-level-file=off",
                "--log-level-console=warn",
                f"--set={label}",
                f"--type={request.target.kind}",
                f"--target={request.target.value}",
                "--target-action=promote",
                *options,
                "--archive-mode=off",
                f"--tablespace-map-all={scratch.spaces}",
                f"--recovery-option=restore_command={restore_command}",
                "restore",
                env=environment,
                log=scratch.root / "restore.log",
            )
        except ProgramFailed as error:
            if scratch.is_full(error.message):
                raise no_room() from error
            if DAMAGED.search(error.message):
                raise RepositoryDamaged(f"the backup {label} is damaged: {error.message}") from error
            raise

    def _check_files(self, planned: Plan) -> None:
        """A file that is missing before the start is made anew by replay, empty, and nothing else would notice."""
        missing = [file.name for file in planned.files if not self._is_there(file.name, file.size)]
        if missing:
            named = ", ".join(missing[:5])
            raise FilesMissing(f"{len(missing)} restored file(s) are missing or have another size: {named}")

    def _is_there(self, name: str, size: int) -> bool:
        top, _, rest = name.partition("/")
        path = self._scratch.data / rest if top == "pg_data" else self._scratch.data / name
        try:
            return path.stat().st_size == size or name in REWRITTEN
        except FileNotFoundError:
            return name in REMOVED

    # --- replay ---------------------------------------------------------------------------------------

    def replay(self, done: Callable[[], None] = lambda: None) -> None:
        """Start the server and wait until it has replayed to the target and takes statements.

        :param done: called now and then meanwhile
        :raises TargetNotReached: when the WAL ends before
        :raises ScratchFull, ProgramFailed: when the server ends for another reason
        """
        self._configure()
        with self.log.open("a") as log:
            self._process = self._programs.start("postgres", "-D", self._scratch.data, *self._settings(), log=log)
        while READY not in (said := self.log.read_text(errors="replace")):
            if self._process.poll() is not None:
                raise self._reason(self.log.read_text(errors="replace"))
            done()
            time.sleep(LOOK)
        match = STOPPED.search(said)
        if not match or STOPS[self._request.target.kind] not in match[1]:
            raise TargetNotReached(f"the scratch server did not stop at the target: {last_words(said)}")

    def _settings(self) -> list[str]:
        """The settings as arguments: what somebody once set by ALTER SYSTEM on the original gives way to them."""
        root = self._scratch.root
        text = SETTINGS.format(port=PORT, socket=self._scratch.socket, root=root, shared_buffers=SHARED_BUFFERS)
        return [
            word for line in text.split("\n") if line for word in ("-c", line.replace(" = ", "=", 1).replace("'", ""))
        ]

    def _configure(self) -> None:
        root = self._scratch.root
        for name, text in (("postgresql.conf", ""), ("pg_hba.conf", ACCESS), ("pg_ident.conf", IDENTITIES)):
            (root / name).write_text(text)
            self._scratch.own(root / name)

    def _reason(self, said: str) -> LoomworksError:
        """Return why the server has ended, from its log."""
        if self._scratch.is_full(said):
            return no_room()
        if any(words in said for words in SHORT):
            target = self._request.target
            return TargetNotReached(
                f"the WAL in the repository ends before {target.kind} {target.value}: {last_words(said)}",
                "Take an earlier moment, or look whether the server's archive has a gap.",
            )
        return ProgramFailed(f"the scratch server ended: {last_words(said)}")

    # --- asking it ------------------------------------------------------------------------------------

    @contextmanager
    def connect(self, database: str) -> Iterator[Any]:
        """Yield a cursor of the owner of ``database``.

        Code that he has hung on a table (behind an index, as a trigger) runs as whoever comes. As the superuser, that
        would be this whole Job, which sees pages of other tenants and has the way into the repository.
        """
        with self._as(USER, "postgres") as cr:
            cr.execute("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", [database])
            [owner] = cr.fetchone()
        with self._as(owner, database) as cr:
            yield cr

    @contextmanager
    def _as(self, role: str, database: str) -> Iterator[Any]:
        connection = psycopg2.connect(host=str(self._scratch.socket), port=PORT, user=role, dbname=database)
        try:
            with connection.cursor() as cr:
                yield cr
        finally:
            connection.close()

    def database_number(self, name: str) -> int | None:
        """Return the number of a database, or None when there is none of this name."""
        with self._as(USER, "postgres") as cr:
            cr.execute("SELECT oid::int8 FROM pg_database WHERE datname = %s", [name])
            found = cr.fetchone()
        return found[0] if found else None

    def open_database(self, name: str) -> None:
        """Let connections in to a database that was closed at the target (its tenant was archived, say)."""
        with self._as(USER, "postgres") as cr:
            cr.execute(sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true").format(sql.Identifier(name)))
            cr.connection.commit()

    def has_files(self, name: str) -> bool:
        """Tell whether a database that the catalogue names is there at all."""
        try:
            with self._as(USER, name):
                return True
        except psycopg2.OperationalError as error:
            if "is not a valid data directory" not in str(error):
                raise
            return False

    def is_full(self, said: str) -> bool:
        """Tell whether its disk is what an error is about (:meth:`Scratch.is_full`)."""
        return self._scratch.is_full(said)

    def address(self) -> dict[str, str]:
        """Return the environment by which PostgreSQL's programs find it."""
        return {"PGHOST": str(self._scratch.socket), "PGPORT": str(PORT), "PGUSER": USER}

    def stop(self) -> None:
        """End it at once; nothing of it is needed any more."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGQUIT)
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


# pgBackRest writes the recovery's settings into one file, and leaves out what a recovery must not find (tablespaces
# have links by then).
REWRITTEN = frozenset({"pg_data/postgresql.auto.conf"})
REMOVED = frozenset(
    f"pg_data/{name}" for name in ("tablespace_map", "postmaster.pid", "recovery.signal", "standby.signal")
)

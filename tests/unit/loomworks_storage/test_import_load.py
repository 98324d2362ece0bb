r"""A dump of a stranger, loaded by the real psql and pg_restore: all or nothing, and nothing beyond its database."""

import io
import os
import secrets
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg2
import pytest
from addons.loomworks_storage.filestore.folder import Folder
from addons.loomworks_storage.importing import __main__ as program
from addons.loomworks_storage.importing.errors import DatabaseAway, DumpRefused
from addons.loomworks_storage.importing.load import BLOCK, _restricted, load, look, require_harmless
from addons.loomworks_storage.importing.place import SourceLocation
from addons.loomworks_storage.importing.source import DumpKind
from filestores import digest_of, location_of, open_store
from harness.dropping import drop_database
from psycopg2 import sql
from stack import postgres_root
from stack.settings import Settings

ODOO = r"""
CREATE TABLE ir_module_module (id serial PRIMARY KEY, name text, latest_version text);
INSERT INTO ir_module_module (name, latest_version) VALUES ('base', '19.0.1.3'), ('web', '19.0.1.0');
CREATE TABLE odd (a text, b bytea);
INSERT INTO odd VALUES (E'\restrict me', '\x00ff'), (E'a\tb\\! ls\n\\.', NULL), (':variable `date`', NULL);
CREATE TABLE child (id int REFERENCES ir_module_module);
INSERT INTO child VALUES (1);
"""
END = b"--\n-- PostgreSQL database dump complete\n--\n"


def wrap(argv):
    """Run a program of PostgreSQL 17 where it is on this machine."""
    settings = Settings.from_environment()
    return postgres_root.inside(settings, [f"{postgres_root.BINARIES}/{argv[0]}", *argv[1:]], {})


class Server:
    """The test database's server, with a role of a tenant's rights."""

    def __init__(self):
        self.url = urlsplit(os.environ["PG_URL"])
        self.role, self.password = f"t_import_{secrets.token_hex(4)}", secrets.token_hex(8)
        self.databases = []
        self.ask(f"CREATE ROLE {self.role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '{self.password}'")
        self.ask(f"GRANT {self.role} TO CURRENT_USER")

    def connect(self, database=None, *, own=False):
        user = {"user": self.role, "password": self.password} if own else {}
        return psycopg2.connect(os.environ["PG_URL"], **({"dbname": database} if database else {}), **user)

    def ask(self, query, database=None):
        connection = self.connect(database)
        connection.autocommit = True
        with connection.cursor() as cr:
            cr.execute(query)
            found = cr.fetchall() if cr.description else None
        connection.close()
        return found

    def database(self):
        """Make an empty database of the role, and return its name."""
        name = f"{self.role}_{len(self.databases)}"
        self.ask(f"CREATE DATABASE {name} OWNER {self.role} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C'")
        self.databases.append(name)
        return name

    def remove(self):
        """Take away what it made."""
        connection = self.connect()
        connection.autocommit = True
        with connection.cursor() as cr:
            for name in self.databases:
                drop_database(cr, name)
        connection.close()
        self.ask(f"DROP ROLE {self.role}")

    def address(self, database):
        return {
            "PGHOST": self.url.hostname,
            "PGPORT": str(self.url.port),
            "PGUSER": self.role,
            "PGPASSWORD": self.password,
            "PGDATABASE": database,
        }

    def dump(self, database, *options):
        argv = wrap(["pg_dump", "--no-owner", "--no-privileges", *options, f"--dbname={database}"])
        environment = {"PATH": os.environ["PATH"], **self.address(database)}
        return subprocess.run(argv, env=environment, capture_output=True, check=True).stdout

    def content(self, database):
        """Return all rows of all tables, as text."""
        with self.connect(database, own=True) as connection, connection.cursor() as cr:
            cr.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
            found = {}
            for (name,) in cr.fetchall():
                cr.execute(sql.SQL("SELECT t::text FROM {} t ORDER BY 1").format(sql.Identifier(name)))
                found[name] = cr.fetchall()
        connection.close()
        return found

    def load(self, data, kind=DumpKind.PLAIN, database=None, **options):
        database = database or self.database()
        load(io.BytesIO(data), kind, self.address(database), wrap, **options)
        return database

    def look(self, database, what=look):
        connection = self.connect(database, own=True)
        try:
            with connection.cursor() as cr:
                return what(cr)
        finally:
            connection.close()


@pytest.fixture(scope="module")
def server():
    one = Server()
    yield one
    one.remove()


@pytest.fixture(scope="module")
def original(server):
    """A database to make dumps of."""
    name = server.database()
    connection = server.connect(name, own=True)
    with connection, connection.cursor() as cr:
        cr.execute(ODOO)
    connection.close()
    return name


@pytest.mark.parametrize("kind", DumpKind)
def test_what_is_loaded_is_what_there_was(server, original, kind):
    data = server.dump(original, *(["--format=custom"] if kind == DumpKind.CUSTOM else []))
    database = server.load(data, kind)
    assert server.content(database) == server.content(original)
    found = server.look(database)
    assert (found.tables, found.version) == (3, "19.0.1.3")
    owners = server.ask("SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'odd'", database)
    assert owners == [(server.role,)]


@pytest.mark.parametrize("size", [1, 700, 1023, 1024, 1025, BLOCK])
def test_dump_that_switches_commands_off_by_itself_is_loaded_in_blocks_of_any_size(server, original, size):
    data = server.dump(original)
    assert b"\n\\restrict " in data
    stripped = b"".join(_restricted((data[at : at + size] for at in range(0, len(data), size)), "word"))
    if size >= data.index(b"\\restrict ") + 200:
        assert stripped.count(b"restrict ") == 2 + data.count(b"\\restrict me")
    assert stripped.endswith(b"\n\\unrestrict word\n")
    assert len(stripped) < len(data) + 100


@pytest.mark.parametrize(
    "line",
    [
        "\\! touch {proof}",
        "\\copy odd FROM PROGRAM 'touch {proof}'",
        "\\o {proof}",
        "\\g | touch {proof}",
        "SELECT 1 \\g {proof}",
        "\\w {proof}",
        "\\i /etc/passwd",
        "\\connect postgres",
        "\\unrestrict guess\n\\! touch {proof}",
        "\\set x `touch {proof}`",
    ],
)
def test_commands_of_psql_in_a_dump_are_refused(server, original, tmp_path, line):
    proof = Path("/tmp") / f"loomworks-{secrets.token_hex(8)}"
    data = server.dump(original)
    head, _, tail = data.partition(b"CREATE TABLE")
    database = server.database()
    with pytest.raises(DumpRefused, match=r"restricted|wrong|syntax|invalid"):
        server.load(head + line.format(proof=proof).encode() + b"\nCREATE TABLE" + tail, database=database)
    assert not proof.exists()
    assert server.content(database) == {}, "nothing of a refused dump stays"


@pytest.mark.parametrize(
    "statement",
    [
        "COPY public.ir_module_module FROM PROGRAM 'id';",
        "COPY public.ir_module_module TO '/tmp/x';",
        "CREATE ROLE other SUPERUSER;",
        "SET SESSION AUTHORIZATION postgres;",
        "ALTER SYSTEM SET archive_command = 'id';",
        "CREATE FUNCTION public.f() RETURNS int LANGUAGE c AS 'libc', 'system';",
        "CREATE EXTENSION file_fdw SCHEMA public;",
        "ALTER TABLE public.ir_module_module OWNER TO postgres;",
        "SELECT pg_read_file('/etc/passwd');",
    ],
)
def test_what_only_a_superuser_may_do_is_refused(server, original, statement):
    database = server.database()
    head, end, tail = server.dump(original).rpartition(b"--\n-- PostgreSQL database dump complete")
    with pytest.raises(DumpRefused, match=r"permission denied|must be able|transaction block"):
        server.load(head + f"{statement}\n".encode() + end + tail, database=database)
    assert server.content(database) == {}


def test_dump_that_is_cut_off_loads_nothing(server, original):
    for kind, options in ((DumpKind.PLAIN, []), (DumpKind.CUSTOM, ["--format=custom"])):
        data, database = server.dump(original, *options), server.database()
        with pytest.raises(DumpRefused):
            server.load(data[: data.index(b"COPY") + 60] if kind == DumpKind.PLAIN else data[:-50], kind, database)
        assert server.content(database) == {}


def test_role_with_more_rights_never_loads_a_dump(server):
    database = server.database()
    assert server.look(database, require_harmless) is None
    connection = server.connect(database)  # CREATEDB, CREATEROLE, and a member of the tenant's role
    with connection.cursor() as cr, pytest.raises(DumpRefused, match="may do more"):
        require_harmless(cr)
    connection.close()


def test_database_that_is_not_empty_is_not_loaded_into(server, original):
    with pytest.raises(DumpRefused, match="not empty"):
        server.look(original, require_harmless)


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        ("SELECT 1", "not that of an Odoo"),
        ("CREATE TABLE ir_module_module (name text, latest_version text)", "unknown"),
        (
            "CREATE TABLE ir_module_module AS SELECT 'base'::text AS name, '16.0.1.3'::text AS latest_version",
            "of Odoo 16.0.1.3",
        ),
    ],
)
def test_what_is_no_odoo_of_this_series_is_refused(server, statements, message):
    database = server.load(f"SET x.y = 1;\n{statements};\n".encode() + END)
    with pytest.raises(DumpRefused, match=message):
        server.look(database)


@pytest.mark.parametrize("kind", DumpKind)
@pytest.mark.parametrize(
    ("end", "error", "message"),
    [
        ("echo 'FATAL:  terminating connection due to administrator command' >&2; exit 3", DatabaseAway, "terminating"),
        ("echo 'server closed the connection unexpectedly' >&2; exit 1", DatabaseAway, "went away"),
        ("echo 'FATAL:  the database system is starting up' >&2; exit 2", DatabaseAway, "starting up"),
        ("kill -9 $$", DatabaseAway, "signal 9"),
        ("echo 'ERROR:  permission denied for schema public' >&2; exit 3", DumpRefused, "does not load the dump"),
        ("exit 1", DumpRefused, "without a word"),
    ],
)
def test_server_that_goes_away_is_told_apart_from_a_dump_that_is_refused(kind, end, error, message):
    with pytest.raises(error, match=message):
        load(io.BytesIO(END), kind, {"PGDATABASE": "x"}, lambda argv: ["sh", "-c", f"cat > /dev/null; {end}"])


def test_session_that_the_server_ends_is_worth_another_try(server, original):
    database = server.database()
    head, end, tail = server.dump(original).rpartition(b"--\n-- PostgreSQL database dump complete")
    with pytest.raises(DatabaseAway, match="terminating connection"):
        server.load(head + b"SELECT pg_terminate_backend(pg_backend_pid());\n" + end + tail, database=database)
    assert server.content(database) == {}


def test_files_that_take_longer_to_hash_than_a_transaction_may_wait_are_proven(server, s3, tmp_path, monkeypatch):
    content, database = b"a photograph", server.database()
    name = f"{digest_of(content)[:2]}/{digest_of(content)}"
    statements = f"""
        CREATE TABLE ir_module_module AS SELECT 'base'::text AS name, '19.0.1.3'::text AS latest_version;
        CREATE TABLE ir_attachment AS SELECT '{name}'::varchar AS store_fname, {len(content)} AS file_size;
    """
    store = open_store(SourceLocation.of(location_of(s3), f"sources/{uuid4()}"))
    store.put("acme/dump.sql", statements.encode() + END)
    store.put(f"acme/filestore/{name}", content)
    has_content, said = Folder.has_content, []

    def slow(folder, digest):
        time.sleep(0.5)
        return has_content(folder, digest)

    monkeypatch.setattr(Folder, "has_content", slow)
    monkeypatch.setenv("PGOPTIONS", "-c idle_in_transaction_session_timeout=200ms")  # of the sessions of this process
    request = program.Request("", source="acme", folder=str(tmp_path / "files"))
    assert program.bring(request, store, server.address(database), said.append, wrap), said[-1]
    assert said[-1]["report"]["arrival"]["there"] == 1


def test_source_that_breaks_off_ends_the_program(server):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            raise OSError("the source is gone")

    with pytest.raises(OSError, match="gone"):
        load(Broken(), DumpKind.PLAIN, server.address(server.database()), wrap)

"""Operations read in a tenant's database, which is the tenant's own: also when it has been made a trap."""

import os
import secrets
from contextlib import closing
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import psycopg2
import pytest
from addons.loomworks_snapshot.timeline import operations
from addons.loomworks_snapshot.timeline.operations import Found, LogNotPlain
from addons.loomworks_tenant.errors import DatabaseRefused, RetryableError
from addons.loomworks_tenant.postgres.server import DatabaseServer
from factories import server_spec
from harness.dropping import drop_database
from psycopg2 import sql

URL = os.environ.get("PG_URL", "")
NOON = datetime(2026, 11, 21, 12)  # noqa: DTZ001  (UTC, as Odoo keeps it)
LOG = """
    CREATE TABLE loomworks_ai_operation_log (
        id serial PRIMARY KEY, session_id varchar, agent_id integer, user_id integer, tool_name varchar,
        operation_type varchar, model_name varchar, method_name varchar, record_ids jsonb, state varchar,
        error_message text, execution_time_ms integer, row_changes integer, lsn varchar, timeline integer,
        undoes jsonb, started_at timestamp);
    CREATE INDEX ON loomworks_ai_operation_log (started_at);
    CREATE INDEX ON loomworks_ai_operation_log USING gin (undoes jsonb_path_ops) WHERE undoes IS NOT NULL;
    CREATE FUNCTION counted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER captured AFTER INSERT ON loomworks_ai_operation_log FOR EACH ROW EXECUTE FUNCTION counted();
    CREATE TABLE res_users (id serial PRIMARY KEY, login varchar, password varchar);
    INSERT INTO res_users (login) VALUES ('robin'), ('mona');
"""
ADD = """
    INSERT INTO loomworks_ai_operation_log (agent_id, user_id, tool_name, operation_type, model_name, method_name,
        record_ids, state, row_changes, lsn, timeline, started_at)
    VALUES (1, 1, 'mcp', 'write', 'res.partner', 'write', '[4, 5]', 'done', 3, '0/5000028', 1, %s)
"""
# What a tenant's owner may have made, to be run by whoever reads: it would tell who that was.
TRAP = """
    CREATE TABLE caught (who text);
    CREATE FUNCTION trap(anyelement) RETURNS anyelement LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN RAISE EXCEPTION 'trapped as %', current_user USING ERRCODE = 'LW001'; END $$;
"""
HARMLESS = "CREATE FUNCTION trap(anyelement) RETURNS anyelement LANGUAGE sql IMMUTABLE AS 'SELECT $1'"


def as_superuser(statement, *names, database="postgres"):
    with closing(psycopg2.connect(URL, dbname=database)) as connection:
        connection.autocommit = True
        connection.cursor().execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@pytest.fixture(scope="module")
def roles():
    """A tenant, and the role that has made it: no superuser, and a member of the tenant's role."""
    if not URL:
        pytest.fail("PG_URL is not set: run `make test-unit`")
    mark = secrets.token_hex(4)
    tenant, provisioner = f"t_{mark}", f"provisioner_{mark}"
    as_superuser("CREATE ROLE {} LOGIN PASSWORD 'tenant'", tenant)
    as_superuser("CREATE ROLE {} LOGIN CREATEROLE CREATEDB PASSWORD 'provisioner'", provisioner)
    as_superuser("GRANT {} TO {} WITH ADMIN OPTION", tenant, provisioner)
    yield tenant, provisioner
    as_superuser("DROP ROLE {}", provisioner)
    as_superuser("DROP ROLE {}", tenant)


@pytest.fixture
def database(roles):
    """The tenant's database, without tables."""
    name = f"lw_timeline_{secrets.token_hex(4)}"
    as_superuser("CREATE DATABASE {} OWNER {}", name, roles[0])
    yield name
    with closing(psycopg2.connect(URL)) as connection:
        connection.autocommit = True
        drop_database(connection.cursor(), name)


@pytest.fixture
def tenant(roles, database):
    """Execute something as the tenant's owner."""
    connection = psycopg2.connect(URL, dbname=database, user=roles[0], password="tenant")
    connection.autocommit = True
    yield connection.cursor().execute
    connection.close()


@pytest.fixture
def server(roles, monkeypatch):
    """The server, as its provisioning role."""
    monkeypatch.setenv("TIMELINE_PASSWORD", "provisioner")
    place = {"host": urlsplit(URL).hostname, "port": urlsplit(URL).port, "user": roles[1], "sslmode": "disable"}
    return DatabaseServer(server_spec(**place, password_reference="env:TIMELINE_PASSWORD"))


@pytest.fixture
def three(tenant):
    """Operations of three hours."""
    tenant(LOG)
    for hours in range(3):
        tenant(ADD, [NOON + timedelta(hours=hours)])


def read(server, database, since=0, until=9, limit=100):
    hours = (NOON + timedelta(hours=number) for number in (since, until))
    return operations.read(server, database, *hours, limit)


def test_newest_first_with_what_a_page_needs(server, database, three):
    found = read(server, database)
    assert [one.number for one in found.operations] == [3, 2, 1]
    assert (found.complete, found.known) == (True, True)
    newest = found.operations[0]
    assert (newest.at, newest.agent, newest.user, newest.tool) == (NOON + timedelta(hours=2), "robin", "robin", "mcp")
    assert (newest.model, newest.method, newest.records, newest.changes) == ("res.partner", "write", 2, 3)
    assert (newest.state, newest.lsn, newest.timeline) == ("done", "0/5000028", 1)


def test_window_and_limit(server, database, three):
    assert [one.number for one in read(server, database, 1, 1).operations] == [2]
    found = read(server, database, limit=2)
    assert ([one.number for one in found.operations], found.complete) == ([3, 2], False)
    assert read(server, database, limit=3).complete


def test_one_and_how_many_since(server, database, three, tenant):
    assert operations.one(server, database, 2).at == NOON + timedelta(hours=1)
    assert operations.one(server, database, 99) is None
    tenant("UPDATE loomworks_ai_operation_log SET row_changes = 0 WHERE id = 3")
    assert operations.count_since(server, database, NOON + timedelta(hours=1)) == 1


def test_database_without_the_addon_or_of_an_older_version(server, database, tenant):
    assert read(server, database) == Found(known=False)
    assert operations.one(server, database, 1) is None
    assert operations.count_since(server, database, NOON) is None
    tenant(LOG)
    tenant(ADD, [NOON])
    for column in ("tool_name", "record_ids", "row_changes"):
        tenant(f"ALTER TABLE loomworks_ai_operation_log DROP COLUMN {column}")
    (one,) = read(server, database).operations
    assert (one.tool, one.records, one.changes, one.model) == ("", 0, 0, "res.partner")
    assert operations.count_since(server, database, NOON) == 1
    tenant("ALTER TABLE loomworks_ai_operation_log DROP COLUMN lsn")
    assert not read(server, database).known


def test_odd_values_are_read(server, database, tenant):
    tenant(LOG)
    tenant("INSERT INTO loomworks_ai_operation_log (started_at, record_ids) VALUES (%s, '{}')", [NOON])
    (one,) = read(server, database).operations
    assert (one.state, one.lsn, one.agent, one.records) == ("", "", "", 0)


def test_view_in_its_place_is_not_read(server, database, three, tenant):
    tenant("ALTER TABLE loomworks_ai_operation_log RENAME TO elsewhere")
    tenant(TRAP)
    tenant("CREATE VIEW loomworks_ai_operation_log AS SELECT * FROM elsewhere WHERE trap(id) > 0")
    for call in (read, lambda *where: operations.one(*where, 1), lambda *where: operations.count_since(*where, NOON)):
        with pytest.raises(LogNotPlain, match="not as Odoo makes it"):
            call(server, database)


@pytest.mark.parametrize(
    "trap",
    [
        "CREATE INDEX ON loomworks_ai_operation_log (started_at) WHERE trap(1) > 0",
        "CREATE INDEX ON loomworks_ai_operation_log (trap(id))",
        "CREATE STATISTICS ON trap(id), trap(timeline) FROM loomworks_ai_operation_log",
        "ALTER TABLE loomworks_ai_operation_log ADD CHECK (trap(1) > 0)",
        "CREATE INDEX ON res_users (login) WHERE trap(1) > 0",
        "ALTER TABLE loomworks_ai_operation_log ENABLE ROW LEVEL SECURITY",
    ],
)
def test_code_that_hangs_on_the_table_is_never_run(server, database, three, tenant, trap):
    tenant(HARMLESS)
    tenant(trap)
    tenant(TRAP.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
    with pytest.raises(LogNotPlain):
        read(server, database)


def test_operators_and_casts_of_the_tenants_are_not_taken(server, database, three, tenant):
    tenant("CREATE SCHEMA trap")
    tenant(
        "CREATE FUNCTION trap.at_least(timestamp, timestamp) RETURNS boolean LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'trapped'; END $$"
    )
    tenant("CREATE OPERATOR trap.>= (LEFTARG = timestamp, RIGHTARG = timestamp, FUNCTION = trap.at_least)")
    tenant(sql.SQL("ALTER DATABASE {} SET search_path = trap, pg_catalog, public").format(sql.Identifier(database)))
    assert len(read(server, database).operations) == 3
    tenant("CREATE TYPE public.state AS ENUM ('done')")
    tenant("ALTER TABLE public.loomworks_ai_operation_log ALTER state TYPE public.state USING state::public.state")
    assert not read(server, database).known


def test_what_cannot_be_asked_is_said(server, database, three, tenant):
    with pytest.raises(DatabaseRefused, match="does not exist"):
        read(server, "lw_timeline_nowhere")
    tenant("BEGIN; LOCK TABLE loomworks_ai_operation_log")
    with pytest.raises(RetryableError):
        read(server, database)
    tenant("ROLLBACK")

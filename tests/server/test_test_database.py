"""The test database is what the tests take it for: PostgreSQL 17, private, as strict about roles as the real one."""

import os
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from odoo_server import TenantRole
from stack import test_database
from stack.settings import Settings

SETTINGS = Settings.from_environment()


@pytest.fixture
def cursor(server_url):
    """A cursor of the role that tests are given."""
    with closing(psycopg2.connect(server_url)) as connection:
        connection.autocommit = True
        yield connection.cursor()


@pytest.fixture
def other(server_url):
    """Another role with a database of its own."""
    role = TenantRole(server_url, f"loomworks_test_other_{os.getpid()}")
    role.create()
    yield role
    role.drop()


def one(cursor, statement):
    cursor.execute(statement)
    return cursor.fetchone()


def test_server_is_version_17_with_checksums(cursor):
    assert one(cursor, "SHOW server_version")[0].startswith("17.")
    assert one(cursor, "SHOW data_checksums") == ("on",)


def test_server_listens_on_loopback_only(cursor):
    assert one(cursor, "SHOW listen_addresses") == ("127.0.0.1",)


def test_role_of_the_tests_is_the_provisioners_equal(cursor):
    attributes = "rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"
    assert one(cursor, f"SELECT {attributes} FROM pg_roles WHERE rolname = current_user") == (
        False,
        True,
        True,
        False,
        False,
    )
    assert one(cursor, "SHOW createrole_self_grant") == ("set, inherit",)


def test_superuser_is_not_reached_by_network():
    with pytest.raises(psycopg2.OperationalError, match="rejects connection"):
        psycopg2.connect(host="127.0.0.1", port=SETTINGS.test_database_port, user="postgres", dbname="postgres")


def test_superuser_is_reached_by_socket():
    folder = str(SETTINGS.state / "test-database" / "socket")
    options = {"host": folder, "port": SETTINGS.test_database_port, "user": "postgres", "dbname": "postgres"}
    with closing(psycopg2.connect(**options)) as connection:
        assert one(connection.cursor(), "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == (True,)


@pytest.mark.parametrize("database", ["postgres", "template1"])
def test_other_roles_cannot_connect_to_shared_databases(other, database):
    with pytest.raises(psycopg2.OperationalError, match="permission denied"):
        other.connect(database)


def test_owner_of_a_database_may_create_hstore(other):
    with closing(other.connect()) as connection:
        connection.cursor().execute("CREATE EXTENSION hstore")


def test_server_leaves_no_mount_on_the_machine():
    assert "postgres-root" not in Path("/proc/self/mounts").read_text()


def test_password_is_readable_by_its_owner_only():
    assert (SETTINGS.state / "test-database" / "password").stat().st_mode & 0o777 == 0o600


def test_starting_what_runs_changes_nothing(cursor):
    started = one(cursor, "SELECT pg_postmaster_start_time()")
    test_database.start(SETTINGS)
    assert one(cursor, "SELECT pg_postmaster_start_time()") == started

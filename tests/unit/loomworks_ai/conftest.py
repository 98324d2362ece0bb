"""A database of its own for each test, whose owner is no superuser, on the test database's server."""

import secrets

import psycopg2
import pytest
from journal_databases import URL, database, server


@pytest.fixture(scope="session")
def owner():
    """An ordinary role, for the length of the run."""
    if not URL:
        pytest.fail("PG_URL is not set: run `make test-unit`")
    name = f"journal_{secrets.token_hex(4)}"
    server("CREATE ROLE {} LOGIN PASSWORD 'journal' NOSUPERUSER NOCREATEDB", name)
    yield name
    server("DROP ROLE {}", name)


@pytest.fixture
def dsn(owner):
    """An empty database that belongs to the ordinary role."""
    yield from database(owner)


@pytest.fixture
def connect(dsn):
    """Open connections to the database; they are closed at the end."""
    opened = []

    def connect():
        opened.append(psycopg2.connect(dsn))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def db(connect):
    """One connection."""
    return connect()

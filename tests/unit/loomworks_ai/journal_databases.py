"""Databases of an ordinary owner, on the test database's server."""

import os
import secrets

import psycopg2
from harness.dropping import drop_database
from psycopg2 import sql
from psycopg2.extensions import make_dsn, parse_dsn

URL = os.environ.get("PG_URL", "")


def server(statement, *names):
    """Run one statement on the server as its administrator."""
    connection = psycopg2.connect(URL)
    connection.autocommit = True
    with connection.cursor() as cr:
        cr.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
    connection.close()


def database(owner):
    """Make a database, yield its address as its owner, and drop it."""
    name = f"journal_{secrets.token_hex(6)}"
    server("CREATE DATABASE {} OWNER {} TEMPLATE template0", name, owner)
    yield make_dsn(**{**parse_dsn(URL), "dbname": name, "user": owner, "password": "journal"})
    connection = psycopg2.connect(URL)
    connection.autocommit = True
    with connection.cursor() as cr:
        drop_database(cr, name)
    connection.close()

"""Databases on the test database's server, and the way into them as its boundary offers it."""

import os
from contextlib import contextmanager

import psycopg2
from harness.dropping import drop_database
from psycopg2.extras import RealDictCursor


@contextmanager
def connect(name):
    """Yield a cursor whose rows are dicts; what was done is committed at the end."""
    connection = psycopg2.connect(os.environ["PG_URL"], dbname=name, cursor_factory=RealDictCursor)
    try:
        with connection, connection.cursor() as cr:
            yield cr
    finally:
        connection.close()


@contextmanager
def made(*names):
    """Have empty databases of these names, as long as the block runs."""
    connection = psycopg2.connect(os.environ["PG_URL"])
    connection.autocommit = True
    try:
        with connection.cursor() as cr:
            for name in names:
                drop_database(cr, name)
                cr.execute(f"CREATE DATABASE {name} TEMPLATE template0")
            yield
            for name in names:
                drop_database(cr, name)
    finally:
        connection.close()

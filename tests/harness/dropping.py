"""Drop a database as a role that is no superuser."""

from psycopg2 import sql

END_SESSIONS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = %s AND usesysid IN (SELECT oid FROM pg_roles WHERE NOT rolsuper)
"""


def drop_database(cursor, name: str) -> None:
    """End the sessions of a database and drop it. WITH (FORCE) would give up where autovacuum is at work."""
    cursor.execute(END_SESSIONS, [name])
    cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))

"""The new database of a restore, and the passing role that fills it: the only SQL of the flow."""

from __future__ import annotations

import psycopg2.extensions
from psycopg2 import sql

from ...loomworks_tenant.postgres import statements
from ...loomworks_tenant.postgres.server import DatabaseServer, compose
from ..pitr.checks import UNCHECKED_KEYS

# It logs in for as long as a restore may take, and whatever it makes is the tenant's.
CREATE_ROLE = "CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION IN ROLE {owner}"
ROLE_PASSWORD = "ALTER ROLE {role} PASSWORD {password} VALID UNTIL {until}"
ACT_AS_OWNER = "ALTER ROLE {role} SET role = {owner}"
ALLOW = "GRANT CONNECT ON DATABASE {database} TO {role}"
UNTIL = "SELECT (now() + interval '1 day')::text AS until"
# What an Odoo database has to have, and how much of it there is.
CONTENT = """
    SELECT count(*) FILTER (WHERE c.relkind = 'r' AND c.relpersistence = 'p') AS tables,
           bool_or(c.relname = 'ir_module_module') AS is_odoo
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
"""


def ensure_filler(server: DatabaseServer, role: str, password: str, owner: str, database: str) -> None:
    """Let ``role`` log in to ``database`` for a day, acting as ``owner``."""
    with server.connect() as cr:
        verifier = psycopg2.extensions.encrypt_password(password, role, cr.connection, "scram-sha-256")
        cr.execute(statements.ROLE_EXISTS, {"role": role})
        if not cr.fetchone():
            cr.execute(compose(CREATE_ROLE, role=role, owner=owner))
        cr.execute(UNTIL)
        until = sql.Literal(cr.fetchone()["until"])
        cr.execute(compose(ROLE_PASSWORD, role=role, password=sql.Literal(verifier), until=until))
        cr.execute(compose(ACT_AS_OWNER, role=role, owner=owner))
        cr.execute(compose(ALLOW, database=database, role=role))


def drop_filler(server: DatabaseServer, role: str, database: str) -> None:
    """Remove the role and what it was allowed."""
    with server.connect() as cr:
        cr.execute(statements.ROLE_EXISTS, {"role": role})
        there = cr.fetchone()
        cr.execute(statements.DATABASE, {"database": database})
        if there and cr.fetchone():
            cr.execute(compose("REVOKE ALL ON DATABASE {database} FROM {role}", database=database, role=role))
        cr.execute(compose(statements.DROP_ROLE, role=role))


def content(server: DatabaseServer, database: str) -> dict[str, int]:
    """Return tables and is_odoo of a database."""
    with server.connect(database) as cr:
        cr.execute(CONTENT)
        return dict(cr.fetchone())


def unchecked_keys(server: DatabaseServer, database: str) -> set[str]:
    """Return the names of a database's foreign keys that its rows may break (NOT VALID)."""
    with server.connect(database) as cr:
        cr.execute(UNCHECKED_KEYS)
        return {row["name"] for row in cr.fetchall()}

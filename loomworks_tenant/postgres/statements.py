"""The SQL of the database server boundary: named, described, values bound, identifiers composed.

``{name}`` in a statement is an identifier composed by :mod:`psycopg2.sql`; ``%(name)s`` is bound.
"""

from __future__ import annotations

# Is there a role, and may this connection act as it?
ROLE_EXISTS = "SELECT 1 FROM pg_roles WHERE rolname = %(role)s"

# A tenant's role: it may log in and nothing else.
CREATE_ROLE = (
    "CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION "
    "CONNECTION LIMIT {limit} PASSWORD {password}"
)

# The password and limit of an existing role; the password travels as a SCRAM verifier, never in clear.
ALTER_ROLE = "ALTER ROLE {role} CONNECTION LIMIT {limit} PASSWORD {password}"

DROP_ROLE = "DROP ROLE IF EXISTS {role}"

# One database: who owns it, whether it may be connected to, whether it is a template.
DATABASE = """
    SELECT datname, pg_get_userbyid(datdba) AS owner, datallowconn, datistemplate
      FROM pg_database WHERE datname = %(database)s
"""

DATABASES_OF = """
    SELECT datname FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE rolname = %(role)s ORDER BY datname
"""

# WAL_LOG: the copy travels in the WAL like any other change, which a selective restore relies on.
# No connection until CONNECT has been taken from PUBLIC, which every new database grants.
CLONE_DATABASE = (
    "CREATE DATABASE {database} WITH OWNER {owner} TEMPLATE {template} STRATEGY WAL_LOG ALLOW_CONNECTIONS false"
)

CREATE_EMPTY_DATABASE = (
    "CREATE DATABASE {database} WITH TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8' "
    "STRATEGY WAL_LOG ALLOW_CONNECTIONS false"
)

CLOSE_TO_PUBLIC = "REVOKE ALL ON DATABASE {database} FROM PUBLIC"
ALLOW_CONNECTIONS = "ALTER DATABASE {database} WITH ALLOW_CONNECTIONS {allowed}"
LIMIT_CONNECTIONS = "ALTER DATABASE {database} WITH CONNECTION LIMIT {limit}"
MARK_TEMPLATE = "ALTER DATABASE {database} WITH IS_TEMPLATE {template}"
RENAME_DATABASE = "ALTER DATABASE {database} RENAME TO {new_name}"
DROP_DATABASE = "DROP DATABASE IF EXISTS {database}"

# Everything in this database that the template's role owns becomes the tenant's.
HAND_OVER = "REASSIGN OWNED BY {template_role} TO {owner}"
# Schemas go first: a function is only handed to a role that may create in its schema.
SCHEMAS_OF = "SELECT nspname FROM pg_namespace WHERE nspowner = %(owner)s::regrole ORDER BY nspname"
HAND_OVER_SCHEMA = "ALTER SCHEMA {schema} OWNER TO {owner}"

# How many objects of this database still belong to another role than its owner (catalogue objects aside).
FOREIGN_OBJECTS = """
    SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%%'
       AND pg_get_userbyid(c.relowner) <> %(owner)s
"""

# End whatever is connected to a database (its backends are gone shortly after, not at once).
# Not those of superusers, which may not be ended, and not autovacuum, which has no user and ends by itself.
TERMINATE = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = %(database)s AND pid <> pg_backend_pid()
       AND usesysid IN (SELECT oid FROM pg_roles WHERE NOT rolsuper)
"""

# What tells an operator that a server is fit: version, tenants' databases, connections.
SERVER_FACTS = """
    SELECT current_setting('server_version') AS version,
           current_setting('data_checksums') = 'on' AS data_checksums,
           current_setting('archive_mode') <> 'off' AS archiving,
           current_setting('max_connections')::int AS max_connections,
           (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
           (SELECT coalesce(sum(pg_database_size(oid)), 0)::bigint FROM pg_database
             WHERE has_database_privilege(oid, 'CONNECT')) AS size_bytes
"""

# The two roles of templates: one owns their tables and cannot log in, the other logs in and acts as the first.
CREATE_TEMPLATE_ROLE = "CREATE ROLE {role} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE"
ACT_AS = "ALTER ROLE {role} SET role = {template_role}"
GRANT_ROLE = "GRANT {template_role} TO {role}"

# A template under construction: its builders may connect, and the template's role owns the schema.
OPEN_TO = "GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {database} TO {role}"
OWN_SCHEMA = "ALTER SCHEMA public OWNER TO {role}"
SET_ROLE = "SET ROLE {role}"
CREATE_EXTENSION = "CREATE EXTENSION IF NOT EXISTS {extension}"

# What a template lacks before it may be used: modules not installed, attachments outside the database.
TEMPLATE_FAULTS = """
    SELECT coalesce((SELECT string_agg(wanted, ', ' ORDER BY wanted)
                       FROM unnest(%(modules)s::text[]) AS wanted
                      WHERE NOT EXISTS (SELECT 1 FROM ir_module_module
                                         WHERE name = wanted AND state = 'installed')), '') AS missing_modules,
           (SELECT count(*) FROM ir_attachment WHERE store_fname IS NOT NULL) AS stored_files
"""

# PostgreSQL writes a sequence to the WAL 32 numbers ahead, and a copy by WAL_LOG takes over what is left of these: what
# the copy gives out then is in no WAL, and comes once more after a crash or a restore. With nothing left, its first
# number is written.
LOG_SEQUENCES = """
    SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, last_value)
      FROM pg_sequences WHERE last_value IS NOT NULL
"""

# Template databases of one plan, finished or not, other than the current one.
OLD_TEMPLATES = """
    SELECT datname FROM pg_database
     WHERE datname LIKE %(prefix)s AND datname <> ALL(%(keep)s)
"""

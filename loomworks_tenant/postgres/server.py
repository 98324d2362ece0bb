"""The only place that talks to a database server as its provisioning role.

The role has CREATEDB and CREATEROLE and is no superuser. What it creates it administers
(``createrole_self_grant = 'set, inherit'``), so that it can hand a clone over to its tenant.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg2
import psycopg2.errors
import psycopg2.extensions
from psycopg2 import sql
from psycopg2.extras import RealDictCursor

from .. import secret_reference
from ..errors import (
    DatabaseRefused,
    LoomworksError,
    RetryableError,
    ServerFull,
    ServerUnreachable,
    TemplateMissing,
)
from ..reconciler.spec import ServerSpec
from . import statements

BUILT_IN = "pg_catalog"  # a search path on which nobody can put anything
CONNECT_TIMEOUT = 5  # seconds
STATEMENT_TIMEOUT = 120_000  # milliseconds; cloning a template of many files is the longest
TEMPLATE_ROLE = "loomworks_template"  # NOLOGIN, owns the templates' tables and no database
BUILDER_ROLE = "loomworks_builder"  # LOGIN, acts as TEMPLATE_ROLE while a template is built

_FULL = (psycopg2.errors.DiskFull, psycopg2.errors.TooManyConnections, psycopg2.errors.ConfigurationLimitExceeded)
_PASSING = (
    psycopg2.errors.ObjectInUse,
    psycopg2.errors.SerializationFailure,
    psycopg2.errors.DeadlockDetected,
    psycopg2.errors.QueryCanceled,
    psycopg2.errors.UniqueViolation,
    psycopg2.errors.DuplicateObject,
    psycopg2.errors.DuplicateDatabase,
    psycopg2.errors.InternalError_,  # "tuple concurrently updated": two grants on one database at once
)


@dataclass(frozen=True)
class Owner:
    """A tenant's own role. Whatever its database holds (triggers, rules, casts) runs with its rights and no others."""

    role: str
    password: str = field(repr=False)


class DatabaseServer:
    """A PostgreSQL server of which this control plane may create roles and databases."""

    def __init__(self, spec: ServerSpec) -> None:
        self.spec = spec

    @contextmanager
    def connect(
        self,
        database: str | None = None,
        *,
        autocommit: bool = False,
        owner: Owner | None = None,
        search_path: str = BUILT_IN,
    ) -> Iterator[Any]:
        """Yield a cursor (rows as dicts) on ``database``; committed at the end, rolled back on an error.

        A tenant's tables are read and written as their ``owner`` only: a trigger would run as whoever comes. The
        provisioning role looks into its catalogue, where no name leads to anything of the tenant's.

        :raises ServerUnreachable, ServerFull, RetryableError, DatabaseRefused: for what the server says
        """
        try:
            parameters = self._parameters(database, owner, search_path)
            connection = psycopg2.connect(**parameters, cursor_factory=RealDictCursor)
        except psycopg2.Error as error:
            raise translate_connect(error, self.spec) from error
        connection.autocommit = autocommit
        try:
            with connection.cursor() as cr:
                yield cr
            connection.commit()
        except psycopg2.Error as error:
            raise translate(error) from error
        finally:
            connection.close()

    def _parameters(self, database: str | None, owner: Owner | None, search_path: str) -> dict[str, Any]:
        spec = self.spec
        path = "" if owner else f"-c search_path={search_path} "
        parameters = {
            "host": spec.host,
            "port": spec.port,
            "user": owner.role if owner else spec.user,
            "password": owner.password if owner else secret_reference.read(spec.password_reference),
            "dbname": database or spec.maintenance_database,
            "sslmode": spec.sslmode,
            "connect_timeout": CONNECT_TIMEOUT,
            "application_name": "loomworks",
            "options": f"{path}-c statement_timeout={STATEMENT_TIMEOUT}",
        }
        return {**parameters, **({"sslrootcert": spec.ca_file} if spec.ca_file else {})}

    def ensure_role(self, role: str, password: str, connection_limit: int) -> None:
        """Make the login role exist with this password and limit."""
        with self.connect() as cr:
            verifier = psycopg2.extensions.encrypt_password(password, role, cr.connection, "scram-sha-256")
            cr.execute(statements.ROLE_EXISTS, {"role": role})
            statement = statements.ALTER_ROLE if cr.fetchone() else statements.CREATE_ROLE
            cr.execute(
                compose(statement, role=role, limit=sql.Literal(connection_limit), password=sql.Literal(verifier))
            )

    def drop_role(self, role: str) -> None:
        """Remove the role; nothing it owned may be left."""
        with self.connect() as cr:
            cr.execute(compose(statements.DROP_ROLE, role=role))

    def database(self, name: str) -> dict[str, Any] | None:
        """Return owner, datallowconn and datistemplate of a database, or None when there is none."""
        with self.connect() as cr:
            cr.execute(statements.DATABASE, {"database": name})
            return cr.fetchone()

    def databases_of(self, role: str) -> list[str]:
        """Return the names of the databases that ``role`` owns."""
        with self.connect() as cr:
            cr.execute(statements.DATABASES_OF, {"role": role})
            return [row["datname"] for row in cr.fetchall()]

    def ensure_database(self, name: str, template: str, owner: str) -> None:
        """Make ``owner`` have all of a database cloned from ``template``, and nobody else a way in.

        Each statement may be the last one before a crash; the next call goes on from there.

        :raises TemplateMissing: when the clone has to be made and the template is not there
        """
        existing = self.database(name)
        with self.connect(autocommit=True) as cr:
            if not existing:
                self._clone(cr, name, template, owner)
            cr.execute(compose(statements.CLOSE_TO_PUBLIC, database=name))
            cr.execute(compose(statements.ALLOW_CONNECTIONS, database=name, allowed=sql.SQL("true")))
        with self.connect(name) as cr:
            cr.execute(statements.SCHEMAS_OF, {"owner": TEMPLATE_ROLE})
            for row in cr.fetchall():
                cr.execute(compose(statements.HAND_OVER_SCHEMA, schema=row["nspname"], owner=owner))
            cr.execute(compose(statements.HAND_OVER, template_role=TEMPLATE_ROLE, owner=owner))

    def _clone(self, cr: Any, name: str, template: str, owner: str) -> None:
        cr.execute(statements.DATABASE, {"database": template})
        if not cr.fetchone():
            raise TemplateMissing(f"the template database {template} is not on {self.spec.host}")
        cr.execute(compose(statements.CLONE_DATABASE, database=name, template=template, owner=owner))

    def foreign_objects(self, database: str, owner: str) -> int:
        """Count the relations of ``database`` that do not belong to ``owner``."""
        with self.connect(database) as cr:
            cr.execute(statements.FOREIGN_OBJECTS, {"owner": owner})
            return cr.fetchone()["count"]

    def close_database(self, name: str) -> None:
        """Let nobody connect any more, and end who is connected; a database that is not there is closed."""
        if not self.database(name):
            return
        with self.connect(autocommit=True) as cr:
            cr.execute(compose(statements.ALLOW_CONNECTIONS, database=name, allowed=sql.SQL("false")))
            cr.execute(statements.TERMINATE, {"database": name})

    def open_database(self, name: str) -> None:
        """Let its owner connect again."""
        with self.connect(autocommit=True) as cr:
            cr.execute(compose(statements.ALLOW_CONNECTIONS, database=name, allowed=sql.SQL("true")))

    def drop_database(self, name: str) -> None:
        """Remove the database and whoever is connected to it.

        Not WITH (FORCE), which gives up where autovacuum is at work, as one may not end a superuser's process; without
        it, the server ends autovacuum by itself.

        :raises RetryableError: while a superuser is connected
        """
        with self.connect(autocommit=True) as cr:
            if self._exists(cr, name):
                cr.execute(compose(statements.ALLOW_CONNECTIONS, database=name, allowed=sql.SQL("false")))
                cr.execute(statements.TERMINATE, {"database": name})
                cr.execute(compose(statements.DROP_DATABASE, database=name))

    @staticmethod
    def _exists(cr: Any, name: str) -> bool:
        cr.execute("SELECT FROM pg_database WHERE datname = %s", [name])
        return cr.rowcount > 0

    def facts(self) -> dict[str, Any]:
        """Return version, data_checksums, archiving, max_connections, connections, size_bytes."""
        with self.connect() as cr:
            cr.execute(statements.SERVER_FACTS)
            return dict(cr.fetchone())


def compose(statement: str, **parts: str | sql.Composable) -> sql.Composed:
    """Fill a statement's ``{places}``: a text is an identifier, anything else is taken as composed."""
    wrapped = {key: sql.Identifier(part) if isinstance(part, str) else part for key, part in parts.items()}
    return sql.SQL(statement).format(**wrapped)


def translate_connect(error: psycopg2.Error, spec: ServerSpec) -> LoomworksError:
    """Turn a failed connection into this engine's error (the server's own text holds no secret)."""
    text = " ".join(str(error).split())
    if "too many connections" in text or "connection slots" in text:
        return RetryableError(f"the database server {spec.host} has no free connection: {text}")
    if "does not exist" in text and "database" in text:
        return DatabaseRefused(text)
    return ServerUnreachable(
        f"the database server {spec.host}:{spec.port} cannot be reached: {text}",
        "Check that it runs and that the provisioning role's password is right.",
    )


def translate(error: psycopg2.Error) -> LoomworksError:
    """Turn an error of a statement into this engine's (SQLSTATE classes: PostgreSQL manual, appendix A)."""
    text = " ".join(str(error).split())
    if isinstance(error, _FULL):
        return ServerFull(f"the database server has no room: {text}", "Add a server or free space on this one.")
    if isinstance(error, _PASSING):
        return RetryableError(f"the database server was busy with the same object: {text}", retry_after=1)
    if isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError):
        return ServerUnreachable(f"the database server broke off: {text}")
    return DatabaseRefused(text)

"""Template databases: made empty, filled by a Job, checked, and closed for good.

While a template is built, its tables belong to :data:`~.server.TEMPLATE_ROLE`, a role that owns no database: so
``REASSIGN OWNED`` hands over a clone's tables and nothing else. A finished template admits no connection,
which would keep ``CREATE DATABASE ... TEMPLATE`` from starting.
"""

from __future__ import annotations

from typing import Any

from psycopg2 import sql

from ..errors import DatabaseRefused
from . import statements
from .server import BUILDER_ROLE, TEMPLATE_ROLE, DatabaseServer, compose

EXTENSIONS = ("hstore", "pg_trgm", "unaccent")  # trusted ones: no superuser is needed
BUILDER_CONNECTIONS = 40
PUBLIC = "public"  # a template is the platform's own


def ensure_roles(server: DatabaseServer, password: str) -> None:
    """Make the two roles exist; the builder logs in with ``password`` and acts as the template's role."""
    with server.connect() as cr:
        cr.execute(statements.ROLE_EXISTS, {"role": TEMPLATE_ROLE})
        if not cr.fetchone():
            cr.execute(compose(statements.CREATE_TEMPLATE_ROLE, role=TEMPLATE_ROLE))
    server.ensure_role(BUILDER_ROLE, password, BUILDER_CONNECTIONS)
    with server.connect() as cr:
        cr.execute(compose(statements.GRANT_ROLE, template_role=TEMPLATE_ROLE, role=BUILDER_ROLE))
        cr.execute(compose(statements.ACT_AS, template_role=TEMPLATE_ROLE, role=BUILDER_ROLE))


def create_empty(server: DatabaseServer, database: str) -> None:
    """Make an empty database in which the builder, and nobody else, may work."""
    with server.connect(autocommit=True) as cr:
        cr.execute(statements.DATABASE, {"database": database})
        if not cr.fetchone():
            cr.execute(compose(statements.CREATE_EMPTY_DATABASE, database=database))
        cr.execute(compose(statements.CLOSE_TO_PUBLIC, database=database))
        cr.execute(compose(statements.OPEN_TO, database=database, role=TEMPLATE_ROLE))
        cr.execute(compose(statements.OPEN_TO, database=database, role=BUILDER_ROLE))
        cr.execute(compose(statements.ALLOW_CONNECTIONS, database=database, allowed=sql.SQL("true")))
    with server.connect(database, search_path=PUBLIC) as cr:
        cr.execute(compose(statements.OWN_SCHEMA, role=TEMPLATE_ROLE))
        cr.execute(compose(statements.SET_ROLE, role=TEMPLATE_ROLE))
        for extension in EXTENSIONS:
            cr.execute(compose(statements.CREATE_EXTENSION, extension=extension))


def check(server: DatabaseServer, database: str, modules: tuple[str, ...]) -> None:
    """Raise :class:`DatabaseRefused` unless the database may serve as a template."""
    with server.connect(database, search_path=PUBLIC) as cr:
        cr.execute(statements.TEMPLATE_FAULTS, {"modules": list(modules)})
        faults: dict[str, Any] = cr.fetchone()
        cr.execute(statements.FOREIGN_OBJECTS, {"owner": TEMPLATE_ROLE})
        foreign = cr.fetchone()["count"]
    if faults["missing_modules"]:
        raise DatabaseRefused(f"the template lacks modules: {faults['missing_modules']}")
    if faults["stored_files"] or foreign:
        raise DatabaseRefused(
            f"the template has {faults['stored_files']} attachment(s) outside the database "
            f"and {foreign} relation(s) of another owner"
        )


def finish(server: DatabaseServer, building: str, final: str) -> None:
    """Close the database, mark it as a template and give it its final name."""
    with server.connect(building, search_path=PUBLIC) as cr:
        cr.execute(statements.LOG_SEQUENCES)
    server.close_database(building)
    with server.connect(autocommit=True) as cr:
        cr.execute(compose(statements.MARK_TEMPLATE, database=building, template=sql.SQL("true")))
        cr.execute(compose(statements.RENAME_DATABASE, database=building, new_name=final))


def drop(server: DatabaseServer, database: str) -> None:
    """Remove a template, finished or not; one that is not there is fine."""
    if not server.database(database):
        return
    with server.connect(autocommit=True) as cr:
        cr.execute(compose(statements.MARK_TEMPLATE, database=database, template=sql.SQL("false")))
    server.drop_database(database)


def others(server: DatabaseServer, plan: str, keep: list[str]) -> list[str]:
    """List the template databases of ``plan`` that are not in ``keep``."""
    with server.connect() as cr:
        prefix = f"loomworks_template_{plan}_".replace("_", r"\_") + "%"
        cr.execute(statements.OLD_TEMPLATES, {"prefix": prefix, "keep": keep})
        return [row["datname"] for row in cr.fetchall()]

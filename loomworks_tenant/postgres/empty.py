"""Empty databases of tenants, which something else than a template fills."""

from __future__ import annotations

from . import statements
from .server import DatabaseServer, compose

CREATE = (
    "CREATE DATABASE {database} WITH OWNER {owner} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' "
    "LC_CTYPE 'C.UTF-8' STRATEGY WAL_LOG"
)


def make_empty(server: DatabaseServer, database: str, owner: str) -> None:
    """Have an empty database of the tenant's; what a broken attempt has left of it is dropped."""
    server.drop_database(database)
    with server.connect(autocommit=True) as cr:
        cr.execute(compose(CREATE, database=database, owner=owner))
        cr.execute(compose(statements.CLOSE_TO_PUBLIC, database=database))

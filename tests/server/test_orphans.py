"""Orphans of a real PostgreSQL: tenants' databases and roles are seen, others' are not, and go closed and by name."""

import uuid
from contextlib import closing

import pytest
import test_database_server
from addons.loomworks_storage.orphans import listing
from addons.loomworks_storage.orphans.removal import Place, Refused, remove
from addons.loomworks_storage.orphans.sighting import Kind
from addons.loomworks_tenant.postgres import statements, template
from addons.loomworks_tenant.postgres.server import compose
from test_database_server import log_in

server = test_database_server.server  # fixture
PASSWORD = "orphan's own"


@pytest.fixture
def tenant(server):
    """A tenant's role and database, made without a row; removed afterwards."""
    name = f"t_{uuid.uuid4().hex}"
    server.ensure_role(name, PASSWORD, 4)
    with server.connect(autocommit=True) as cr:
        cr.execute(f"CREATE DATABASE {name} OWNER {name} TEMPLATE template0")
        cr.execute(compose(statements.CLOSE_TO_PUBLIC, database=name))
    yield name
    server.drop_database(name)
    server.drop_role(name)


@pytest.fixture
def foreign(server):
    """Somebody else's, of nearly the same name."""
    role, database = f"t_{uuid.uuid4().hex}", f"t_{uuid.uuid4().hex}"
    server.ensure_role(role, PASSWORD, 4)
    with server.connect(autocommit=True) as cr:
        cr.execute(f"CREATE DATABASE {database} OWNER {role} TEMPLATE template0")
        cr.execute(f"CREATE DATABASE {role}_shop OWNER {role} TEMPLATE template0")
    yield database, f"{role}_shop"
    for name in (database, f"{role}_shop"):
        server.drop_database(name)
    server.drop_role(role)


def seen(server):
    return {(one.kind, one.name): one for one in listing.of_server(server)}


def test_database_and_role_are_seen_with_size_and_owner_and_foreign_ones_are_not(server, tenant, foreign):
    found = seen(server)
    database = found[Kind.DATABASE, tenant]
    assert str(uuid.UUID(tenant[2:])) == database.tenant
    assert database.size > 1_000_000
    assert database.evidence == f"owner {tenant}, open, 0 connection(s)"
    assert found[Kind.ROLE, tenant].refusal == "it owns 1 database(s)"
    assert not {name for _kind, name in found} & set(foreign)


def test_database_goes_before_its_role_and_neighbours_stay(server, tenant, foreign):
    found, place = seen(server), Place(server=server)
    with pytest.raises(Refused, match="owns 1 database"):
        remove(found[Kind.ROLE, tenant], place)
    assert remove(found[Kind.DATABASE, tenant], place)
    assert remove(seen(server)[Kind.ROLE, tenant], place)
    assert not {(Kind.DATABASE, tenant), (Kind.ROLE, tenant)} & set(seen(server))
    assert all(server.database(name) for name in foreign)


def test_database_that_somebody_uses_is_left_alone(server, tenant):
    one = seen(server)[Kind.DATABASE, tenant]
    with closing(log_in(server, tenant, PASSWORD, tenant)) as connection:
        connection.cursor().execute("SELECT 1")
        with pytest.raises(Refused, match="1 connection"):
            remove(one, Place(server=server))
        connection.cursor().execute("SELECT 1")
    assert server.database(tenant)


def test_template_that_no_plan_has_is_seen_and_goes(server):
    name = f"loomworks_template_gone_{uuid.uuid4().hex[:12]}"
    with server.connect(autocommit=True) as cr:
        cr.execute(f"CREATE DATABASE {name} TEMPLATE template0 IS_TEMPLATE true ALLOW_CONNECTIONS false")
    try:
        assert remove(seen(server)[Kind.TEMPLATE, name], Place(server=server))
        assert server.database(name) is None
    finally:
        template.drop(server, name)

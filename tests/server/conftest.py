"""Servers that the tests of this folder talk to."""

import os

import pytest
from odoo_server import OdooServer, TenantRole

MODULES = ("base", "web", "loomworks_client", "loomworks_ai")


@pytest.fixture(scope="session")
def server_url():
    """The address of the host's test database."""
    return os.environ["PG_URL"]


@pytest.fixture(scope="session")
def role(server_url):
    """A tenant's role with its database."""
    role = TenantRole(server_url, f"loomworks_test_tenant_{os.getpid()}")
    role.create()
    yield role
    role.drop()


@pytest.fixture(scope="session")
def odoo(role, server_url, tmp_path_factory):
    """A tenant's Odoo that serves this database."""
    server = OdooServer(role, tmp_path_factory.mktemp("odoo"), server_url)
    server.install(*MODULES)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def session_cookie(odoo, role):
    """The cookie of the administrator's session."""
    return odoo.login("admin", "admin", role.name)

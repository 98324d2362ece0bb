"""One database with the business applications of Odoo and loomworks_ai, owned by an ordinary role."""

import contextlib
import os

import pytest
from agents import Agent, Office
from harness.databases import OdooDatabases
from stack.settings import Settings

MODULES = ["sale_management", "stock", "account", "purchase", "crm", "project", "hr", "sms"]


@pytest.fixture(scope="session")
def database():
    """The name of a fresh database, with Odoo set up in this process to serve it."""
    with OdooDatabases(Settings.from_environment()).cloned_with("loomworks_ai", MODULES) as made:
        _configure_odoo(made.configuration)
        yield made.name
        _close_odoo(made.name)


@pytest.fixture(scope="session")
def office(database):
    """The company, its people and its agent."""
    return Office(database)


@pytest.fixture
def agent(office):
    """An agent who works there."""
    return Agent(office)


def _configure_odoo(path):
    from odoo.tools import config

    config.parse_config(["-c", str(path), "--max-cron-threads=0"], setup_logging=False)
    os.environ.setdefault("TZ", "UTC")


def _close_odoo(name):
    from odoo import sql_db
    from odoo.modules.registry import Registry

    with contextlib.suppress(KeyError):
        Registry.delete(name)
    sql_db.close_db(name)

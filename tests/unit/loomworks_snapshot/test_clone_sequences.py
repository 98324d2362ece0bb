"""Numbers that a clone of a template has given out are never given out again, whatever happens to the server."""

import signal

import pytest
from addons.loomworks_tenant.postgres import statements, template
from addons.loomworks_tenant.postgres.server import DatabaseServer, compose
from factories import server_spec

NEXT = "SELECT nextval('numbers')"


@pytest.fixture
def server(own_cell, monkeypatch):
    """The server, as its superuser."""
    monkeypatch.setenv("CELL_PASSWORD", "trusted")
    place = {"host": "127.0.0.1", "port": own_cell.port, "user": "postgres", "sslmode": "disable"}
    return DatabaseServer(server_spec(**place, password_reference="env:CELL_PASSWORD"))


def test_numbers_of_a_clone_outlive_a_crash(own_cell, server):
    own_cell.ask("CREATE DATABASE building")
    own_cell.ask("CREATE SEQUENCE numbers", "building")
    own_cell.ask("CREATE SEQUENCE unused", "building")
    assert [own_cell.ask(NEXT, "building") for _ in range(2)] == [[(1,)], [(2,)]]
    template.finish(server, "building", "finished")
    with server.connect(autocommit=True) as cr:
        cr.execute(compose(statements.CLONE_DATABASE, database="clone", template="finished", owner="postgres"))
    server.open_database("clone")
    assert [own_cell.ask(NEXT, "clone") for _ in range(3)] == [[(3,)], [(4,)], [(5,)]]
    assert own_cell.ask("SELECT nextval('unused')", "clone") == [(1,)]
    own_cell.archive()  # whatever is in the WAL is on disk
    own_cell.stop(signal.SIGQUIT)
    own_cell.start()
    [(number,)] = own_cell.ask(NEXT, "clone")
    assert number > 5

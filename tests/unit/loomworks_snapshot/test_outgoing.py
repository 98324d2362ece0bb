"""What waits to be sent in two databases of one past is sent once, on a real server."""

import os
from datetime import datetime, timedelta

import pytest
from addons.loomworks_snapshot.restoring import outgoing
from addons.loomworks_tenant.postgres.server import Owner
from plain_databases import connect, made

MOMENT = datetime.fromisoformat("2026-11-21 12:00:00")  # without a zone, as Odoo's columns are
OWNER = Owner("t_1", "password")
TABLES = """
    CREATE TABLE ir_config_parameter (
        key varchar UNIQUE, value text, create_uid int, create_date timestamp, write_uid int, write_date timestamp
    );
    CREATE TABLE mail_mail (id int, state varchar, create_date timestamp);
"""


class Server:
    """The boundary, on the test database's server."""

    def __init__(self):
        self.closed = set()

    def connect(self, name, owner=None):
        return connect(name)

    def database(self, name):
        return {"datallowconn": name not in self.closed}


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def pair(server):
    """Two databases; what is in them is written by :func:`fill`."""
    names = [f"loomworks_test_{kind}_{os.getpid()}" for kind in ("goes", "comes")]
    with made(*names):
        for name in names:
            with server.connect(name) as inside:
                inside.execute(TABLES)
        yield names


def fill(server, name, rows):
    with server.connect(name) as cr:
        for number, state, minutes in rows:
            cr.execute(
                "INSERT INTO mail_mail VALUES (%s, %s, %s)", [number, state, MOMENT + timedelta(minutes=minutes)]
            )


def states(server, name):
    with server.connect(name) as cr:
        cr.execute("SELECT id, state FROM mail_mail ORDER BY id")
        return {row["id"]: row["state"] for row in cr.fetchall()}


def test_restored_mails_that_were_sent_or_removed_since_are_cancelled(server, pair):
    before, database = pair
    fill(server, before, [(1, "sent", -9), (2, "outgoing", -8), (4, "exception", -6), (9, "outgoing", 5)])
    fill(
        server,
        database,
        [(1, "outgoing", -9), (2, "outgoing", -8), (3, "outgoing", -7), (4, "outgoing", -6), (5, "sent", -5)],
    )
    assert outgoing.cancel_sent(server, OWNER, before, database, MOMENT) == 3
    expected = {1: "cancel", 2: "outgoing", 3: "cancel", 4: "cancel", 5: "sent"}
    assert states(server, database) == expected
    assert outgoing.cancel_sent(server, OWNER, before, database, MOMENT) == 0
    assert states(server, database) == expected


def test_mails_that_only_the_database_that_comes_ever_had_are_sent(server, pair):
    before, database = pair  # going back: both went on after the moment, with other mails of the same numbers
    fill(server, before, [(1, "sent", -9), (7, "sent", 3), (8, "sent", 4)])
    fill(server, database, [(1, "outgoing", -9), (7, "outgoing", 2), (8, "outgoing", 4), (9, "outgoing", 6)])
    assert outgoing.cancel_sent(server, OWNER, before, database, MOMENT) == 1
    assert states(server, database) == {1: "cancel", 7: "outgoing", 8: "outgoing", 9: "outgoing"}


def test_mail_of_the_same_number_that_is_another_one_does_not_count(server, pair):
    before, database = pair
    fill(server, before, [(1, "outgoing", -3)])
    fill(server, database, [(1, "outgoing", -9)])
    assert outgoing.cancel_sent(server, OWNER, before, database, MOMENT) == 1


def test_closed_database_has_been_looked_into_before(server, pair):
    before, database = pair
    fill(server, database, [(1, "outgoing", -9)])
    server.closed.add(before)
    assert outgoing.cancel_sent(server, OWNER, before, database, MOMENT) == 0
    assert states(server, database) == {1: "outgoing"}


def test_crons_wait_and_go_on(server, pair):
    _before, database = pair
    for _twice in range(2):
        outgoing.hold(server, OWNER, database)
    with server.connect(database) as cr:
        cr.execute("SELECT value FROM ir_config_parameter WHERE key = %s", [outgoing.CRONS_WAIT])
        assert cr.fetchall() == [{"value": "1"}]
    for _twice in range(2):
        outgoing.release(server, OWNER, database)
    with server.connect(database) as cr:
        cr.execute("SELECT count(*) AS count FROM ir_config_parameter")
        assert cr.fetchone()["count"] == 0

"""A server that fails over while a tenant of it is being restored: what is restored is the moment, exactly."""

import dataclasses
import os

import pytest
from harness.restoring import named, once_at, restore, whole
from stack.postgres_root import USER_ID

TIMELINE = "SELECT timeline_id FROM pg_control_checkpoint()"


@pytest.fixture(scope="module")
def server(own_cell):
    """A server with a backup, a moment behind it, and changes since."""
    for name in ("t_mine", "t_other"):
        own_cell.ask(f"CREATE DATABASE {name} STRATEGY wal_log")
        own_cell.ask("CREATE TABLE line AS SELECT g, md5(g::text) FROM generate_series(1, 5000) g", name)
    own_cell.backup("full")
    own_cell.ask("INSERT INTO line VALUES (1, 'before the moment')", "t_mine")
    own_cell.ask("UPDATE line SET g = g + 1", "t_other")
    own_cell.content, own_cell.target = whole(own_cell, "t_mine"), named(own_cell, "moment")
    own_cell.ask("INSERT INTO line VALUES (2, 'after the moment')", "t_mine")
    own_cell.archive()
    return own_cell


def fail_over(server):
    """Have a standby's data promoted in the server's place, and something archived on its new timeline."""
    server.stop()
    (server.data / "standby.signal").touch()
    os.chown(server.data / "standby.signal", USER_ID, USER_ID)
    server.start()
    server.ask("SELECT pg_promote()")
    server.await_promotion()
    server.ask("CHECKPOINT")  # until then, the control file names the old timeline
    server.ask("INSERT INTO line VALUES (3, 'after the failover')", "t_mine")
    server.archive()


@pytest.mark.parametrize(("stage", "timeline"), [("catalogue", None), ("fetch", 1), ("replay", None), ("load", 1)])
def test_failover_in_the_middle_changes_nothing(server, stage, timeline):
    [(before,)] = server.ask(TIMELINE)
    target = dataclasses.replace(server.target, timeline=timeline)
    restore(server, "t_mine", target, "t_back", tell=once_at(stage, lambda: fail_over(server)))
    assert server.ask(TIMELINE) == [(before + 1,)]
    assert whole(server, "t_back") == server.content
    assert whole(server, "t_mine") != server.content

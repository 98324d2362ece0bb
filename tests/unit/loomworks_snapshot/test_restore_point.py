"""Restore points on a real server, by its provisioning role."""

import time

import pytest
from addons.loomworks_snapshot.repository import proof, restore_point
from addons.loomworks_snapshot.repository.segments import format_lsn
from addons.loomworks_snapshot.repository.verdict import Proof, Target
from addons.loomworks_tenant.errors import DatabaseRefused
from addons.loomworks_tenant.postgres.server import DatabaseServer
from factories import server_spec
from moments import target

FUNCTIONS = "pg_create_restore_point(text), pg_switch_wal()"
PROOF_TIMEOUT = 30  # seconds


@pytest.fixture(scope="module")
def role(cell):
    """The provisioning role with what the product's server grants it, and one without."""
    for name in ("loomworks_provisioner", "nobody_special"):
        cell.ask(f"CREATE ROLE {name} LOGIN")
    cell.ask(f"GRANT EXECUTE ON FUNCTION {FUNCTIONS} TO loomworks_provisioner")


@pytest.fixture
def server(cell, role, monkeypatch):
    monkeypatch.setenv("CELL_PASSWORD", "trusted")
    return DatabaseServer(spec(cell))


def spec(cell, **changes):
    values = {"host": "127.0.0.1", "port": cell.port, "sslmode": "disable", "password_reference": "env:CELL_PASSWORD"}
    return server_spec(**{**values, **changes})


def as_target(point):
    return Target(point.system_identifier, point.timeline, point.lsn)


def wait_until_proven(store, targets):
    deadline = time.monotonic() + PROOF_TIMEOUT
    while True:
        verdicts = proof.prove(store, targets)
        if all(isinstance(one, Proof) for one in verdicts):
            return verdicts
        assert time.monotonic() < deadline, verdicts


def test_restore_point_says_where_it_is_and_is_soon_proven(cell, store, server):
    name = restore_point.new_name()
    [point] = restore_point.take(server, [name])
    assert point.name == name
    assert cell.ask("SELECT system_identifier FROM pg_control_system()") == [(point.system_identifier,)]
    assert cell.ask("SELECT pg_walfile_name(%s::pg_lsn)", parameters=[format_lsn(point.lsn)]) == [(point.wal_file,)]
    assert abs(point.taken_at.timestamp() - time.time()) < 60
    [verdict] = wait_until_proven(store, [as_target(point)])
    assert verdict.last_segment == point.wal_file


def test_five_hundred_share_one_switch_and_keep_their_order(cell, store, server):
    names = [restore_point.new_name() for _number in range(500)]
    points = restore_point.take(server, names)
    assert [one.name for one in points] == names
    assert len({one.lsn for one in points}) == 500
    assert len({one.wal_file for one in points}) == 1
    wait_until_proven(store, [as_target(one) for one in points])


def test_names_are_different_and_short_enough():
    names = {restore_point.new_name() for _number in range(100)}
    assert len(names) == 100
    assert max(len(name.encode()) for name in names) < 64


def test_pushed_position_is_proven_without_a_restore_point_of_its_own(cell, store, server):
    position = cell.ask("SELECT pg_current_wal_insert_lsn()::text")[0][0]
    restore_point.push(server)
    wait_until_proven(store, [target(cell, position, named=False)])


def test_role_without_the_grants_is_told_which(cell, server):
    with pytest.raises(DatabaseRefused, match="EXECUTE on pg_create_restore_point"):
        restore_point.take(DatabaseServer(spec(cell, user="nobody_special")), [restore_point.new_name()])


def test_sizes_are_those_of_databases_that_are_there(cell, server):
    found = restore_point.sizes(server, ["postgres", "t_gone"])
    assert list(found) == ["postgres"]
    assert found["postgres"] > 1_000_000

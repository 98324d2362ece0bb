"""A server that has become idle: what was committed last comes into the repository all the same."""

import time

import pytest
from addons.loomworks_snapshot.repository import catalog, proof
from addons.loomworks_snapshot.repository.archive import Archive
from addons.loomworks_snapshot.repository.segments import SEGMENT_SIZE, Segment, parse_lsn
from addons.loomworks_snapshot.repository.store import Store
from addons.loomworks_snapshot.repository.verdict import Proof
from harness.cell import a_cell
from harness.restoring import location
from moments import target

POSITION = "SELECT pg_current_wal_insert_lsn()::text, pg_walfile_name(pg_current_wal_insert_lsn())"
PATIENCE = 60  # seconds


@pytest.fixture(scope="module")
def server():
    """A server whose segments wait for a second at most until they are full."""
    with a_cell("archive_timeout = 1s\n") as one:
        one.backup()
        yield one


def await_archived(server, name):
    """Wait until the repository has a segment; nobody asks the server for anything meanwhile."""
    segment, end = Segment.parse(name), time.monotonic() + PATIENCE
    store = Store(location(server))
    while not Archive(store, catalog.read(store).archive_id).sizes(segment):
        assert time.monotonic() < end, f"{name} has not been archived"
        time.sleep(0.1)


def test_last_commit_of_an_idle_server_is_archived_in_a_segment_that_is_not_full(server):
    server.ask("CREATE TABLE line AS SELECT 'the last of the day'")
    [(position, name)] = server.ask(POSITION)
    assert parse_lsn(position) % SEGMENT_SIZE  # it would wait for the rest of the segment
    await_archived(server, name)
    [proven] = proof.prove(Store(location(server)), [target(server, position)])
    assert isinstance(proven, Proof)
    assert proven.last_segment == name

"""An object store that takes nothing more: nothing is called safe that is not, and what was stays restorable."""

import time

import pytest
from addons.loomworks_snapshot.repository import catalog, proof
from addons.loomworks_snapshot.repository.segments import parse_lsn
from addons.loomworks_snapshot.repository.store import Store
from addons.loomworks_snapshot.repository.verdict import Proof
from harness.restoring import location, named, restore, whole
from moments import target

PATIENCE = 90  # seconds
FULL = "99999GiB"  # that have to be free


def refill(cell, least_free):
    """Start the store anew with another idea of when it is full."""
    cell.s3.stop()
    cell.s3.least_free = least_free
    cell.s3.start()


def prove(cell, lsn):
    [verdict] = proof.prove(Store(location(cell)), [target(cell, "0/0", lsn=lsn)])
    return verdict


def wait_for(reached):
    end = time.monotonic() + PATIENCE
    while not (found := reached()):
        assert time.monotonic() < end
        time.sleep(0.2)
    return found


def test_store_that_is_full_is_told_and_waited_for(own_cell):
    cell = own_cell
    cell.ask("CREATE DATABASE t_mine STRATEGY wal_log")
    cell.ask("CREATE TABLE line AS SELECT generate_series(1, 1000) g", "t_mine")
    label = cell.backup()
    before, early = whole(cell, "t_mine"), named(cell, "early")
    assert isinstance(prove(cell, early.lsn), Proof)

    refill(cell, FULL)
    cell.ask("INSERT INTO line VALUES (0)", "t_mine")
    late = parse_lsn(cell.ask("SELECT pg_create_restore_point('late')::text")[0][0])
    cell.ask("SELECT pg_switch_wal()")
    wait_for(lambda: cell.ask("SELECT failed_count > 0 FROM pg_stat_archiver") == [(True,)])
    verdict = prove(cell, late)
    assert not isinstance(verdict, Proof)
    assert verdict.waiting
    with pytest.raises(AssertionError, match="pgbackrest"):
        cell.backup("incr")
    assert [one.label for one in catalog.read(Store(location(cell))).backups] == [label]
    assert isinstance(prove(cell, early.lsn), Proof)
    restore(cell, "t_mine", early, "t_back")
    assert whole(cell, "t_back") == before

    refill(cell, "1GiB")
    wait_for(lambda: isinstance(prove(cell, late), Proof))
    assert cell.backup("incr").startswith(label)

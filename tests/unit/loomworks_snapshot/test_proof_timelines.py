"""Promotions and returns to earlier moments: which of them a real archive still leads to."""

import os
import signal
import time

import pytest
from addons.loomworks_snapshot.repository import catalog, proof, restore_point
from addons.loomworks_snapshot.repository.segments import SEGMENT_SIZE
from addons.loomworks_snapshot.repository.store import Store
from addons.loomworks_snapshot.repository.verdict import Proof, Reason
from addons.loomworks_tenant.errors import RetryableError
from addons.loomworks_tenant.postgres.server import DatabaseServer
from factories import server_spec
from harness.cell import a_cell
from harness.restoring import location
from moments import changed, last_segment, moment, target
from stack.postgres_root import USER_ID

PROMOTION_TIMEOUT = 30  # seconds


@pytest.fixture(scope="module")
def cell():
    """A server of this file's own: promotions change it for good."""
    with a_cell() as one:
        one.backup()
        yield one


@pytest.fixture(scope="module")
def store(cell):
    return Store(location(cell))


@pytest.fixture(scope="module")
def history(cell):
    """A server promoted twice: once where it stood, once after it had been taken back to an earlier moment.

    Timeline 1 ends in the middle of a segment, which is archived as ``.partial`` only; 2 goes on from there; 3 leaves 1
    earlier, before ``gone``.
    """
    points = {"first": moment(cell)}
    cell.restore_point("turn")
    points["gone"] = moment(cell)
    points["unarchived"] = target(cell, cell.ask("SELECT pg_create_restore_point('unarchived')::text")[0][0])
    cell.ask("CHECKPOINT")  # a restore point alone is not flushed, and would be lost in the crash
    promote(cell)
    points["second"] = moment(cell)
    points["backup"] = cell.backup()
    points["second_late"] = moment(cell)
    go_back_to(cell, "turn")
    points["third"] = moment(cell)
    return points


def promote(cell):
    """Crash the server and have what it left promoted, as a standby would be."""
    cell.stop(signal.SIGQUIT)
    (cell.data / "recovery.signal").touch()
    os.chown(cell.data / "recovery.signal", USER_ID, USER_ID)
    with (cell.data / "postgresql.auto.conf").open("a") as file:
        file.write("restore_command = 'pgbackrest --stanza=main archive-get %f \"%p\"'\n")
    start_anew(cell)


def go_back_to(cell, name):
    cell.stop()
    label = catalog.read(Store(location(cell))).backups[0].label
    options = ("--delta", f"--set={label}", "--type=name", f"--target={name}", "--target-timeline=1")
    cell.run("pgbackrest", "--stanza=main", *options, "--target-action=promote", "restore")
    start_anew(cell)


def start_anew(cell):
    cell.start()
    deadline = time.monotonic() + PROMOTION_TIMEOUT
    while cell.ask("SELECT pg_is_in_recovery()") == [(True,)]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    cell.ask("CHECKPOINT")  # until then, the control file names the old timeline


def test_history_is_as_it_should_be(history):
    assert [history[name].timeline for name in ("first", "gone", "second", "third")] == [1, 1, 2, 3]
    assert history["unarchived"].lsn % SEGMENT_SIZE


def test_moment_after_a_promotion_is_reached_across_it(store, history):
    [verdict] = proof.prove(store, [history["second"]])
    assert isinstance(verdict, Proof)
    assert (verdict.timelines, verdict.timeline) == ((1, 2), 2)
    assert verdict.first_segment.startswith("00000001")
    assert verdict.last_segment == last_segment(history["second"])


def test_moment_in_the_segment_in_which_a_timeline_ended_is_reached_along_the_next(store, history):
    [verdict] = proof.prove(store, [history["unarchived"]])
    assert isinstance(verdict, Proof)
    assert (verdict.timelines, verdict.timeline) == ((1, 2), 2)


def test_moments_of_a_timeline_that_was_left_are_still_reached_along_it(store, history):
    verdicts = proof.prove(store, [history["first"], history["gone"], history["second_late"]])
    assert [one.timelines for one in verdicts] == [(1,), (1,), (2,)]
    assert verdicts[2].backup == history["backup"]


def test_base_backup_on_a_way_that_was_left_is_not_started_from(store, history):
    assert max(one.lsn_stop for one in catalog.read(store).backups) < history["second_late"].lsn
    [verdict] = proof.prove(store, [history["third"]])
    assert (verdict.timelines, verdict.backup) == ((1, 3), catalog.read(store).backups[0].label)


def test_moment_before_its_timeline_began_is_refused(cell, store, history):
    early = target(cell, "0/0", lsn=history["first"].lsn, timeline=2)
    [verdict] = proof.prove(store, [early])
    assert verdict.reason == Reason.OTHER_TIMELINE


def test_moment_whose_only_base_backup_lies_elsewhere_is_refused(cell, store, history):
    wanted = target(cell, "0/0", lsn=history["third"].lsn + 100 * SEGMENT_SIZE, backup=history["backup"])
    [verdict] = proof.prove(store, [wanted])
    assert verdict.reason == Reason.OTHER_TIMELINE


def test_timeline_without_its_history_cannot_be_followed(cell, store, history):
    with changed(cell, store, "00000002.history"):
        verdicts = proof.prove(store, [history["first"], history["second"], history["unarchived"]])
    assert isinstance(verdicts[0], Proof)
    assert (verdicts[1].reason, verdicts[1].waiting) == (Reason.HISTORY_MISSING, False)
    assert (verdicts[2].reason, verdicts[2].waiting) == (Reason.TIMELINE_LEFT, False)  # all that is known is 3


def test_hole_before_the_promotion_breaks_what_came_after_it(cell, store, history):
    with changed(cell, store, last_segment(history["first"])):
        verdicts = proof.prove(store, [history["second"], history["third"], history["second_late"]])
    assert [getattr(one, "reason", "proven") for one in verdicts] == [Reason.SEGMENT_MISSING] * 2 + ["proven"]


def test_server_in_recovery_is_asked_again(cell, history, monkeypatch):
    monkeypatch.setenv("CELL_PASSWORD", "trusted")
    place = {"host": "127.0.0.1", "port": cell.port, "user": "postgres", "sslmode": "disable"}
    server = DatabaseServer(server_spec(**place, password_reference="env:CELL_PASSWORD"))
    cell.stop()
    (cell.data / "standby.signal").touch()
    with (cell.data / "postgresql.auto.conf").open("a") as file:
        file.write("restore_command = 'false'\nrecovery_target_timeline = 'latest'\nrecovery_target_name = ''\n")
    cell.start()
    with pytest.raises(RetryableError, match="in recovery"):
        restore_point.take(server, [restore_point.new_name()])

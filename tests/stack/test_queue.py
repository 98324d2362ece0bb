"""The provisioner's work queue: one worker a disk, and later and later after failures."""

import threading

import pytest
from stack.provisioner import queue
from stack.provisioner.queue import WorkQueue


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is told otherwise."""
    times = [100.0]
    monkeypatch.setattr(queue.time, "monotonic", lambda: times[0])
    return times


def test_name_added_twice_is_handled_once(clock):
    work = WorkQueue()
    work.add("a")
    work.add("a")
    work.add("b")
    assert [work.take(), work.take()] == ["a", "b"]


def test_name_added_during_its_handling_comes_again(clock):
    work = WorkQueue()
    work.add("a")
    assert work.take() == "a"
    work.add("a")
    work.add("b")
    assert work.take() == "b"
    work.done("a", failed=False)
    assert work.take() == "a"


def test_failures_wait_longer_and_longer(clock):
    work = WorkQueue()
    work.add("a")
    for delay in (0.5, 1, 2, 4, 8, 16, 32, 60, 60):
        assert work.take() == "a"
        work.done("a", failed=True)
        assert work._due[0][0] == clock[0] + delay
        clock[0] += delay
    assert work.failures("a") == 9


def test_success_forgets_failures(clock):
    work = WorkQueue()
    work.add("a")
    work.take()
    work.done("a", failed=True)
    clock[0] += 1
    work.take()
    work.done("a", failed=False)
    assert work.failures("a") == 0


def test_change_overtakes_the_delay_of_a_failure(clock):
    work = WorkQueue()
    work.add("a")
    work.take()
    work.done("a", failed=True)
    work.add("a")
    assert work.take() == "a"


def test_taking_waits_for_work():
    work = WorkQueue()
    taken = []
    worker = threading.Thread(target=lambda: taken.append(work.take()))
    worker.start()
    work.add("a")
    worker.join(5)
    assert taken == ["a"]

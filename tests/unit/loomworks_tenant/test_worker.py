"""Many keys in parallel, no key twice at once, a broken one never in the others' way."""

import itertools
import threading
import time

from addons.loomworks_tenant.reconciler import worker
from addons.loomworks_tenant.reconciler.worker import Worker


def test_key_is_never_in_two_threads_and_all_are_worked_on(monkeypatch):
    monkeypatch.setattr(worker, "LINGER", 0.2)
    left, busy, overlaps, lock = dict.fromkeys(range(20), 5), set(), [], threading.Lock()

    def work(key):
        with lock:
            overlaps.extend([key] if key in busy else [])
            busy.add(key)
        time.sleep(0.01)
        with lock:
            busy.discard(key)
            left[key] -= 1
        return 0

    Worker(lambda: [key for key, times in left.items() if times > 0], work, threads=4).run(20)
    assert not overlaps
    assert set(left.values()) == {0}


def test_broken_work_does_not_stop_the_others(monkeypatch, caplog):
    monkeypatch.setattr(worker, "LINGER", 0.2)
    done = set()

    def work(key):
        if key == "broken":
            raise ValueError(key)
        done.add(key)
        return 60

    Worker(lambda: ["broken", "a", "b"], work, threads=2).run(0.6)
    assert done == {"a", "b"}
    assert "work on broken broke" in caplog.text


def test_key_is_left_alone_for_as_long_as_its_work_says(monkeypatch):
    monkeypatch.setattr(worker, "LINGER", 0.4)
    looks = []

    def work(key):
        looks.append(time.monotonic())
        return 0.5

    Worker(lambda: ["a"], work, threads=1).run(1.3)
    assert all(later - earlier >= 0.5 for earlier, later in itertools.pairwise(looks))
    assert len(looks) >= 2


def test_run_ends_when_nothing_is_due(monkeypatch):
    monkeypatch.setattr(worker, "LINGER", 0.2)
    began = time.monotonic()
    Worker(list, lambda key: 0, threads=1).run(30)
    assert time.monotonic() - began < 5

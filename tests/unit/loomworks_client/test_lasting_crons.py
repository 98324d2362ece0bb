"""Threads of crons that outlive their database server's absence."""

import runpy
from pathlib import Path

import pytest

MODULE = Path(__file__).resolve().parents[3] / "loomworks_client" / "lasting_crons.py"


class Ended(BaseException):
    """What ends a thread for good."""


def lasting(monkeypatch, outcomes):
    """Return a server whose thread of crons ends with these, one after another, and the numbers it was begun with."""
    begun = []

    class Server:
        def cron_thread(self, number):
            begun.append(number)
            raise outcomes.pop(0)

    loaded = runpy.run_path(str(MODULE))
    monkeypatch.setattr(loaded["time"], "sleep", lambda seconds: None)
    loaded["activate"](Server)
    return Server(), begun


def test_a_refused_connection_is_followed_by_another_try(monkeypatch):
    server, begun = lasting(monkeypatch, [ConnectionError("refused"), ConnectionError("refused"), Ended()])
    with pytest.raises(Ended):
        server.cron_thread(1)
    assert begun == [1, 1, 1]


def test_what_ends_the_process_ends_the_thread(monkeypatch):
    server, begun = lasting(monkeypatch, [Ended(), ConnectionError("never met")])
    with pytest.raises(Ended):
        server.cron_thread(0)
    assert begun == [0]

"""What `make down` and `make reset` leave alone."""

import dataclasses

import pytest
from stack import down, test_database
from stack.errors import StackError


@pytest.fixture
def existing(settings, tmp_path, monkeypatch):
    stopped = []
    monkeypatch.setattr(test_database, "stop", stopped.append)
    found = dataclasses.replace(settings, external_kubeconfig=tmp_path / "config", state=tmp_path / "state")
    (found.state / "secrets").mkdir(parents=True)
    return found, stopped


def test_an_existing_cluster_is_not_stopped(existing, capsys):
    settings, stopped = existing
    down.down(settings)
    assert stopped == [settings]
    assert "goes on" in capsys.readouterr().out


def test_the_passwords_of_an_existing_cluster_are_not_forgotten(existing):
    settings, _stopped = existing
    with pytest.raises(StackError, match="passwords"):
        down.reset(settings)
    assert (settings.state / "secrets").exists()

"""Sessions on a full volume."""

import errno
import types

import pytest
from addons.loomworks_client import full_sessions


def a_store(error=None):
    def save(self, session):
        if error:
            raise OSError(error, "trouble")
        self.saved.append(session)

    store = type("FilesystemSessionStore", (), {"save": save, "saved": []})
    full_sessions.activate(types.SimpleNamespace(FilesystemSessionStore=store))
    return store


def test_session_is_kept_while_there_is_room():
    store = a_store()
    store().save({"uid": 2})
    assert store.saved == [{"uid": 2}]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
def test_page_is_answered_when_there_is_none(error):
    a_store(error)().save({})


def test_other_trouble_is_not_hidden():
    with pytest.raises(OSError, match="trouble"):
        a_store(errno.EIO)().save({})


def test_store_is_changed_once():
    store = a_store()
    save = store.save
    full_sessions.activate(types.SimpleNamespace(FilesystemSessionStore=store))
    assert store.save is save

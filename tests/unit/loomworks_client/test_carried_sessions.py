"""Whose sessions count as the present database's."""

import types

import pytest
from addons.loomworks_client import carried_sessions

FIRST = "t_" + "0d3c8a526f0e4b0e9d0e2f6f1c7a9b11"
OTHER = "t_" + "1d3c8a526f0e4b0e9d0e2f6f1c7a9b11"


@pytest.mark.parametrize(
    ("begun_in", "own", "expected"),
    [
        (FIRST, f"{FIRST}_r7", f"{FIRST}_r7"),
        (f"{FIRST}_r7", FIRST, FIRST),
        (f"{FIRST}_r7", f"{FIRST}_r12", f"{FIRST}_r12"),
        (OTHER, f"{FIRST}_r7", OTHER),
        (f"{OTHER}_r7", f"{FIRST}_r7", f"{OTHER}_r7"),
        (f"{FIRST}_r7x", FIRST, f"{FIRST}_r7x"),
        ("postgres", FIRST, "postgres"),
        (None, FIRST, None),
    ],
)
def test_only_the_tenants_own_databases_count(begun_in, own, expected):
    assert carried_sessions.present(begun_in, own) == expected


def a_store(session):
    store = type("FilesystemSessionStore", (), {"get": lambda self, sid: dict(session)})
    return types.SimpleNamespace(FilesystemSessionStore=store)


@pytest.mark.parametrize("names", [f"{FIRST}_r7", [f"{FIRST}_r7"]])
def test_session_is_carried_over_once_activated(names):
    http = a_store({"db": FIRST})
    for _twice in range(2):
        carried_sessions.activate(http, {"db_name": names})
    assert http.FilesystemSessionStore().get("sid") == {"db": f"{FIRST}_r7"}


@pytest.mark.parametrize("names", [None, [], "loomworks", [FIRST, OTHER]])
def test_nothing_changes_for_any_other_odoo(names):
    http = a_store({"db": FIRST})
    before = http.FilesystemSessionStore.get
    carried_sessions.activate(http, {"db_name": names})
    assert http.FilesystemSessionStore.get is before

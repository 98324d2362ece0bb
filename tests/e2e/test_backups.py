"""Base backups of the running server, as an operator has them made and a script follows them."""

import time

import pytest
from conftest import Refused

PATIENCE = 300  # seconds: one that WAL has had begun by itself goes before, and many databases have been made
SERVER, BACKUP = "loomworks.database.server", "loomworks.base.backup"


def wait_for(look):
    end = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < end, f"not there after {PATIENCE} s"
        time.sleep(0.5)
    return found


@pytest.fixture(scope="module")
def own_server(call):
    """The id of the server of the running stack."""
    (found,) = call(SERVER, "search", domain=[["host", "like", "postgres.loomworks"]])
    return found


def test_backup_that_an_operator_asks_for_becomes_a_row_with_its_range(call, own_server):
    known = call(BACKUP, "search", domain=[["server_id", "=", own_server], ["state", "=", "done"]])
    call(SERVER, "action_backup_incremental", ids=[own_server])
    domain = [
        ["server_id", "=", own_server],
        ["id", "not in", known],
        ["state", "=", "done"],
        ["lsn_stop", "!=", False],
    ]
    fields = ["label", "backup_type", "prior_label", "lsn_start", "lsn_stop", "wal_start", "timeline", "duration"]
    # Where one for the schedule is under way, that is the answer.
    row = wait_for(lambda: call(BACKUP, "search_read", domain=domain, fields=fields))[0]
    assert row["backup_type"] == "incr"
    assert row["label"].startswith(row["prior_label"][:16])
    assert row["lsn_start"] < row["lsn_stop"] or len(row["lsn_start"]) < len(row["lsn_stop"])
    assert int(row["wal_start"][:8], 16) == row["timeline"]


def test_page_of_the_server_tells_how_its_repository_stands(call, own_server):
    fields = ["backup_state", "backup_message", "repository_backup_bytes", "last_archived_wal", "last_backup_at"]
    row = wait_for(
        lambda: next(
            (
                one
                for one in call(SERVER, "read", ids=[own_server], fields=fields)
                if one["backup_state"] == "fit" and one["repository_backup_bytes"]
            ),
            None,
        )
    )
    assert not row["backup_message"]
    assert len(row["last_archived_wal"]) == 24
    assert row["last_backup_at"]


def test_rows_of_backups_are_nobodys_to_write(call):
    with pytest.raises(Refused, match="403"):
        call(BACKUP, "create", vals_list=[{"server_id": 1, "backup_type": "full", "state": "done"}])

"""A server that was itself brought back to an earlier moment has two histories; a tenant is restored to either."""

import pytest
from addons.loomworks_snapshot.pitr import errors
from addons.loomworks_snapshot.pitr.request import Target, TargetKind
from harness.restoring import named, restore, whole


@pytest.fixture(scope="module")
def server(own_cell):
    """A server brought back to "fork": what it did after that on its first timeline is in the archive only."""
    own_cell.ask("CREATE DATABASE t_mine STRATEGY wal_log")
    own_cell.ask("CREATE DATABASE t_other STRATEGY wal_log")
    own_cell.ask("CREATE TABLE line AS SELECT g, md5(g::text) FROM generate_series(1, 5000) g", "t_mine")
    own_cell.backup("full")
    own_cell.ask("INSERT INTO line VALUES (1, 'before the fork')", "t_mine")
    own_cell.ask("CREATE TABLE line AS SELECT generate_series(1, 5000)", "t_other")
    own_cell.restore_point("fork")
    own_cell.ask("INSERT INTO line VALUES (2, 'abandoned')", "t_mine")
    own_cell.abandoned = (whole(own_cell, "t_mine"), named(own_cell, "abandoned"))
    own_cell.archive()
    own_cell.stop()
    own_cell.run(
        "pgbackrest", "--stanza=main", "--delta", "--type=name", "--target=fork", "--target-action=promote", "restore"
    )
    own_cell.start()
    own_cell.await_promotion()
    own_cell.ask("INSERT INTO line VALUES (3, 'after the fork')", "t_mine")
    own_cell.after = (whole(own_cell, "t_mine"), named(own_cell, "after", timeline=2))
    return own_cell


def test_on_the_new_timeline_from_a_backup_of_the_old_one(server):
    content, target = server.after
    report = restore(server, "t_mine", target, "t_back")
    assert (report.passed, report.note) == (0, "")  # which segment comes next is for the server to say
    assert whole(server, "t_back") == content


def test_on_the_newest_timeline_where_none_is_named(server):
    content, target = server.after
    report = restore(server, "t_mine", Target(TargetKind.NAME, target.value, lsn=target.lsn), "t_back")
    assert report.passed == 0
    assert whole(server, "t_back") == content


def test_on_the_abandoned_timeline(server):
    content, target = server.abandoned
    report = restore(server, "t_mine", target, "t_back")
    assert report.passed > 0
    assert whole(server, "t_back") == content


def test_a_moment_of_one_timeline_is_not_on_the_other(server):
    _content, target = server.abandoned
    with pytest.raises(errors.TargetNotReached):
        restore(server, "t_mine", Target(TargetKind.NAME, target.value, timeline=2, lsn=target.lsn), "t_back")


def test_from_a_backup_of_the_new_timeline(server):
    server.backup("full")
    server.ask("DELETE FROM line WHERE g % 2 = 0", "t_mine")
    server.ask("DELETE FROM line", "t_other")
    content, target = whole(server, "t_mine"), named(server, "newer", timeline=2)
    report = restore(server, "t_mine", target, "t_back")
    assert report.passed > 1000
    assert whole(server, "t_back") == content

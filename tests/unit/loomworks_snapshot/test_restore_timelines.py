"""A server that was itself brought back to an earlier moment has two histories; a tenant is restored to either."""

import pytest
from addons.loomworks_snapshot.pitr import errors
from addons.loomworks_snapshot.pitr.request import Target, TargetKind
from addons.loomworks_snapshot.repository import catalog
from addons.loomworks_snapshot.repository.archive import Archive
from addons.loomworks_snapshot.repository.segments import parse_lsn
from addons.loomworks_snapshot.repository.store import Store
from addons.loomworks_snapshot.timeline.forks import Known, abandoned, span_of
from harness.restoring import location, named, restore, whole

NOW = "SELECT clock_timestamp()::text, extract(epoch FROM clock_timestamp())::float"


@pytest.fixture(scope="module")
def server(own_cell):
    """A server brought back to "fork": what it did after that on its first timeline is in the archive only."""
    own_cell.ask("CREATE DATABASE t_mine STRATEGY wal_log")
    own_cell.ask("CREATE DATABASE t_other STRATEGY wal_log")
    own_cell.ask("CREATE TABLE line AS SELECT g, md5(g::text) FROM generate_series(1, 5000) g", "t_mine")
    own_cell.backup("full")
    own_cell.ask("INSERT INTO line VALUES (1, 'before the fork')", "t_mine")
    own_cell.ask("CREATE TABLE line AS SELECT generate_series(1, 5000)", "t_other")
    own_cell.at_fork = (whole(own_cell, "t_mine"), known(own_cell, 1, own_cell.restore_point("fork")))
    own_cell.ask("INSERT INTO line VALUES (2, 'abandoned')", "t_mine")
    own_cell.between = own_cell.ask(NOW)[0]
    own_cell.ask("INSERT INTO line VALUES (2)", "t_other")  # replay to a time ends where a later commit follows
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
    own_cell.behind = known(own_cell, 2, own_cell.restore_point("behind"))
    return own_cell


def known(cell, timeline, lsn):
    """Return a position at which the server has just been."""
    return Known(timeline, parse_lsn(lsn), cell.ask(NOW)[0][1])


def time_between(server, timeline):
    """Return the moment between the fork and the promotion as a target."""
    text, moment = server.between
    return Target(TargetKind.TIME, text, timeline, timestamp=int(moment) + 60)  # later than any base backup here


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


def test_a_time_between_fork_and_promotion_is_the_state_at_the_fork_where_no_timeline_is_named(server):
    """Nothing in WAL says that anything is missing: who asks has to be told before."""
    content, _known = server.at_fork
    restore(server, "t_mine", time_between(server, None), "t_back")
    assert whole(server, "t_back") == content != server.abandoned[0]


def test_a_time_between_fork_and_promotion_is_on_the_abandoned_timeline(server):
    restore(server, "t_mine", time_between(server, 1), "t_back")
    assert whole(server, "t_back") == server.abandoned[0]


def test_a_time_between_fork_and_promotion_is_known_to_be_abandoned(server):
    store, (_content, before) = Store(location(server)), server.at_fork
    archive = Archive(store, catalog.read(store).archive_id)
    [span] = abandoned(archive, 2, [before, server.behind], server.behind.moment + 60)
    assert (span.since, span.until) == (before.moment, server.behind.moment)
    assert span_of(server.between[1], [span]) == span
    assert abandoned(archive, 1, [before], server.behind.moment) == []


def test_from_a_backup_of_the_new_timeline(server):
    server.backup("full")
    server.ask("DELETE FROM line WHERE g % 2 = 0", "t_mine")
    server.ask("DELETE FROM line", "t_other")
    content, target = whole(server, "t_mine"), named(server, "newer", timeline=2)
    report = restore(server, "t_mine", target, "t_back")
    assert report.passed > 1000
    assert whole(server, "t_back") == content

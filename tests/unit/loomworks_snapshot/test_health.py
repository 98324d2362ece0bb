"""What is said to be wrong with a server's backups."""

import pytest
from addons.loomworks_snapshot.backup.health import problems
from addons.loomworks_snapshot.backup.schedule import Policy
from servers import DAY, FIT, HOUR, NOW, archive, full, incr, look, pending, work

POLICY = Policy()
RECENT = full(NOW - HOUR)
UNREACHABLE = "[HostConnectError] unable to connect to 's3:8333': [111] Connection refused\n    [RETRY DETAIL OMITTED]"


def only_problem(*backups, **changes):
    (found,) = problems(look(*(backups or (RECENT,)), **changes), POLICY)
    return found


def test_fit_server_has_no_problem():
    assert problems(look(RECENT, work=(work("full"), work("check"), pending("incr", asked=NOW - 5))), POLICY) == []


@pytest.mark.parametrize("name", ["data_checksums", "full_page_writes", "archive_mode", "fsync"])
def test_setting_that_restoring_needs(name):
    assert only_problem(settings={**FIT, name: "off"}).startswith(f"{name} is off")


def test_wal_level_without_whole_changes():
    assert only_problem(settings={**FIT, "wal_level": "minimal"}).startswith("wal_level is minimal")
    assert problems(look(RECENT, settings={**FIT, "wal_level": "logical"}), POLICY) == []


def test_database_in_a_tablespace():
    assert "tablespace" in only_problem(databases_elsewhere=2)


def test_archive_that_lags_says_how_much_and_whether_it_fails():
    lagging = archive(lag_seconds=600, lag_bytes=32 << 20, last_failed=NOW)
    assert only_problem(archive=lagging) == (
        "32 MiB of WAL wait for the repository, the oldest for 10 minutes, and the last attempt failed: "
        "see the server's log"
    )
    assert "failed" not in only_problem(archive=archive(lag_seconds=600))
    assert problems(look(RECENT, archive=archive(lag_seconds=200, last_failed=NOW)), POLICY) == []


def test_repository_that_cannot_be_read_says_why_in_one_line():
    said = only_problem(info_error=UNREACHABLE)
    assert said == f"the repository cannot be read: {UNREACHABLE.splitlines()[0]}"


@pytest.mark.parametrize(
    "changes",
    [{"info_tried": None}, {"info_tried": NOW - 2 * HOUR}, {"work": (pending("incr", asked=NOW - HOUR),)}],
)
def test_steward_that_does_not_answer(changes):
    assert "steward" in only_problem(**changes)


def test_steward_that_is_busy_is_not_silent():
    busy = (work("full", finished=None, code=None), pending("incr", asked=NOW - HOUR))
    assert problems(look(RECENT, info_tried=NOW - 2 * HOUR, work=busy), POLICY) == []


def test_server_without_a_base():
    assert "no base backup" in "".join(problems(look(), POLICY))
    assert "no base backup" in "".join(problems(look(full(NOW - HOUR, system_identifier="1")), POLICY))


def test_last_backup_that_is_old():
    assert only_problem(full(NOW - 3 * DAY)) == "the last base backup is 3 days old"


def test_backup_that_met_wrong_checksums():
    assert "wrong checksums" in only_problem(RECENT, full(NOW - 60, failed=True))


@pytest.mark.parametrize(
    ("kind", "what"), [("incr", "base backup"), ("expire", "expiry"), ("check", "check"), ("verify", "verify")]
)
def test_work_that_failed_says_how_often_and_why(kind, what):
    failed = work(kind, code=82, message="backup begins\nERROR: [082]: no WAL\nbackup ends")
    assert only_problem(work=(failed,)) == f"{what} failed the last time: ERROR: [082]: no WAL"
    assert only_problem(work=(failed, failed)).startswith(f"{what} failed the last 2 times")


def test_verify_names_what_is_invalid():
    message = "stanza: main\nstatus: error\n  backup: 20261121-161219F, status: invalid, total files checked: 970"
    assert "backup: 20261121-161219F, status: invalid" in only_problem(work=(work("verify", code=1, message=message),))


def test_incremental_backup_counts_as_the_last():
    old = full(NOW - 3 * DAY)
    assert problems(look(old, incr(old, NOW - HOUR)), POLICY) == []


@pytest.mark.parametrize(
    ("lsn", "changes", "seconds"),
    [
        (0x1000028, {}, 0),  # nothing but a header is in the open segment
        (0x1000100, {}, 10),
        (0x1000100, {"last_archived": NOW - 3600}, 60),  # something was written at last; a segment is ended in a minute
        (0x2000100, {"last_archived": NOW - 3600, "lag_seconds": 600}, 660),
        (0x1000100, {"last_archived": NOW - 3600, "timeout": 0}, 3600),
        (0x1000100, {"last_archived": None, "last_archived_wal": "", "lag_seconds": 5}, 65),
        (0x1000100, {"last_archived": NOW + 5}, 0),  # two clocks
    ],
)
def test_what_would_be_lost_with_the_server(lsn, changes, seconds):
    assert look(RECENT, lsn=lsn, archive=archive(**changes)).unarchived_seconds == seconds

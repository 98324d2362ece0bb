"""Which work is wanted, from what a server says at one moment."""

import pytest
from addons.loomworks_snapshot.backup.schedule import MIB, Policy, backup_wanted, checks_wanted, failures
from servers import DAY, HOUR, NOW, full, incr, look, pending, work

POLICY = Policy()
RECENT = full(NOW - HOUR)


def test_server_without_a_backup_wants_a_full_one():
    assert backup_wanted(look(), POLICY) == "full"


def test_nothing_is_wanted_while_the_last_one_is_recent():
    assert backup_wanted(look(RECENT), POLICY) is None


def test_full_backup_is_wanted_after_its_days_whatever_came_between():
    old = full(NOW - 7 * DAY)
    assert backup_wanted(look(old, incr(old, NOW - HOUR)), POLICY) == "full"
    young = full(NOW - 7 * DAY + 1)
    assert backup_wanted(look(young, incr(young, NOW - HOUR)), POLICY) is None


def test_incremental_backup_is_wanted_after_a_day():
    assert backup_wanted(look(full(NOW - DAY)), POLICY) == "incr"


@pytest.mark.parametrize(("written", "wanted"), [(1024 * MIB - 1, None), (1024 * MIB, "incr")])
def test_incremental_backup_is_wanted_after_a_volume_of_wal_since_the_last_one_began(written, wanted):
    assert backup_wanted(look(RECENT, lsn=RECENT.lsn_start + written), POLICY) == wanted


def test_volume_counts_from_the_newest_backup():
    latest = incr(RECENT, NOW - 60, lsn=RECENT.lsn_start + 900 * MIB)
    assert backup_wanted(look(RECENT, latest, lsn=RECENT.lsn_start + 1800 * MIB), POLICY) is None


def test_new_timeline_wants_a_backup_of_its_own():
    assert backup_wanted(look(RECENT, timeline=2), POLICY) == "incr"


def test_backup_of_another_system_is_no_base():
    assert backup_wanted(look(full(NOW - HOUR, system_identifier="1")), POLICY) == "full"


@pytest.mark.parametrize("kind", ["full", "incr", "diff"])
def test_never_two_at_once(kind):
    assert backup_wanted(look(work=(pending(kind),)), POLICY) is None
    running = work(kind, finished=None, code=None)
    assert backup_wanted(look(work=(running,)), POLICY) is None


def test_other_work_keeps_no_backup_waiting():
    assert backup_wanted(look(work=(pending("verify"),)), POLICY) == "full"


@pytest.mark.parametrize(
    ("failed", "ago", "wanted"),
    [(1, 59, None), (1, 60, "full"), (2, 119, None), (2, 120, "full"), (12, 3599, None), (12, 3600, "full")],
)
def test_each_failure_doubles_the_pause_up_to_an_hour(failed, ago, wanted):
    rows = tuple(work("full", ago=ago, code=82) for _number in range(failed))
    assert backup_wanted(look(work=rows), POLICY) == wanted


def test_success_ends_the_back_off():
    rows = (work("full", ago=70, code=82), work("full", ago=60), work("incr", ago=5, code=82))
    assert failures(rows) == [rows[2]]


def test_server_with_wrong_checksums_is_not_backed_up_without_a_pause():
    wrong = full(NOW - HOUR, failed=True)
    assert backup_wanted(look(wrong), POLICY) is None
    assert backup_wanted(look(full(NOW - 7 * HOUR, failed=True)), POLICY) == "full"


@pytest.mark.parametrize("ago", [HOUR, 7 * HOUR])
def test_what_builds_on_a_backup_with_wrong_checksums_is_followed_by_a_full_one(ago):
    base = full(NOW - 2 * DAY)
    wrong = incr(base, NOW - DAY, failed=True)
    assert backup_wanted(look(base, wrong), POLICY) == "full"
    assert backup_wanted(look(base, wrong, incr(wrong, NOW - ago)), POLICY) == "full"


def test_backup_of_no_use_is_not_repeated_before_one_is_due():
    wrong = incr(RECENT, NOW - HOUR + 60, failed=True)
    assert backup_wanted(look(RECENT, wrong, incr(wrong, NOW - 60)), POLICY) is None


def test_backup_whose_prior_is_gone_is_no_base():
    latest = incr(RECENT, NOW - 60)
    assert backup_wanted(look(latest), POLICY) == "full"


def test_check_is_daily_and_verify_weekly_since_the_first_backup():
    assert checks_wanted(look(), POLICY) == []
    assert checks_wanted(look(full(NOW - DAY - 10)), POLICY) == ["check"]
    assert checks_wanted(look(full(NOW - 7 * DAY - 10)), POLICY) == ["check", "verify"]
    done = (work("check", ago=HOUR), work("verify", ago=2 * DAY))
    assert checks_wanted(look(full(NOW - 30 * DAY), work=done), POLICY) == []


def test_failed_verify_is_repeated_after_an_hour_and_not_sooner():
    base = full(NOW - 30 * DAY)
    done = (work("check"), work("verify", ago=HOUR - 1, code=1))
    assert checks_wanted(look(base, work=done), POLICY) == []
    done = (work("check"), work("verify", ago=HOUR, code=1))
    assert checks_wanted(look(base, work=done), POLICY) == ["verify"]


def test_failed_check_is_repeated_though_the_next_one_was_not_due():
    rows = (work("check", ago=2 * HOUR), work("check", ago=60, code=82))
    assert checks_wanted(look(full(NOW - 2 * HOUR), work=rows), POLICY) == ["check"]
    assert checks_wanted(look(full(NOW - 2 * HOUR), work=(work("check", ago=59, code=82),)), POLICY) == []


def test_pending_check_is_not_asked_for_again():
    base = full(NOW - 30 * DAY)
    assert checks_wanted(look(base, work=(pending("check"), pending("verify"))), POLICY) == []

"""The promise to forget, against what a repository keeps by its own rules: backups and snapshots made up at random."""

from datetime import UTC, datetime, timedelta

from addons.loomworks_snapshot.backup.base_backup import BaseBackup
from addons.loomworks_snapshot.backup.expiry import Target, expendable
from addons.loomworks_snapshot.repository.segments import Segment
from addons.loomworks_snapshot.schedule.forgetting import is_gone, least_days, oldest_kept
from hypothesis import given, settings
from hypothesis import strategies as st

DAY = timedelta(days=1)
SEGMENT = 1 << 24
FIRST = datetime.fromisoformat("2026-01-01")  # UTC, without a zone, as Odoo keeps times


def full(moment):
    """Return a full backup that began then; a day is a segment."""
    lsn = position(moment)
    return BaseBackup(
        label=f"{moment:%Y%m%d-%H%M%S}F",
        kind="full",
        prior="",
        references=(),
        started=moment.replace(tzinfo=UTC).timestamp(),
        stopped=moment.replace(tzinfo=UTC).timestamp() + 60,
        lsn_start=lsn,
        lsn_stop=lsn + 1,
        wal_start=Segment.holding(1, lsn).name,
        wal_stop=Segment.holding(1, lsn).name,
        system_identifier="1",
        size=1,
        repository_delta=1,
        repository_size=1,
    )


def position(moment):
    return int((moment - FIRST) / DAY * SEGMENT)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    window=st.integers(1, 20),
    cycle=st.integers(1, 10),
    more=st.integers(0, 30),
    snapshots=st.sets(st.integers(0, 120), max_size=20),
    erased=st.integers(1, 40),
)
def test_what_was_erased_is_gone_by_the_promised_day(window, cycle, more, snapshots, erased):
    promise = least_days(window, cycle) + more
    backups = []
    for day in range(erased + promise + 1):
        now = FIRST + day * DAY
        if day % cycle == 0:
            backups.append(full(now))
        oldest = oldest_kept(now, promise, cycle)
        kept = [
            Target(1, position(FIRST + at * DAY) + 2) for at in snapshots if at <= day and FIRST + at * DAY >= oldest
        ]
        started = (now - window * DAY).replace(tzinfo=UTC).timestamp()
        gone = set(expendable(backups, started, kept))
        backups = [one for one in backups if one.label not in gone]
    began = [datetime.fromtimestamp(one.started, UTC).replace(tzinfo=None) for one in backups]
    assert is_gone(FIRST + erased * DAY, began)


def test_nothing_is_gone_while_a_backup_of_the_time_is_left_or_none_is_known():
    assert not is_gone(FIRST, [])
    assert not is_gone(FIRST, [FIRST, FIRST + DAY])
    assert is_gone(FIRST, [FIRST + DAY])


def test_without_a_promise_anything_may_be_kept():
    assert oldest_kept(FIRST, 0, 7) is None

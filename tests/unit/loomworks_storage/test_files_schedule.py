"""Whose files are backed up when."""

from datetime import UTC, datetime, timedelta

from addons.loomworks_storage.files.schedule import Turn, due

NOW = datetime(2026, 11, 21, 18, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=30)


def ago(hours):
    return NOW - timedelta(hours=hours)


def test_first_backup_is_an_hour_after_the_tenant():
    assert due([Turn(1, ago(0.9), 24), Turn(2, ago(1), 24)], NOW, 9) == [2]


def test_each_has_its_rhythm():
    turns = [Turn(1, LONG_AGO, 24, ago(23)), Turn(2, LONG_AGO, 24, ago(25)), Turn(3, LONG_AGO, 1, ago(2))]
    assert set(due(turns, NOW, 9)) == {2, 3}


def test_zero_hours_is_never():
    assert due([Turn(1, LONG_AGO, 0), Turn(2, LONG_AGO, 0, LONG_AGO)], NOW, 9) == []


def test_failed_one_is_left_alone_for_an_hour():
    turns = [
        Turn(1, LONG_AGO, 24, ago(48), ago(0.5)),
        Turn(2, LONG_AGO, 24, ago(48), ago(2)),
        Turn(3, LONG_AGO, 24, None, ago(2)),
    ]
    assert set(due(turns, NOW, 9)) == {2, 3}


def test_failed_one_of_a_stopped_tenant_waits_for_its_next_turn():
    turns = [Turn(1, LONG_AGO, 24, None, ago(23), stopped=True), Turn(2, LONG_AGO, 24, None, ago(25), stopped=True)]
    assert due(turns, NOW, 9) == [2]


def test_as_many_as_there_is_room_for_the_longest_waiting_first():
    turns = [Turn(number, LONG_AGO, 24, ago(24 + number)) for number in range(9)]
    assert due(turns, NOW, 2) == [8, 7]
    assert due(turns, NOW, 0) == due(turns, NOW, -3) == []

"""When a volume is full: by straight lines with what happens to them in life, and honest where nothing can be said."""

from datetime import date, datetime, timedelta

import pytest
from addons.loomworks_storage.volumes.forecast import Forecast, Outlook, Reading, forecast
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime.fromisoformat("2026-11-25T12:00:00")
GI = 1024**3
SIZE = 10 * GI


def days(count, used, every=6):
    """Readings for so many days up to now, ``used(day)`` bytes each."""
    hours = range(0, count * 24 + 1, every)
    return [Reading(NOW - timedelta(days=count) + timedelta(hours=hour), used(hour / 24)) for hour in hours]


def test_steady_growth_is_full_on_its_day():
    found = forecast(days(10, lambda day: 4 * GI + day * GI / 10), SIZE, NOW)  # 5 of 10 now, a tenth a day
    assert found.outlook == Outlook.GROWING
    assert found.per_day == pytest.approx(GI / 10)
    assert found.full_on == date(2027, 1, 14)  # 50 days


def test_one_large_import_does_not_bend_the_line():
    quiet = days(20, lambda day: GI + day * GI / 100 + (5 * GI if day > 12 else 0))
    assert forecast(quiet, SIZE, NOW).per_day < GI / 10  # a line through all points rises by 0.37 GiB a day


def test_noise_around_a_line_is_looked_through():
    noisy = days(10, lambda day: 4 * GI + day * GI / 10 + (GI / 50 if int(day * 4) % 3 else 0))
    assert forecast(noisy, SIZE, NOW).per_day == pytest.approx(GI / 10, rel=0.05)


@pytest.mark.parametrize(
    "used",
    [
        lambda day: 3 * GI,
        lambda day: 8 * GI - day * GI / 10,
        lambda day: 3 * GI + (GI if int(day * 4) % 2 else 0),
        lambda day: 3 * GI + day * 1000,
        lambda day: 3 * GI + (4 * GI if day > 9 else 0),
    ],
    ids=["constant", "falling", "up and down", "hardly", "one step"],
)
def test_what_does_not_grow_is_said_not_to(used):
    assert forecast(days(10, used), SIZE, NOW) == Forecast(Outlook.STEADY)


@pytest.mark.parametrize(
    "readings",
    [[], days(10, lambda day: day * GI)[:5], days(1, lambda day: day * GI, every=1)[:20]],
    ids=["none", "five", "of less than a day"],
)
def test_too_little_is_said_to_be_too_little(readings):
    assert forecast(readings, SIZE, NOW) == Forecast(Outlook.UNKNOWN)


def test_what_was_weeks_ago_says_nothing():
    grew = [Reading(one.at - timedelta(days=60), one.used) for one in days(10, lambda day: day * GI)]
    assert forecast(grew, SIZE, NOW) == Forecast(Outlook.UNKNOWN)


def test_full_volume_is_full_today():
    assert forecast(days(10, lambda day: day * GI), SIZE, NOW).full_on == NOW.date()


def test_dense_readings_of_the_last_hours_count_no_more_than_older_ones():
    line = days(10, lambda day: 4 * GI + day * GI / 10)
    burst = [Reading(NOW + timedelta(minutes=minute), 5 * GI) for minute in range(1, 300, 5)]
    assert forecast([*line, *burst], SIZE, NOW).per_day == pytest.approx(GI / 10, rel=0.1)


@given(st.lists(st.floats(0, 1e15), min_size=2, max_size=80), st.integers(1, 20), st.floats(1, 1e15))
def test_any_history_has_an_answer_and_no_day_before_today(values, every, size):
    readings = [Reading(NOW - timedelta(hours=every * (len(values) - n)), value) for n, value in enumerate(values)]
    found = forecast(readings, size, NOW)
    assert (found.full_on is None) == (found.outlook != Outlook.GROWING)
    assert found.full_on is None or found.full_on >= NOW.date()

"""The dates of a tenant's end, for whatever days on which the control plane happens to run."""

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from addons.loomworks_storage.retention.ending import (
    FIRST_LEAD,
    LAST_LEAD,
    Dates,
    End,
    Life,
    Stage,
    Terms,
    Turn,
    foresee,
    kept_until,
)
from hypothesis import given, settings
from hypothesis import strategies as st

START = datetime.fromisoformat("2026-03-01T10:00:00")
DAY = timedelta(days=1)
TERMS = Terms(60, 30)


def test_serving_tenant_without_an_end_has_no_dates():
    assert foresee(Life(Stage.SERVING), TERMS) == Dates()


def test_serving_tenant_is_suspended_on_the_day_after_its_last():
    dates = foresee(Life(Stage.SERVING, expires=date(2026, 3, 31)), TERMS)
    assert dates == Dates(*map(datetime.fromisoformat, ("2026-04-01", "2026-05-31", "2026-06-30")))


def test_what_was_promised_is_foreseen_whatever_the_plan_says_by_now():
    ended = Life(Stage.ENDED, archive_at=START)
    assert foresee(ended, Terms(0, 30)) == Dates(None, START, START + 30 * DAY)
    promised = Life(Stage.ENDED, archive_at=START, erase_at=START + 5 * DAY)
    assert foresee(promised, Terms(0, 30)) == Dates(None, START, START + 5 * DAY)
    assert foresee(Life(Stage.ARCHIVED, erase_at=START), Terms(0, 0)) == Dates(erased=START)


@pytest.mark.parametrize(("archived", "erased"), [(-9, 5), (0, 5), (3, 8)], ids=["early", "on its day", "late"])
def test_data_is_kept_until_the_day_promised_and_as_long_as_promised(archived, erased):
    assert kept_until(START + archived * DAY, START, START + 5 * DAY) == START + erased * DAY


@pytest.mark.parametrize("life", [Life(Stage.ERASED, erase_at=START), Life(Stage.ENDED), Life(Stage.ARCHIVED)])
def test_nothing_is_foreseen_where_nothing_was_promised(life):
    assert foresee(life, TERMS) == Dates()


@pytest.mark.parametrize(
    ("days", "turn"), [(0, Turn.WAIT), (15, Turn.WAIT), (16, Turn.TELL), (29, Turn.TELL), (300, Turn.TELL)]
)
def test_first_telling_comes_fourteen_days_ahead(days, turn):
    assert End(START, START + 30 * DAY).decide(START + days * DAY)[0] == turn


@pytest.mark.parametrize(("days", "turn"), [(20, Turn.WAIT), (27, Turn.REMIND), (300, Turn.REMIND)])
def test_last_telling_comes_three_days_ahead(days, turn):
    assert End(START, START + 30 * DAY, told=START + 16 * DAY).decide(START + days * DAY)[0] == turn


def test_late_telling_moves_the_day_and_a_timely_one_does_not():
    end = End(START, START + 30 * DAY)
    assert end.decide(START + 16 * DAY)[1] == START + 30 * DAY
    assert end.decide(START + 40 * DAY)[1] == START + 54 * DAY


DAYS = st.integers(0, 400)
PAUSES = st.lists(st.integers(1, 24 * 200), min_size=1, max_size=60)  # hours between two runs of the cron


def lived(stage_days, pauses):
    """Return each look at an end: the moment, what was done, and the end as it was."""
    end, now, seen = End(START, START + stage_days * DAY), START, []
    for pause in pauses:
        now += timedelta(hours=pause)
        turn, day = end.decide(now)
        seen.append((now, turn, end))
        if turn == Turn.ACT:
            break
        end = end.after(turn, day, now)
    return seen


@settings(max_examples=400, deadline=None)
@given(DAYS, PAUSES)
def test_nothing_goes_before_its_day_nor_untold(stage_days, pauses):
    seen = lived(stage_days, pauses)
    told = [now for now, turn, _ in seen if turn == Turn.TELL]
    reminded = [now for now, turn, _ in seen if turn == Turn.REMIND] or told
    for now, turn, end in seen:
        if turn == Turn.ACT:
            assert now >= START + stage_days * DAY
            assert now >= end.promised
            assert len(told) == 1
            assert now - told[0] >= min(FIRST_LEAD, stage_days * DAY)
            assert now - reminded[-1] >= min(LAST_LEAD, stage_days * DAY)


@settings(max_examples=400, deadline=None)
@given(DAYS, PAUSES)
def test_day_only_ever_moves_to_later_and_is_never_one_that_was_not_told(stage_days, pauses):
    promises = [end.promised for _, _, end in lived(stage_days, pauses)]
    assert promises == sorted(promises)
    for (_, before, end), (_, _, after) in zip(lived(stage_days, pauses), lived(stage_days, pauses)[1:], strict=False):
        assert after.promised == end.promised or before in (Turn.TELL, Turn.REMIND)


@settings(max_examples=200, deadline=None)
@given(DAYS, st.integers(1, 23))
def test_end_comes_on_its_day_where_the_control_plane_is_always_there(stage_days, hours):
    seen = lived(stage_days, [hours] * (24 * 420 // hours))
    now, turn, _ = seen[-1]
    assert turn == Turn.ACT
    assert now - (START + stage_days * DAY) <= timedelta(hours=4 * hours)


def test_told_end_keeps_what_it_was_told():
    end = End(START, START + 30 * DAY)
    told = end.after(Turn.TELL, START + 30 * DAY, START + 16 * DAY)
    assert told == replace(end, told=START + 16 * DAY)
    assert told.after(Turn.WAIT, START, START) == told

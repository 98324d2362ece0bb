"""Whose turn it is, and what is kept: by examples made up at random, and by a calendar."""

import uuid
from collections import Counter
from datetime import datetime, timedelta

import pytest
from addons.loomworks_snapshot.schedule.due import Rhythm, due, next_turn
from addons.loomworks_snapshot.schedule.retention import FAILED_KEPT, PERIODS, Kept, Policy, expendable
from hypothesis import given, settings
from hypothesis import strategies as st

at = datetime.fromisoformat  # UTC, without a zone, as Odoo keeps times
NOW = at("2026-11-21 16:40")
MOMENTS = st.datetimes(at("2025-11-01 00:00"), NOW)
MINUTES = st.sampled_from([1, 5, 15, 60, 240, 1440])
TENANTS = st.uuids().map(str)


@st.composite
def snapshots(draw):
    ended = st.none() | st.datetimes(at("2026-01-01 00:00"), at("2027-06-01 00:00"))
    rarely = st.integers(0, 5).map(lambda n: n == 0)
    moments = draw(st.lists(MOMENTS, max_size=60))
    until = [draw(ended) if draw(rarely) else None for _one in moments]
    return [Kept(i, one, not draw(rarely), draw(rarely), until[i]) for i, one in enumerate(moments)]


POLICIES = st.builds(Policy, *(st.integers(0, 8) for _period in range(4)))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(snapshots(), POLICIES)
def test_newest_of_each_period_is_kept(made, policy):
    gone = set(expendable(made, policy, NOW))
    ruled = [one for one in made if one.ready and one.until is None]
    for name, period in PERIODS.items():
        newest = {}
        for one in sorted(ruled, key=lambda one: (one.moment, str(one.key))):
            newest[period(one.moment)] = one.key
        count = getattr(policy, name)
        latest = sorted(newest, key=lambda key: next(o.moment for o in ruled if o.key == newest[key]))[-count:]
        assert not gone & {newest[key] for key in latest if count}


@settings(max_examples=100, deadline=None, derandomize=True)
@given(snapshots(), POLICIES)
def test_neither_the_last_that_can_be_restored_goes_nor_what_is_kept_forever(made, policy):
    gone = set(expendable(made, policy, NOW))
    assert not gone & {one.key for one in made if one.forever}
    ready = [one for one in made if one.ready]
    if ready:
        newest = max(one.moment for one in ready)
        assert any(one.key not in gone for one in ready if one.moment == newest)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(snapshots(), POLICIES)
def test_no_more_is_kept_than_the_rules_say(made, policy):
    gone = set(expendable(made, policy, NOW))
    kept = [one for one in made if one.key not in gone and one.ready and not one.forever and one.until is None]
    assert len(kept) <= policy.hourly + policy.daily + policy.weekly + policy.monthly + 1


@settings(max_examples=100, deadline=None, derandomize=True)
@given(snapshots(), POLICIES)
def test_expiring_twice_expires_nothing_more(made, policy):
    gone = set(expendable(made, policy, NOW))
    rest = [one for one in made if one.key not in gone]
    assert expendable(rest, policy, NOW) == []


@settings(max_examples=100, deadline=None, derandomize=True)
@given(snapshots(), POLICIES)
def test_a_date_of_its_own_outweighs_the_rules(made, policy):
    gone = set(expendable(made, policy, NOW))
    dated = [one for one in made if one.until is not None and one.key in gone]
    assert all(one.until <= NOW for one in dated)


def test_a_year_of_hourly_snapshots_thins_out_as_the_plan_says():
    made = [Kept(i, NOW - timedelta(hours=i)) for i in range(24 * 365)]
    gone = set(expendable(made, Policy(hourly=24, daily=7, weekly=4, monthly=12), NOW))
    kept = [one.moment for one in made if one.key not in gone]
    assert kept[:24] == [NOW - timedelta(hours=i) for i in range(24)]
    assert NOW.replace(day=20, hour=23) in kept
    assert at("2026-11-15 23:40") in kept  # Sunday, the last of its week
    assert at("2026-10-31 23:40") in kept
    assert len(kept) == 24 + 5 + 2 + 11  # what an earlier rule keeps already counts once


def test_failed_one_waits_for_its_repository_and_then_goes():
    made = [Kept("ready", NOW), Kept("new", NOW - timedelta(days=1), ready=False)]
    made.append(Kept("old", NOW - FAILED_KEPT, ready=False))
    assert expendable(made, Policy(), NOW) == ["old"]


def test_failed_one_waits_from_when_it_failed_however_old_its_moment_is():
    day, moment = timedelta(days=1), NOW - timedelta(days=60)
    fresh = Kept("fresh", moment, ready=False, failed_since=NOW - FAILED_KEPT + day)
    long_ago = Kept("long ago", moment, ready=False, failed_since=NOW - FAILED_KEPT)
    assert expendable([fresh, long_ago, Kept("ready", NOW)], Policy(), NOW) == ["long ago"]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(TENANTS, MINUTES, MOMENTS, st.integers(1, 40))
def test_each_turn_gets_one_snapshot_however_often_one_looks(tenant, minutes, start, turns):
    taken, last, now = 0, start, start
    step = timedelta(minutes=minutes) / 7
    for _look in range(7 * turns):
        now += step
        if due([Rhythm(tenant, minutes, last)], now):
            taken, last = taken + 1, now
    assert abs(taken - turns) <= 1


@settings(max_examples=100, deadline=None, derandomize=True)
@given(TENANTS, MINUTES, MOMENTS, MOMENTS)
def test_next_turn_is_when_it_becomes_due(tenant, minutes, last, now):
    rhythm = Rhythm(tenant, minutes, min(last, now))
    turn = next_turn(rhythm, now)
    assert now <= turn <= now + timedelta(minutes=minutes)
    assert due([rhythm], turn) == [tenant]
    if turn > now:
        assert not due([rhythm], turn - timedelta(seconds=1))


def test_missed_turns_are_made_up_for_by_one_snapshot():
    tenant = str(uuid.UUID(int=7))
    assert due([Rhythm(tenant, 60, NOW - timedelta(days=3))], NOW) == [tenant]
    assert due([Rhythm(tenant, 60, NOW)], NOW + timedelta(seconds=1)) == []


@pytest.mark.parametrize(("minutes", "expected"), [(0, []), (-5, []), (60, ["new"])])
def test_tenant_without_a_snapshot_gets_one_at_once_if_its_plan_has_any(minutes, expected):
    assert due([Rhythm("new", minutes, None)], NOW) == expected
    assert next_turn(Rhythm("new", minutes, None), NOW) == (NOW if expected else None)


def test_thousand_tenants_are_spread_over_the_hour():
    tenants = [str(uuid.UUID(int=i)) for i in range(1000)]
    turns = Counter(next_turn(Rhythm(one, 60, NOW), NOW).minute for one in tenants)
    assert len(turns) == 60
    assert max(turns.values()) < 40  # 16.7 a minute on average

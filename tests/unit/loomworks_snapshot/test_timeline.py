"""The time machine's arithmetic: WAL in time, spans that can be restored, and how long a restore takes."""

from itertools import pairwise

from addons.loomworks_snapshot.repository.proof import Prover
from addons.loomworks_snapshot.repository.segments import SEGMENT_SIZE, Segment
from addons.loomworks_snapshot.timeline.clock import WalClock
from addons.loomworks_snapshot.timeline.estimate import DEFAULT_OVERHEAD, Sample, estimate
from addons.loomworks_snapshot.timeline.reach import reaches
from addons.loomworks_snapshot.timeline.spans import Span, Why, gaps, restorable, why_not
from harness import in_memory_repository as in_memory
from hypothesis import given
from hypothesis import strategies as st

MIB = 1 << 20
MOMENTS = st.integers(0, 1000)
KNOWN = st.lists(st.tuples(MOMENTS, MOMENTS), max_size=12)
SPANS = st.lists(st.tuples(MOMENTS, MOMENTS).map(lambda ends: Span(min(ends), max(ends))), max_size=8)
STAGES = st.dictionaries(
    st.sampled_from(["catalogue", "fetch", "restore", "replay", "check", "dump", "load"]), st.floats(0, 500), min_size=1
)
BYTES = st.integers(0, 1 << 36)
SAMPLES = st.lists(st.builds(Sample, STAGES, BYTES, BYTES, st.none() | st.floats(0, 300)), max_size=25)


# --- positions in time ---


@given(KNOWN, MOMENTS, MOMENTS)
def test_positions_never_fall(known, one, other):
    clock = WalClock(known)
    assert clock.position(min(one, other)) <= clock.position(max(one, other))


@given(KNOWN)
def test_what_is_known_is_told_unless_something_earlier_is_further(known):
    clock = WalClock(known)
    for moment, _position in known:
        assert clock.position(moment) == max(position for at, position in known if at <= moment)


@given(st.lists(st.tuples(MOMENTS, MOMENTS), min_size=1, max_size=12), MOMENTS)
def test_moment_of_a_position_leads_back_to_it(known, position):
    clock = WalClock(known)
    lowest, highest = clock.position(-1), clock.position(9999)
    found = clock.position(clock.moment(position))
    if lowest <= position <= highest and found not in dict(known).values():
        assert abs(found - position) <= 1


def test_nothing_known():
    assert (WalClock([]).position(5), WalClock([]).moment(5)) == (0, None)
    assert (WalClock([(0, 0), (10, 100)]).position(5), WalClock([(0, 0), (10, 100)]).moment(50)) == (50, 5)


# --- spans ---


@given(SPANS, MOMENTS, MOMENTS, MOMENTS)
def test_a_moment_can_be_restored_when_a_backup_leads_there_and_the_tenant_was_there(reached, born, now, moment):
    spans = restorable(reached, born, now)
    expected = born <= moment <= now and any(span.holds(moment) for span in reached)
    assert any(span.holds(moment) for span in spans) == expected
    assert (why_not(moment, spans, born, now) is None) == expected


@given(SPANS, MOMENTS, MOMENTS)
def test_spans_and_gaps_are_in_order_and_cover_the_time_from_the_first(reached, born, now):
    spans = restorable(reached, born, now)
    parts = sorted([*spans, *gaps(spans, now)])
    assert all(before.until == after.since for before, after in pairwise(parts))
    if spans:
        assert (parts[0].since, parts[-1].until) == (spans[0].since, now)


def test_why_a_moment_cannot_be_restored():
    spans = [Span(20, 30), Span(50, 60)]
    moments = {5: Why.BEFORE_TENANT, 15: Why.BEFORE_BACKUPS, 25: None, 40: Why.GAP, 99: Why.FUTURE}
    assert {moment: why_not(moment, spans, 10, 60) for moment in moments} == moments
    assert why_not(25, [], 10, 60) == Why.NO_BACKUPS


# --- how far base backups lead ---


def made(label, first, timeline=1):
    return in_memory.MadeBackup(label, timeline, in_memory.lsn(first), in_memory.lsn(first, 0x200))


def reached(store, newest):
    return {one.label: (one.until, one.useless) for one in reaches(Prover(store), Segment(1, newest))}


def test_a_hole_ends_what_a_backup_leads_to_and_a_later_backup_leads_on():
    store = in_memory.repository([made("A", 1), made("B", 40)])
    for number in range(1, 60):
        store.put_segment(1, number)
    assert reached(store, 59) == {"A": (None, False), "B": (None, False)}
    store.drop_segment(1, 23)
    assert reached(store, 59) == {"A": (23 * SEGMENT_SIZE, False), "B": (None, False)}
    store.drop_segment(1, 1)
    assert reached(store, 59)["A"] == (None, True)


@given(st.integers(2, 30))
def test_the_hole_is_found_wherever_it_is(hole):
    store = in_memory.repository([made("A", 1)])
    for number in range(1, 32):
        store.put_segment(1, number)
    store.drop_segment(1, hole)
    assert reached(store, 31) == {"A": (hole * SEGMENT_SIZE, False)}


def test_a_backup_on_the_way_to_a_later_timeline_leads_there():
    store = in_memory.repository([made("A", 1)])
    for number in range(1, 6):
        store.put_segment(1, number)
    for number in range(5, 9):
        store.put_segment(2, number)
    store.put_history(2, f"1\t0/{5 * SEGMENT_SIZE + 0x100:X}\tno reason\n")
    assert [one.until for one in reaches(Prover(store), Segment(2, 8))] == [None]
    store.drop_segment(2, 7)
    assert [one.until for one in reaches(Prover(store), Segment(2, 8))] == [7 * SEGMENT_SIZE]


def test_without_a_stanza_nothing_leads_anywhere():
    assert reaches(Prover(in_memory.MemoryStore()), Segment(1, 5)) == []


# --- how long it takes ---


@given(SAMPLES, BYTES, BYTES, BYTES, BYTES)
def test_more_to_do_never_takes_less(samples, size, more, wal, more_wal):
    small = estimate(samples, size, wal)
    large = estimate(samples, size + more, wal + more_wal)
    for one, other in zip((small.seconds, small.low, small.high), (large.seconds, large.low, large.high), strict=True):
        assert one <= other * (1 + 1e-9)


@given(SAMPLES, BYTES, BYTES)
def test_the_range_holds_the_estimate_and_stays_positive(samples, size, wal):
    told = estimate(samples, size, wal)
    assert 0 <= told.low <= told.seconds <= told.high


@given(st.builds(Sample, STAGES, BYTES, BYTES, st.floats(0, 300)), st.integers(1, 9))
def test_the_same_again_takes_the_same(sample, times):
    told = estimate([sample] * times, sample.size, sample.wal)
    assert abs(told.seconds - sum(sample.seconds.values()) - sample.overhead) < 1e-3
    assert told.measured == times


def test_without_measurements_a_default_is_told_with_a_wide_range():
    told = estimate([], 100 * MIB, 0)
    assert told.measured == 0
    assert told.seconds > DEFAULT_OVERHEAD
    assert told.high / told.low > 8


def test_only_the_replay_grows_with_the_wal_and_only_files_with_the_size():
    sample = Sample({"catalogue": 1.0, "replay": 4.0, "load": 8.0}, 64 * MIB, 64 * MIB, 10.0)
    stages = estimate([sample], 192 * MIB, 64 * MIB).stages
    assert stages == {"catalogue": 1.0, "replay": 4.0, "load": 16.0}
    assert estimate([sample], 64 * MIB, 192 * MIB).stages == {"catalogue": 1.0, "replay": 8.0, "load": 8.0}

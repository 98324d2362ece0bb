"""Times that a server's present way does not have, from a repository in memory."""

import pytest
from addons.loomworks_snapshot.repository.archive import Archive
from addons.loomworks_snapshot.timeline.forks import Known, abandoned, span_of
from addons.loomworks_snapshot.timeline.spans import Span, gaps, without
from harness import in_memory_repository as in_memory

NOW = 1000.0
FORK = "0/5000100"  # in segment 5
BEFORE = [Known(1, in_memory.lsn(2), 100.0), Known(1, in_memory.lsn(5), 200.0)]
LEFT = [Known(1, in_memory.lsn(5, 0x101), 210.0), Known(1, in_memory.lsn(8), 300.0)]
BEHIND = [Known(2, in_memory.lsn(5, 0x180), 500.0), Known(2, in_memory.lsn(6), 600.0)]


@pytest.fixture
def store():
    found = in_memory.repository()
    found.put_history(2, f"1\t{FORK}\tat restore point")
    for number in range(1, 5):
        found.put_segment(1, number)
    return found


def spans(store, timeline=2, known=(*BEFORE, *LEFT, *BEHIND)):
    return abandoned(Archive(store, "17-1"), timeline, known, NOW)


@pytest.mark.parametrize("left", [5, 8])
def test_time_between_the_fork_and_the_promotion_is_abandoned(store, left):
    store.put_segment(1, left)
    assert spans(store) == [Span(200.0, 500.0)]
    assert spans(store, known=(*BEFORE, *LEFT)) == [Span(200.0, NOW)]


def test_failover_that_lost_nothing_abandons_nothing(store):
    store.sizes[f"{in_memory.ARCHIVE}/0000000100000000/000000010000000000000005.partial-{'a' * 40}.zst"] = 100
    assert spans(store) == []


def test_recovery_to_the_end_of_the_archive_abandons_only_what_is_known_behind_the_fork(store):
    """The last archived segment ends with the beginning of a record whose end never came."""
    store.put_history(2, f"1\t{FORK}\tno recovery target specified")
    store.put_segment(1, 5)
    assert spans(store, known=(*BEFORE, *BEHIND)) == []
    assert spans(store) == [Span(200.0, 500.0)]
    store.put_segment(1, 6)
    assert spans(store, known=(*BEFORE, *BEHIND)) == [Span(200.0, 500.0)]


def test_server_that_was_never_taken_back_has_one_way(store):
    store.put_segment(1, 8)
    assert spans(store, timeline=1) == []


def test_way_whose_history_is_not_archived_tells_nothing(store):
    assert spans(store, timeline=7) == []


def test_timeline_that_was_left_altogether_is_abandoned_too(store):
    """Taken back twice from the same timeline: the second one was nobody's ancestor."""
    store.put_history(3, f"1\t{FORK}\tat restore point")
    later = [Known(3, in_memory.lsn(6), 700.0)]
    assert spans(store, 3, (*BEFORE, *LEFT, *BEHIND, *later)) == [Span(200.0, 700.0)]


def test_each_time_it_was_taken_back_has_its_span(store):
    store.put_segment(1, 8)
    store.put_segment(2, 9)
    store.put_history(3, f"1\t{FORK}\tat restore point\n2\t0/7000000\tat restore point")
    later = [Known(3, in_memory.lsn(7), 900.0)]
    assert spans(store, 3, (*BEFORE, *LEFT, *BEHIND, *later)) == [Span(200.0, 500.0), Span(600.0, 900.0)]


def test_ends_of_a_span_are_on_the_way():
    found = [Span(200.0, 500.0)]
    assert [bool(span_of(moment, found)) for moment in (200.0, 200.5, 499.0, 500.0)] == [False, True, True, False]


def test_what_is_abandoned_cannot_be_restored_and_its_ends_can():
    left = without([Span(0.0, 50.0), Span(100.0, 600.0)], [Span(200.0, 500.0)])
    assert left == [Span(0.0, 50.0), Span(100.0, 200.0), Span(500.0, 600.0)]
    assert gaps(left, 600.0) == [Span(50.0, 100.0), Span(200.0, 500.0)]
    assert without([Span(100.0, 600.0)], []) == [Span(100.0, 600.0)]

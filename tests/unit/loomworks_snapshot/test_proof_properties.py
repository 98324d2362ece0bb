"""The prover against an oracle that follows recovery segment by segment, on repositories made up at random.

The oracle knows the tree of timelines itself and tries everything; the prover reads files and takes short cuts.
"""

import os
from dataclasses import dataclass

from addons.loomworks_snapshot.repository import proof
from addons.loomworks_snapshot.repository.segments import SEGMENT_SIZE, format_lsn
from addons.loomworks_snapshot.repository.verdict import Proof, Reason, Target
from harness.in_memory_repository import SYSTEM, MadeBackup, lsn, repository
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("LOOMWORKS_PROOF_EXAMPLES", "300"))
FIRST, LAST = 252, 262  # across the border of two folders
OFFSETS = st.sampled_from([0, 1, 0x100, SEGMENT_SIZE // 2, SEGMENT_SIZE - 1])
SWITCHES = st.builds(lsn, st.integers(FIRST + 1, LAST - 1), OFFSETS)
STARTS = st.builds(lsn, st.integers(FIRST, LAST - 4), OFFSETS)
POSITIONS = st.builds(lsn, st.integers(FIRST + 2, LAST), OFFSETS)


@dataclass
class World:
    parents: dict  # timeline -> (parent, where it was left)
    backups: list
    sizes: dict  # (timeline, number) -> sizes of the objects that are this segment
    store: object

    def ancestry(self, timeline):
        """Yield (timeline, where it begins), the newest first."""
        while timeline in self.parents:
            parent, left = self.parents[timeline]
            yield timeline, left
            timeline = parent
        yield timeline, 0

    def lies_on(self, timeline, position, way):
        """Tell whether what ``timeline`` had at ``position`` is on the way that ends with the timeline ``way``."""
        end = None
        for one, begin in self.ancestry(way):
            if one == timeline:
                return end is None or position <= end
            end = begin
        return False

    def read_from(self, way, number):
        return next(one for one, begin in self.ancestry(way) if begin // SEGMENT_SIZE <= number)


@st.composite
def worlds(draw):
    parents, texts = {}, {}
    for timeline in range(2, draw(st.integers(1, 4)) + 1):
        parent = draw(st.integers(1, timeline - 1))
        begin = parents[parent][1] if parent in parents else 0
        left = max(draw(SWITCHES), begin + 1)
        parents[timeline] = (parent, left)
        texts[timeline] = texts.get(parent, "") + f"{parent}\t{format_lsn(left)}\tno recovery target specified\n"
    backups = draw(st.lists(backup(parents), min_size=1, max_size=4))
    backups = [with_label(one, f"2026112{i}-000000F", backups[:i]) for i, one in enumerate(backups)]
    store = repository(backups)
    for timeline, text in texts.items():
        store.put_history(timeline, text)
    return World(parents, backups, draw(segments(store, 1 + len(parents))), store)


@st.composite
def backup(draw, parents):
    timeline = draw(st.sampled_from([1, 1, *parents]))
    start = max(draw(STARTS), parents[timeline][1] if timeline in parents else 0)
    stop = start + draw(st.sampled_from([0x80, SEGMENT_SIZE // 3, SEGMENT_SIZE]))
    rarely = st.integers(0, 9).map(lambda n: n == 0)
    references = ("-",) if draw(st.integers(0, 3)) == 0 else ()
    return MadeBackup("", timeline, start, stop, references, draw(rarely), not draw(rarely))


def with_label(one, label, earlier):
    references = tuple(f"2026112{i}-000000F" for i in range(len(earlier))) if one.references else ()
    return MadeBackup(label, one.timeline, one.lsn_start, one.lsn_stop, references, one.failed, one.manifest)


@st.composite
def segments(draw, store, timelines):
    sizes = {}
    holes = draw(st.sampled_from([0, 0, 0, 1, 8]))  # of 100
    for timeline in range(1, timelines + 1):
        end = draw(st.sampled_from([FIRST + 3, LAST - 2, LAST, LAST + 2, LAST + 2]))
        for number in range(FIRST, end + 1):
            fate = draw(st.integers(0, 99)) if holes else 99
            if fate < holes:
                sizes[timeline, number] = draw(st.sampled_from([[], [0], [5, 5]]))
            else:
                sizes[timeline, number] = [5]
            for checksum, size in zip("ab", sizes[timeline, number], strict=False):
                store.put_segment(timeline, number, size, checksum)
    return sizes


def reachable(world, target):
    """Return every (way, base backup) by which recovery would reach the target."""
    found = []
    for way in {target.timeline, *world.parents}:
        begin = world.parents[way][1] if way in world.parents else 0
        if way == target.timeline and target.lsn < begin:
            continue
        if not world.lies_on(target.timeline, target.lsn, way):
            continue
        for one in world.backups:
            fits = one.lsn_stop <= target.lsn and world.lies_on(one.timeline, one.lsn_stop, way)
            if fits and is_whole(world, one) and all_there(world, one, target, way):
                found.append((way, one.label))
    return found


def may_come_yet(world, target):
    """Tell whether there is a way to the target that the server has not left since."""
    timelines = {target.timeline, *world.parents}
    left = {one for one in timelines if not world.lies_on(target.timeline, target.lsn, one)}
    return any(all(other <= one for other in left) for one in timelines - left)


def is_whole(world, one):
    known = {other.label: other for other in world.backups}
    return all(known[label].manifest and not known[label].failed for label in (one.label, *one.references))


def all_there(world, one, target, way):
    last = (target.lsn - 1) // SEGMENT_SIZE if target.named else target.lsn // SEGMENT_SIZE + 1
    for number in range(one.lsn_start // SEGMENT_SIZE, last + 1):
        if world.sizes.get((world.read_from(way, number), number), []) != [5]:
            return False
    return True


@st.composite
def targets(draw, timelines=4):
    return Target(SYSTEM, draw(st.integers(1, timelines)), draw(POSITIONS), draw(st.booleans()))


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(worlds(), st.lists(targets(), min_size=1, max_size=6))
def test_prover_and_oracle_agree(world, wanted):
    wanted = [one for one in wanted if one.timeline == 1 or one.timeline in world.parents]
    for target, verdict in zip(wanted, proof.prove(world.store, wanted), strict=True):
        ways = reachable(world, target)
        assert isinstance(verdict, Proof) == bool(ways), (target, verdict, ways)
        if not ways:
            assert verdict.message
            assert not verdict.waiting or may_come_yet(world, target), (target, verdict)
            continue
        assert (verdict.timeline, verdict.backup) in ways
        shortest = max(one.lsn_stop for one in world.backups if (verdict.timeline, one.label) in ways)
        assert next(one.lsn_stop for one in world.backups if one.label == verdict.backup) == shortest


FORK = lsn(5)


def taken_back(archived, *histories):
    """Return a repository of a server that was taken back to the position FORK: timelines from the second on."""
    store = repository([MadeBackup("20261120-000000F", 1, lsn(1), lsn(1, 0x200))])
    for timeline, text in enumerate(histories, start=2):
        store.put_history(timeline, text)
    for timeline, number in archived:
        store.put_segment(timeline, number)
    return store


def verdict_on(store, position, timeline=1):
    return proof.prove(store, [Target(SYSTEM, timeline, position)])[0]


UNTIL_FORK = [(1, number) for number in range(1, 6)]
FROM_FIRST = f"1\t{format_lsn(FORK)}\tno recovery target specified\n"


def test_moment_that_was_lost_with_the_server_is_not_awaited_where_it_went_on_from_before():
    store = taken_back([*UNTIL_FORK, (2, 5), (2, 6)], FROM_FIRST)
    found = verdict_on(store, lsn(6))
    assert (found.reason, found.waiting) == (Reason.TIMELINE_LEFT, False)
    assert "0/6000100 of timeline 1" in found.message
    assert isinstance(verdict_on(store, lsn(6), timeline=2), Proof)
    assert verdict_on(store, lsn(7), timeline=2).waiting
    store.put_segment(1, 6)
    assert isinstance(verdict_on(store, lsn(6)), Proof)


def test_moment_before_the_fork_is_awaited_along_the_timeline_that_has_it():
    store = taken_back(UNTIL_FORK[:-1], FROM_FIRST)
    found = verdict_on(store, FORK - 0x10)
    assert (found.reason, found.waiting) == (Reason.NOT_YET_ARCHIVED, True)


def test_timeline_that_a_later_one_does_not_come_from_is_left_too():
    """Timeline 3 leaves 1 where 2 had left it: the server was taken back twice, and writes nothing on 2 any more."""
    store = taken_back([*UNTIL_FORK, (3, 5)], FROM_FIRST, FROM_FIRST)
    assert verdict_on(store, lsn(6), timeline=2).reason == Reason.TIMELINE_LEFT


@settings(max_examples=EXAMPLES // 4, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(worlds(), st.lists(targets(), min_size=2, max_size=6))
def test_verdict_does_not_depend_on_what_else_is_asked(world, wanted):
    together = proof.prove(world.store, wanted)
    assert together == [proof.prove(world.store, [one])[0] for one in wanted]


@settings(max_examples=EXAMPLES // 4, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(worlds(), st.lists(targets(), min_size=1, max_size=20))
def test_each_folder_is_listed_once_at_most(world, wanted):
    world.store.listed.clear()
    proof.prove(world.store, wanted)
    assert len(world.store.listed) == len(set(world.store.listed))

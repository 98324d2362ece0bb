"""Which backups may go, and the promise that nothing needed ever does."""

from addons.loomworks_snapshot.backup.base_backup import FULL, usable
from addons.loomworks_snapshot.backup.expiry import Target, expendable
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import DAY, NOW, full, incr

GIB = 1 << 30
FIRST, SECOND, THIRD = (full(NOW - days * DAY, lsn=(31 - days) * GIB) for days in (30, 23, 16))
LAST = full(NOW - 9 * DAY, lsn=22 * GIB)
WINDOW_START = NOW - 14 * DAY


def test_what_is_older_than_the_base_of_the_windows_first_moment_goes():
    assert expendable([FIRST, SECOND, THIRD, LAST], WINDOW_START, []) == [FIRST.label, SECOND.label]


def test_set_stays_whole_while_one_of_its_backups_is_the_windows_base():
    late = incr(FIRST, NOW - 15 * DAY)
    assert expendable([FIRST, late, LAST], WINDOW_START, []) == []


def test_last_full_backup_stays_however_old():
    assert expendable([FIRST], WINDOW_START, []) == []
    assert expendable([FIRST, SECOND], WINDOW_START, []) == [FIRST.label]


def test_nothing_goes_while_the_window_has_no_base():
    assert expendable([full(NOW - 3 * DAY), full(NOW - DAY)], WINDOW_START, []) == []


def test_backup_with_wrong_checksums_stands_in_for_none():
    wrong = full(NOW - 15 * DAY, failed=True)
    assert expendable([FIRST, wrong, LAST], WINDOW_START, []) == []
    newest_wrong = full(NOW - DAY, failed=True)
    assert expendable([FIRST, newest_wrong], NOW, []) == []


def test_kept_target_keeps_its_base_and_nothing_else():
    target = Target(1, SECOND.lsn_stop + 5)
    assert expendable([FIRST, SECOND, THIRD, LAST], WINDOW_START, [target]) == [FIRST.label]


def test_kept_target_before_the_end_of_a_backup_needs_the_one_before():
    target = Target(1, SECOND.lsn_stop - 1)
    assert expendable([FIRST, SECOND, THIRD, LAST], WINDOW_START, [target]) == [SECOND.label]


def test_kept_label_keeps_its_set():
    assert expendable([FIRST, SECOND, THIRD, LAST], WINDOW_START, [f"{FIRST.label}_20261101-000000I"]) == [SECOND.label]


def test_target_on_a_later_timeline_keeps_a_base_on_either_side_of_the_fork():
    after_fork = full(NOW - 20 * DAY, lsn=12 * GIB, timeline=2)
    kept = Target(2, 14 * GIB)
    assert expendable([FIRST, SECOND, after_fork, THIRD, LAST], WINDOW_START, [kept]) == [FIRST.label]


def test_base_that_a_proof_names_stays_beside_a_newer_one_on_a_way_that_was_left():
    """The server was taken back to before SECOND: of the same timeline, and no base of what came after."""
    kept = Target(2, SECOND.lsn_stop + 5, base_backup_label=FIRST.label)
    assert expendable([FIRST, SECOND, THIRD, LAST], WINDOW_START, [kept]) == []
    late = incr(FIRST, NOW - 25 * DAY)
    kept = Target(2, SECOND.lsn_stop + 5, base_backup_label=late.label)
    assert expendable([FIRST, late, SECOND, THIRD, LAST], WINDOW_START, [kept]) == []


def test_base_that_a_proof_names_and_that_is_of_no_use_any_more_does_not_stay():
    wrong = full(NOW - 29 * DAY, lsn=GIB, failed=True)
    kept = Target(1, SECOND.lsn_stop + 5, base_backup_label=wrong.label)
    assert expendable([wrong, FIRST, SECOND, THIRD, LAST], WINDOW_START, [kept]) == [FIRST.label, wrong.label]


def test_target_of_another_system_keeps_only_that_systems_base():
    other = full(NOW - 40 * DAY, lsn=GIB, system_identifier="1")
    kept = Target(1, 30 * GIB, "1")
    assert expendable([other, FIRST, SECOND, THIRD, LAST], WINDOW_START, [kept]) == [FIRST.label, SECOND.label]


# --- whatever happens ------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["full", "incr", "wrong", "expire"]), st.just(0)),
        st.tuples(st.just("wait"), st.integers(1, 8)),
        st.tuples(st.just("keep"), st.integers(0, 20)),
    ),
    min_size=5,
    max_size=60,
)
WINDOW = 14 * DAY


class Repository:
    """A repository in its simplest form: a day writes a GiB of WAL, and time only goes on."""

    def __init__(self):
        self.now, self.backups, self.targets, self.restorable_since = NOW, [], [], None

    def lsn(self, moment):
        return (moment - NOW) * GIB // DAY + GIB

    def step(self, what, amount):
        self.now += 60
        getattr(self, what)(amount)

    def wait(self, days):
        self.now += days * DAY

    def full(self, _amount, failed=False):
        self.backups.append(full(self.now, lsn=self.lsn(self.now), failed=failed))
        self.now += 60

    def wrong(self, _amount):
        self.full(0, failed=True)

    def incr(self, _amount):
        if self.backups:
            self.backups.append(incr(self.backups[-1], self.now, lsn=self.lsn(self.now)))
            self.now += 60

    def keep(self, days_ago):
        moment = self.now - days_ago * DAY
        if self.bases(moment):
            self.targets.append(moment)

    def expire(self, _amount):
        """Do what the control plane and the steward do: one set after another, and the WAL before the oldest left."""
        while gone := expendable(self.backups, self.now - WINDOW, self.kept()):
            self.backups = [one for one in self.backups if one.set_label != gone[0]]

    def kept(self):
        return [Target(1, self.lsn(moment)) for moment in self.targets]

    def bases(self, moment):
        """Backups from which ``moment`` can be reached: sound, whole, ended before it, and all WAL since is there."""
        wal_since = min((one.lsn_start for one in self.backups if one.kind == FULL), default=None)
        found = [one for one in usable(self.backups) if one.lsn_stop <= self.lsn(moment)]
        return [one for one in found if one.lsn_start >= wal_since]


@given(STEPS)
@settings(max_examples=400, deadline=None, derandomize=True)
def test_every_moment_of_the_window_and_every_target_keeps_a_base(steps):
    repository = Repository()
    for what, amount in steps:
        moments = [repository.now - WINDOW + hours * 3600 * 12 for hours in range(29)]
        reachable = [moment for moment in moments if repository.bases(moment)]
        sound_full = any(one.kind == FULL for one in usable(repository.backups))
        repository.step(what, amount)
        still = repository.now - WINDOW
        assert all(repository.bases(moment) for moment in reachable if moment >= still)
        assert all(repository.bases(moment) for moment in repository.targets)
        assert not sound_full or any(one.kind == FULL for one in usable(repository.backups))


@given(STEPS)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_nothing_stays_that_nobody_needs(steps):
    """After an expiry each remaining set is a target's best base, or no older than the base of the window's start."""
    repository = Repository()
    for what, amount in [*steps, ("expire", 0)]:
        repository.step(what, amount)
    start = repository.now - WINDOW
    covering = max(repository.bases(start), key=lambda one: one.stopped, default=None)
    best = {max(repository.bases(moment), key=lambda one: one.stopped).set_label for moment in repository.targets}
    for one in repository.backups:
        assert covering is None or one.set_label >= covering.set_label or one.set_label in best

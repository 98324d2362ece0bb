"""What is asked of a steward after one look."""

from addons.loomworks_snapshot.backup.expiry import Target
from addons.loomworks_snapshot.backup.schedule import Policy
from addons.loomworks_snapshot.backup.watch import Order, attend, due
from servers import DAY, HOUR, NOW, full, look, pending, work

ORDER = Order(Policy())
OLD, OLDER, RECENT = full(NOW - 20 * DAY), full(NOW - 30 * DAY), full(NOW - HOUR)
CHECKED = (work("check"), work("verify"))


class Steward:
    """Answers looks one after another and notes what it is asked for."""

    def __init__(self, *looks):
        self.looks, self.asked = list(looks), []

    def look(self):
        return self.looks.pop(0)

    def ask(self, kind, argument=None):
        self.asked.append((kind, argument))
        return len(self.asked)


def test_all_that_is_due_is_asked_for_and_looked_at_again():
    after = look(OLD, work=(pending("full"),))
    steward = Steward(look(OLD), after)
    assert attend(steward, ORDER) is after
    assert steward.asked == [("full", None), ("check", None), ("verify", None)]


def test_server_that_needs_nothing_is_looked_at_once():
    found = look(RECENT)
    assert attend(Steward(found), ORDER) is found


def test_somebodys_request_comes_before_the_schedule():
    assert list(due(look(RECENT), Order(Policy(), requested="incr"))) == [("incr", None)]
    assert list(due(look(), Order(Policy(), requested="incr"))) == [("incr", None)]


def test_one_old_backup_goes_at_a_time():
    found = look(OLDER, OLD, RECENT, work=CHECKED)
    assert list(due(found, ORDER)) == [("expire", OLDER.label)]


def test_kept_target_reaches_the_expiry():
    base = full(NOW - 30 * DAY, lsn=1 << 28)
    found = look(base, OLD, RECENT, work=CHECKED)
    assert list(due(found, Order(Policy(), targets=(Target(1, 1 << 29),)))) == []


def test_nothing_expires_on_a_list_that_may_be_out_of_date():
    expired = work("expire", ago=30)
    for changes in (
        {"work": (*CHECKED, pending("incr"))},
        {"work": (*CHECKED, expired), "info_taken": NOW - 60},
        {"work": CHECKED, "info_error": "cannot be read"},
        {"work": (*CHECKED, work("expire", ago=59, code=1)), "info_taken": NOW},
    ):
        assert [kind for kind, _label in due(look(OLDER, OLD, RECENT, **changes), ORDER)] == []
    again = {"work": (*CHECKED, work("expire", ago=60, code=1)), "info_taken": NOW}
    assert list(due(look(OLDER, OLD, RECENT, **again), ORDER)) == [("expire", OLDER.label)]

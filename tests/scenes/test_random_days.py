"""Random days of an agent and of people on the same records, through the ORM, each action in a transaction of its own.

Some begin while the agent's is not yet committed, on another connection: they wait for it, or fail and are tried again,
as Odoo does it. The oracle is a replay without what was undone: a plain model of the records, in which no value is ever
used twice, so that nothing goes there and back again. An undo leaves exactly what the replay has, or refuses and
changes nothing.
"""

import itertools
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait

import health
import psycopg2.errors
import pytest
from harness.time_left import leave_out_if_over
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from odoo.exceptions import MissingError
from whole_state import differences

EXAMPLES = int(os.environ.get("LOOMWORKS_DAYS_EXAMPLES", "100"))
OUTCOMES = Counter()  # whether undos were done -> how many
FIELDS = ("phone", "email", "function")  # of those that Odoo copies to nobody else
SLOTS = 4  # records that are there from the morning on

OVERLAP = 0.1  # seconds that a person's transaction has before the agent's is committed
TRIES = 5

WHO = st.sampled_from(("agent", "person", "both"))
SLOT = st.integers(0, SLOTS + 2)  # the last ones are those that the day may make
WORK = st.one_of(
    st.tuples(st.just("write"), SLOT, st.lists(st.sampled_from(FIELDS), min_size=1, max_size=3, unique=True)),
    st.tuples(st.just("tag"), SLOT, st.integers(0, 2)),
    st.tuples(st.just("create"), st.none(), st.none()),
    st.tuples(st.just("unlink"), SLOT, st.none()),
    st.tuples(st.just("adopt"), SLOT, SLOT),
)
# The second one is a person's, at the same time; on the same record or any.
ACTION = st.tuples(WHO, WORK, WORK, st.booleans())
DAY = st.lists(ACTION, min_size=2, max_size=9)


def there(env, number):
    """Return the record, as far as this transaction can see it."""
    record = env["res.partner"].browse(number)
    if not record.exists():
        raise MissingError(str(number))
    return record


class Day:
    """The records of one day, and what was done to them, with values that are used once."""

    def __init__(self, office, agent):
        self.office = office
        self.agent = agent
        self.done = []  # (operation or None, changes)
        self.values = itertools.count(1)
        with office.person() as env:
            self.tags = env["res.partner.category"].create([{"name": f"tag {number}"} for number in range(3)]).ids
            partners = env["res.partner"].create([{"name": f"slot {number}"} for number in range(SLOTS)])
            self.records = partners.ids

    def act(self, who, first, second, same):
        """Do one action, or two at once, and take note of what was possible."""
        if same:
            second = (second[0], first[1], second[2]) if second[0] != "create" else second
        if who == "both" and "adopt" not in (first[0], second[0]) and (first != second or first[0] != "tag"):
            self._together(self._prepared(*first), self._prepared(*second))
        elif who == "person":
            self._note(None, self._by_person(self._prepared(*first)))
        else:
            self._note(*self._by_agent(self._prepared(*first)))

    def _prepared(self, kind, slot, detail):
        """Return what does an action to an environment; None where it is not possible."""
        number = self.records[slot] if slot is not None and slot < len(self.records) else None
        if kind == "adopt":
            detail = self.records[detail] if detail < len(self.records) else None
        if kind != "create" and (number is None or not self.exists(number)):
            return None
        return getattr(self, f"_{kind}")(number, detail)

    def _by_agent(self, work, meanwhile=lambda: None):
        if work is None:
            return None, None
        with self.agent.request() as env:
            changes = work(env)
            env.flush_all()
            meanwhile()
        return self.agent.last, changes

    def _by_person(self, work):
        """Do it as a request does: again when it could not serialize. What is gone by then is nobody's to change."""
        for _try in range(TRIES if work else 0):
            try:
                with self.office.person() as env:
                    return work(env)
            except psycopg2.errors.SerializationFailure:
                continue
            except MissingError:
                return None
        return None

    def _together(self, agents, persons):
        with ThreadPoolExecutor(1) as pool:
            begun = []
            noted = self._by_agent(
                agents, lambda: begun.append(wait([pool.submit(self._by_person, persons)], timeout=OVERLAP))
            )
            if not begun:
                self._note(None, self._by_person(persons))
                return
            (now, later), *_rest = begun
            event("at once" if now else "one after the other")
            for future in now:
                self._note(None, future.result())
            self._note(*noted)
            for future in later:
                self._note(None, future.result())

    def _note(self, operation, changes):
        if changes:
            self.done.append((operation, changes))
            self.records += [number for kind, number, *_rest in changes if kind == "create"]

    def exists(self, number):
        with self.office.person() as env:
            return bool(env["res.partner"].browse(number).exists())

    def _write(self, number, names):
        values = {name: f"v{next(self.values)}@example.test" for name in names}

        def work(env):
            there(env, number).write(values)
            return [("set", number, name, value) for name, value in values.items()]

        return work

    def _tag(self, number, tag):
        tag = self.tags[tag]
        if any(change == ("tag", number, tag) for _operation, changes in self.done for change in changes):
            return None  # once only

        def work(env):
            there(env, number).category_id = [(4, tag)]
            return [("tag", number, tag)]

        return work

    def _create(self, _number, _detail):
        def work(env):
            return [("create", env["res.partner"].create({"name": f"made {next(self.values)}"}).id)]

        return work

    def _unlink(self, number, _detail):
        def work(env):
            there(env, number).unlink()
            return [("unlink", number)]

        children = [
            change for _operation, changes in self.done for change in changes if change[:2] == ("adopt", number)
        ]
        return None if children else work

    def _adopt(self, number, child):
        if child is None or number == child or not self.exists(child):
            return None
        if any(
            change[0] == "adopt" and {number, child} & set(change[1:])
            for _o, changes in self.done
            for change in changes
        ):
            return None  # no second parent, no circle

        def work(env):
            env.cr.execute("UPDATE res_partner SET parent_id = %s WHERE id = %s", [number, child])
            return [("adopt", number, child)]

        return work

    def replay(self, without):
        """Return the records as they would be had the operations in ``without`` never happened."""
        found = {number: {"tags": set(), "parent": None} for number in self.records[:SLOTS]}
        for operation, changes in self.done:
            for change in changes if operation not in without else ():
                replay(found, *change)
        return found

    def actual(self):
        """Return the records as they are."""
        with self.office.person() as env:
            partners = env["res.partner"].with_context(active_test=False).browse(self.records).exists()
            return {
                one.id: {
                    "tags": set(one.category_id.ids),
                    "parent": one.parent_id.id or None,
                    **{name: one[name] and str(one[name]) for name in FIELDS if one[name]},
                }
                for one in partners
            }


def replay(found, kind, number, *rest):
    """Do one change to the model; what names a record that is not there does nothing."""
    if kind == "create":
        found[number] = {"tags": set(), "parent": None}
    elif number not in found:
        return
    elif kind == "set":
        found[number][rest[0]] = rest[1]
    elif kind == "tag":
        found[number]["tags"].add(rest[0])
    elif kind == "unlink":
        del found[number]
    elif rest[0] in found:
        found[rest[0]]["parent"] = number


def leading_nowhere(office):
    with office.person() as env:
        return health.dangling(env)


@pytest.fixture(scope="module")
def nowhere(office):
    """References to nothing that are there before all days."""
    return leading_nowhere(office)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=not os.environ.get("LOOMWORKS_UNDO_RANDOM"),
    print_blob=True,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
@given(actions=DAY, data=st.data())
def test_an_undo_leaves_what_would_have_been_or_refuses(office, agent, nowhere, actions, data):
    leave_out_if_over()
    day = Day(office, agent)
    for action in actions:
        day.act(*action)
    operations = sorted({operation for operation, _changes in day.done if operation})
    assert day.actual() == day.replay(set())
    if not operations:
        event("no operation")
        return
    chosen = data.draw(st.lists(st.sampled_from(operations), min_size=1, max_size=3, unique=True))
    before = office.state()
    report = agent.undo(*chosen)
    event("done" if report["done"] else "refused: " + ", ".join(sorted({one["type"] for one in report["conflicts"]})))
    OUTCOMES[report["done"]] += 1
    if not report["done"]:
        assert report["conflicts"], report
        assert differences(before, office.state()) == []
        return
    assert day.actual() == day.replay(set(chosen)), report
    assert leading_nowhere(office) <= nowhere
    redone = agent.undo(report["operation"])
    assert redone["done"], redone
    assert differences(before, office.state()) == []


def test_most_of_these_undos_were_done():
    if not OUTCOMES:
        pytest.skip("none was tried")
    assert OUTCOMES[True] > OUTCOMES.total() / 2, OUTCOMES  # 72 of a hundred are

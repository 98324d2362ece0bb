"""Random days of an agent and of people on the same records, through the ORM, each action in a transaction of its own.

The oracle is a replay without what was undone: a plain model of the records, in which no value is ever used twice, so
that nothing goes there and back again. An undo leaves exactly what the replay has, or refuses and changes nothing.
"""

import itertools
import os

from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from whole_state import differences

EXAMPLES = int(os.environ.get("LOOMWORKS_DAYS_EXAMPLES", "40"))
FIELDS = ("phone", "email", "function")  # of those that Odoo copies to nobody else
SLOTS = 4  # records that are there from the morning on

WHO = st.sampled_from(("agent", "person"))
SLOT = st.integers(0, SLOTS + 2)  # the last ones are those that the day may make
ACTION = st.one_of(
    st.tuples(WHO, st.just("write"), SLOT, st.lists(st.sampled_from(FIELDS), min_size=1, max_size=3, unique=True)),
    st.tuples(WHO, st.just("tag"), SLOT, st.integers(0, 2)),
    st.tuples(WHO, st.just("create"), st.none(), st.none()),
    st.tuples(WHO, st.just("unlink"), SLOT, st.none()),
    st.tuples(WHO, st.just("adopt"), SLOT, SLOT),
)
DAY = st.lists(ACTION, min_size=2, max_size=9)


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
        self.made = set()

    def act(self, who, kind, slot, detail):
        """Do one action, and take note of it if it was possible."""
        number = self.records[slot] if slot is not None and slot < len(self.records) else None
        if kind == "adopt":
            detail = self.records[detail] if detail < len(self.records) else None
        if kind != "create" and (number is None or not self.exists(number)):
            return
        changes = getattr(self, f"_{kind}")(number, detail)
        if changes is None:
            return
        if who == "agent":
            with self.agent.request() as env:
                changes = changes(env)
            self.done.append((self.agent.last, changes))
        else:
            with self.office.person() as env:
                changes = changes(env)
            self.done.append((None, changes))

    def exists(self, number):
        with self.office.person() as env:
            return bool(env["res.partner"].browse(number).exists())

    def _write(self, number, names):
        values = {name: f"v{next(self.values)}@example.test" for name in names}

        def work(env):
            env["res.partner"].browse(number).write(values)
            return [("set", number, name, value) for name, value in values.items()]

        return work

    def _tag(self, number, tag):
        tag = self.tags[tag]
        if any(change == ("tag", number, tag) for _operation, changes in self.done for change in changes):
            return None  # once only

        def work(env):
            env["res.partner"].browse(number).category_id = [(4, tag)]
            return [("tag", number, tag)]

        return work

    def _create(self, _number, _detail):
        def work(env):
            created = env["res.partner"].create({"name": f"made {next(self.values)}"}).id
            self.records.append(created)
            return [("create", created, f"made {created}")]

        return work

    def _unlink(self, number, _detail):
        def work(env):
            env["res.partner"].browse(number).unlink()
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


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=not os.environ.get("LOOMWORKS_UNDO_RANDOM"),
    print_blob=True,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
@given(actions=DAY, data=st.data())
def test_an_undo_leaves_what_would_have_been_or_refuses(office, agent, actions, data):
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
    if not report["done"]:
        assert report["conflicts"], report
        assert differences(before, office.state()) == []
        return
    assert day.actual() == day.replay(set(chosen)), report
    redone = agent.undo(report["operation"])
    assert redone["done"], redone
    assert differences(before, office.state()) == []

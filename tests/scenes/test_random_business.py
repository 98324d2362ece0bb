"""Random days in a company: an agent and people take orders, post invoices, win leads, tag tasks, at the same time.

Each step is a transaction; of two at once either may be committed first. Now and then operations are undone and done
again. The oracle (`mirror`) reads every row of every table before and after each transaction: an undo leaves the tables
as they would be had the operations never happened, or refuses and not one byte changes. Two things are no difference:
what Odoo computes from the rest and others have written to since is computed anew; and what people changed and
changed back looks untouched.
"""

import itertools
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import health
import psycopg2
import pytest
from business import STEPS, Company
from harness.time_left import leave_out_if_over
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from mirror import Change, Mirror, Without
from odoo.exceptions import UserError

EXAMPLES = int(os.environ.get("LOOMWORKS_BUSINESS_EXAMPLES", "6"))
STEPS_A_DAY = 7
OVERLAP = 0.5  # seconds that a person has for a step while the agent's is not yet committed
TRIES = 5
BOOKKEEPING = {"write_uid", "write_date"}
REFUSED = (UserError, psycopg2.IntegrityError, psycopg2.errors.LockNotAvailable)

ANY = st.integers(0, 10_000)  # taken modulo what there is
MODEL = st.sampled_from(sorted(STEPS))
STEP = st.tuples(MODEL, ANY, ANY)
words = (f"word {number}" for number in itertools.count(1000))


@pytest.fixture(scope="module")
def company(office):
    """What documents are made of."""
    with office.person() as env:
        return Company(env)


class Days(RuleBasedStateMachine):
    """What happens to the documents of some days."""

    def __init__(self, office, agent, company, mirror):
        super().__init__()
        self.office, self.agent, self.company, self.mirror = office, agent, company, mirror
        self.documents = {model: [] for model in STEPS}
        self.history = []  # (operation, or a number for people; changes) in the order of commits
        self.undone = set()
        self._persons = itertools.count(1)
        self.nowhere = self._leading_nowhere()

    # --- what happens ---

    @rule(model=MODEL)
    def agent_makes(self, model):
        """The agent makes a document."""
        self._by_agent(self._making(model))

    @rule(model=MODEL)
    def person_makes(self, model):
        """Somebody makes a document."""
        self._by_person(self._making(model))
        self._look()

    @rule(step=STEP)
    def agent_acts(self, step):
        """The agent does something to a document."""
        self._by_agent(self._work(*step))

    @rule(step=STEP)
    def person_acts(self, step):
        """Somebody does something to a document."""
        self._by_person(self._work(*step))
        self._look()

    @rule(step=STEP, other=STEP, same=st.booleans(), person_first=st.booleans())
    def both_act(self, step, other, same, person_first):
        """They do so at the same time, perhaps to the same document."""
        other = (*step[:2], other[2]) if same else other
        self._at_once(self._work(*step), self._work(*other), person_first)

    @precondition(lambda self: self._operations())
    @rule(chosen=st.lists(ANY, min_size=1, max_size=2))
    def undo(self, chosen):
        """Somebody takes operations of the agent back."""
        operations = self._operations()
        chosen = {operations[one % len(operations)] for one in chosen}
        self._check(self.agent.undo(*sorted(chosen)), self.undone | chosen, chosen)

    @precondition(lambda self: self.undone)
    @rule(chosen=ANY)
    def redo(self, chosen):
        """Somebody has an operation done again, with those that were undone together with it."""
        undone = sorted(self.undone)
        number = undone[chosen % len(undone)]
        with self.office.person() as env:
            log = env["loomworks.ai.operation.log"].browse(number)
            chosen = set(itertools.chain(*log._undoing().mapped("undoes")))
        self._check(self.agent.undo(number, kind="redo"), self.undone - chosen, chosen)

    def teardown(self):
        """In the evening all that is left is taken back, the last first, and the database is sound."""
        for operation in reversed(self._operations()):
            self._check(self.agent.undo(operation), self.undone | {operation}, {operation})
        health.assert_sound(self.office, sorted(self.undone), self.nowhere)

    def _leading_nowhere(self):
        with self.office.person() as env:
            return health.dangling(env)

    # --- transactions ---

    def _making(self, model):
        word = next(words)

        def work(env):
            self.documents[model] += Company.MAKERS[model](self.company, env, word).ids

        return work

    def _work(self, model, slot, step):
        if not self.documents[model]:
            self.person_makes(model)
        number = self.documents[model][slot % len(self.documents[model])]
        act, word = STEPS[model][step % len(STEPS[model])], next(words)

        def work(env):
            record = env[model].browse(number).exists()
            if record:
                act(record, word)

        return work

    def _by_agent(self, work, meanwhile=lambda: None):
        try:
            with self.agent.request() as env:
                env.cr.execute("SET LOCAL lock_timeout = '2s'")
                work(env)
                env.flush_all()
                meanwhile()
        except (*REFUSED, psycopg2.errors.SerializationFailure) as error:
            event(f"the agent may not: {type(error).__name__}")
            assert self._look() == []
            return
        self._look(self.agent.last)

    def _by_person(self, work, ready=lambda: None):
        for _try in range(TRIES):
            try:
                with self.office.person() as env:
                    work(env)
                    env.flush_all()
                    ready()
                break
            except psycopg2.errors.SerializationFailure:
                continue
            except REFUSED as error:
                event(f"a person may not: {type(error).__name__}")
                break

    def _at_once(self, agents, persons, person_first):
        ready, may_end = threading.Event(), threading.Event()

        def done():
            ready.set()
            may_end.wait()

        with ThreadPoolExecutor(1) as pool:
            begun = []

            def meanwhile():
                begun.append(pool.submit(self._by_person, persons, done))
                if ready.wait(OVERLAP) and person_first:
                    may_end.set()
                    begun[0].result()
                    event("a person is first")
                    self._look()

            try:
                self._by_agent(agents, meanwhile)
            finally:
                may_end.set()
            for one in begun:
                one.result()
        self._look()

    def _look(self, operation=None):
        """Read what is another than before, as what ``operation`` or a person has done; return it."""
        with self.office.cursor() as cr:
            changes = self.mirror.look(cr)
        if changes:
            self.history.append((operation or -next(self._persons), changes))
        return changes

    def _operations(self):
        return [who for who, _changes in self.history if who > 0 and who not in self.undone]

    # --- the oracle ---

    def _check(self, report, left_out, chosen):
        before = self._rows_of(chosen)
        with self.office.cursor() as cr:
            changes = self.mirror.look(cr)
        event("done" if report["done"] else "refused: " + ", ".join(sorted({c["type"] for c in report["conflicts"]})))
        if not report["done"]:
            assert changes == []
            assert self._somebody_came_after(chosen), report
            return
        self.undone = left_out
        expected = Without(self.history, left_out)
        found = expected.differences(self.mirror.tables)
        found += list(unasked(expected, changes))
        unlike = [one for one in found if not self._is_no_difference(one, chosen, before)]
        assert unlike == [], (report, chosen, self._story_of(unlike[0]))
        self._accept(found)

    def _story_of(self, cell):
        """Return what happened to the row of a difference."""
        return [(who, one) for who, changes in self.history for one in changes if one[:2] == cell[:2]]

    def _somebody_came_after(self, chosen):
        places = [place for place, (who, _changes) in enumerate(self.history) if who in chosen]
        return len(self.history) - min(places) > len(places)

    def _rows_of(self, chosen):
        """Return the rows that operations touched, as they are now."""
        return {
            (one.table, one.key): self.mirror.tables.get(one.table, {}).get(one.key)
            for who, changes in self.history
            if who in chosen
            for one in changes
        }

    def _is_no_difference(self, cell, chosen, before):
        table, key, name, _expected, _actual = cell
        if name in self._computed(table):
            return self._others_wrote(table, key, chosen) and self._is_computed(table, key, name)
        return (table, key) in before and self._looks_untouched(table, key, name, chosen, before[table, key])

    def _computed(self, table):
        from odoo.addons.loomworks_ai.models.follow_up import FollowUp

        with self.office.person() as env:
            return {*FollowUp(env).computed_columns.get(table.removeprefix("public."), ()), *BOOKKEEPING}

    def _others_wrote(self, table, key, chosen):
        return any(
            (one.table, one.key) == (table, key)
            for who, changes in self.history
            if who not in chosen
            for one in changes
        )

    def _is_computed(self, table, key, name):
        """Tell whether a value is what Odoo computes now."""
        if name in BOOKKEEPING:
            return True
        with self.office.person() as env:
            model = next(one for one in env.values() if one._table == table.removeprefix("public.") and one._auto)
            record = model.browse(int(key)).sudo()
            stored = record[name]
            env.add_to_compute(record._fields[name], record)
            computed = record[name]
            env.cr.rollback()
        return computed == stored

    def _looks_untouched(self, table, key, name, chosen, now):
        """Tell whether a value, or a row, is again what the operations had left, whatever it was meanwhile."""
        last = None
        for who, changes in self.history:
            for one in changes if who in chosen else ():
                if (one.table, one.key) == (table, key) and (name is None or name in (one.after or one.before)):
                    last = one
        if last is None:
            return False
        if name is None:
            return (last.after is None) == (now is None)
        return bool(now and last.after) and last.after[name] == now.get(name)

    def _accept(self, found):
        """Go on from what is no difference."""
        changes = []
        for table, key, name, expected, actual in found:
            before, after = (expected, actual) if name is None else ({name: expected}, {name: actual})
            changes.append(Change(table, key, before, after))
        if changes:
            event("computed anew, or there and back again")
            self.history.append((-next(self._persons), changes))


def unasked(expected, changes):
    """Yield what changed though nothing that happened had touched it."""
    for one in changes:
        row = expected.rows.get((one.table, one.key), {})
        for name in (one.after or one.before) if row is not None else ():
            if name not in row:
                yield one.table, one.key, name, (one.before or {}).get(name), (one.after or {}).get(name)


def test_an_undo_leaves_what_would_have_been_or_refuses(office, agent, company):
    mirror = Mirror()
    with office.cursor() as cr:
        mirror.look(cr)

    def days():
        leave_out_if_over()
        with office.cursor() as cr:
            mirror.look(cr)
        return Days(office, agent, company, mirror)

    run_state_machine_as_test(
        days,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS_A_DAY,
            deadline=None,
            derandomize=not os.environ.get("LOOMWORKS_UNDO_RANDOM"),
            print_blob=True,
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
            suppress_health_check=list(HealthCheck),
        ),
    )

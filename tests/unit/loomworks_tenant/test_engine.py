"""Which steps a goal asks for, and what their answers and errors come to."""

import random

import pytest
from addons.loomworks_tenant.errors import PermanentError, RetryableError
from addons.loomworks_tenant.reconciler import backoff, engine
from addons.loomworks_tenant.reconciler.spec import Goal
from addons.loomworks_tenant.reconciler.step import Done, Step, Waiting
from addons.loomworks_tenant.reconciler.steps import tenant_steps
from factories import tenant_spec
from hypothesis import given
from hypothesis import strategies as st


class Scripted(Step):
    """A step that does what its test says."""

    code = title = "scripted"

    def __init__(self, outcome):
        self.outcome = outcome

    def ensure(self, spec, world):
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def run(outcome, attempts=0):
    line = engine.PlannedStep(Scripted(outcome), engine.Verb.ENSURE, "f")
    return engine.run(line, tenant_spec(), None, attempts, random.Random(1))


def test_teardown_is_the_same_list_backwards():
    spec = tenant_spec(goal=Goal.ERASED)
    codes = [line.step.code for line in engine.plan(tenant_steps(), spec)]
    assert codes == [step.code for step in reversed(tenant_steps())]


def test_archive_takes_down_only_the_runtime():
    lines = engine.plan(tenant_steps(), tenant_spec(goal=Goal.ARCHIVED))
    assert {line.verb for line in lines} == {engine.Verb.REMOVE}
    assert [line.step.code for line in lines] == ["workload", "database", "address"]


def test_suspended_tenant_needs_no_database_server():
    codes = {line.step.code for line in engine.plan(tenant_steps(), tenant_spec(goal=Goal.SUSPENDED))}
    assert not codes & {"database", "database_role", "identity", "limits"}


def test_identity_comes_before_anything_can_reach_the_tenant():
    codes = [line.step.code for line in engine.plan(tenant_steps(), tenant_spec())]
    assert codes.index("identity") < codes.index("workload") < codes.index("route")


def test_fingerprints_change_with_their_own_inputs_only():
    def fingerprints(**changes):
        lines = engine.plan(tenant_steps(), tenant_spec(**changes))
        return {line.step.code: line.fingerprint for line in lines}

    before, after = fingerprints(), fingerprints(parameters={"loomworks.max_users": "6"})
    assert {code for code in before if before[code] != after[code]} == {"limits"}


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Done("ok"), engine.Outcome(engine.StepState.DONE, "ok")),
        (Waiting("soon", 0.5), engine.Outcome(engine.StepState.WAITING, "soon", "", 0.5)),
        (Waiting("odd", 10, "crash_loop"), engine.Outcome(engine.StepState.FAILED, "odd", "crash_loop", 10)),
        (PermanentError("no"), engine.Outcome(engine.StepState.FAILED, "no", "permanent", None)),
        (RetryableError("busy", retry_after=2), engine.Outcome(engine.StepState.FAILED, "busy", "retryable", 2)),
    ],
)
def test_outcome_of(outcome, expected):
    assert run(outcome) == expected


def test_named_pause_gives_way_to_the_back_off_when_it_does_not_help():
    assert run(RetryableError("busy", retry_after=0.2), attempts=5).retry_after > 10


def test_hint_is_part_of_the_message():
    assert run(PermanentError("no class", "Create it.")).message == "no class\nCreate it."


def test_surprise_is_retried_and_not_shown(caplog):
    outcome = run(ZeroDivisionError("secret"))
    assert outcome.state == engine.StepState.FAILED
    assert outcome.retry_after > 0
    assert "secret" not in outcome.message
    assert "secret" in caplog.text


@given(st.integers(min_value=1, max_value=10_000), st.integers())
def test_back_off_doubles_up_to_five_minutes_give_or_take_a_fifth(attempts, seed):
    base = min(300, 2 ** min(attempts - 1, 16))
    assert 0.8 * base <= backoff.delay(attempts, random.Random(seed)) <= 1.2 * base

"""Which steps a goal asks for, and what running one of them comes to."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ..errors import LoomworksError, PermanentError, RetryableError
from . import backoff
from .spec import Goal, TenantSpec
from .step import Boundaries, Done, Step, Waiting

_logger = logging.getLogger(__name__)


class Verb(StrEnum):
    """What is asked of a step."""

    ENSURE = "ensure"
    REMOVE = "remove"


class StepState(StrEnum):
    """Where a step stands."""

    PENDING = "pending"  # not looked at for this goal yet
    RUNNING = "running"  # being worked on
    WAITING = "waiting"  # fine so far, not there yet
    FAILED = "failed"  # something is wrong; tried again by itself unless the error is permanent
    DONE = "done"  # as it should be


@dataclass(frozen=True)
class PlannedStep:
    """One line of a plan: the step, what to do with it, and the fingerprint of its inputs."""

    step: Step
    verb: Verb
    fingerprint: str


@dataclass(frozen=True)
class Outcome:
    """What became of one run of a step; ``retry_after`` (seconds) is None when nobody looks again by itself."""

    state: StepState
    message: str
    code: str = ""
    retry_after: float | None = None


def plan(steps: Sequence[Step], spec: TenantSpec) -> list[PlannedStep]:
    """Return the lines for ``spec.goal``: ensured in order, or removed in the reverse order."""
    if spec.goal in (Goal.ARCHIVED, Goal.ERASED):
        gone = [step for step in reversed(steps) if step.runtime or spec.goal == Goal.ERASED]
        return [PlannedStep(step, Verb.REMOVE, f"{Verb.REMOVE}:{spec.goal}") for step in gone]
    wanted = [step for step in steps if spec.goal in step.goals]
    return [PlannedStep(step, Verb.ENSURE, step.fingerprint(spec)) for step in wanted]


def run(
    line: PlannedStep, spec: TenantSpec, world: Boundaries, attempts: int, rng: random.Random | None = None
) -> Outcome:
    """Run one line and turn its answer or its error into an outcome.

    :param attempts: how often this line has failed in a row before
    """
    work = line.step.ensure if line.verb == Verb.ENSURE else line.step.remove
    try:
        return _answered(work(spec, world))
    except PermanentError as error:
        return Outcome(StepState.FAILED, str(error), error.code)
    except RetryableError as error:
        pause = error.retry_after if error.retry_after and attempts < 3 else backoff.delay(attempts + 1, rng)
        return Outcome(StepState.FAILED, str(error), error.code, pause)
    except Exception as error:  # the boundary of a step: one tenant's surprise must not stop the others
        _logger.exception("step %s of tenant %s broke", line.step.code, spec.uuid)
        text = f"unexpected {type(error).__name__}: the log of the control plane has the details"
        return Outcome(StepState.FAILED, text, LoomworksError.code, backoff.delay(attempts + 1, rng))


def _answered(answer: Done | Waiting) -> Outcome:
    if isinstance(answer, Done):
        return Outcome(StepState.DONE, answer.message)
    state = StepState.FAILED if answer.code else StepState.WAITING
    return Outcome(state, answer.message, answer.code, answer.retry_after)

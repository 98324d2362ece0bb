"""Data that something else brings into a tenant: a restore that copies another one, or an import."""

from __future__ import annotations

from typing import Any

from ..spec import TenantSpec
from ..step import Answer, Boundaries, Done, Step, Waiting

LOOK = 5.0  # seconds between two looks at what brings it, which wakes the tenant at its end
PROBLEM_LOOK = 10.0  # seconds between two looks at what has failed


class Awaited(Step):
    """The data is there; how far what brings it is, whoever makes this step knows."""

    def __init__(
        self, code: str, title: str, number: int, *, done: str = "", progress: str = "", problem: str = ""
    ) -> None:
        """Wait for the row ``number`` of what brings the data; one of the three texts tells how it stands."""
        self.code, self.title = code, title
        self._number, self._done, self._progress, self._problem = number, done, progress, problem

    def inputs(self, spec: TenantSpec) -> Any:
        return [spec.uuid, self._number]

    def ensure(self, spec: TenantSpec, world: Boundaries) -> Answer:
        if self._problem:
            return Waiting(self._problem, PROBLEM_LOOK, f"{self.code}_failed")
        return Waiting(self._progress, LOOK) if self._progress else Done(self._done)

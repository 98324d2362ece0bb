"""What a tenant that is brought in waits for: the database and the files of the other platform."""

from __future__ import annotations

from typing import Any

from ...loomworks_tenant.reconciler.spec import TenantSpec
from ...loomworks_tenant.reconciler.step import Answer, Boundaries, Done, Step, Waiting

LOOK = 1.0  # seconds between two looks at an import
PROBLEM_LOOK = 10.0  # seconds between two looks at one that has failed


class Imported(Step):
    """Data and files are there, brought in by an import; how far it is, whoever makes this step knows."""

    code = "import"
    title = "Data of the source"

    def __init__(self, number: int, done: str = "", progress: str = "", problem: str = "") -> None:
        """Be the step of the import ``number``, of which one of the three texts tells how it stands."""
        self._number, self._done, self._progress, self._problem = number, done, progress, problem

    def inputs(self, spec: TenantSpec) -> Any:
        return [spec.uuid, self._number]

    def ensure(self, spec: TenantSpec, world: Boundaries) -> Answer:
        if self._problem:
            return Waiting(self._problem, PROBLEM_LOOK, "import_failed")
        return Waiting(self._progress, LOOK) if self._progress else Done(self._done)

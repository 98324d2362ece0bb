"""What a step is and what it answers.

A step *ensures* one thing, or *removes* it. Both are idempotent and may be killed at any line; neither
blocks nor sleeps: what is not there yet is answered with :class:`Waiting`, and the engine looks again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from ..kube.client import KubeClient
from ..postgres.server import DatabaseServer
from .spec import Goal, TenantSpec, fingerprint


@dataclass(frozen=True)
class Done:
    """It is as it should be."""

    message: str = ""


@dataclass(frozen=True)
class Waiting:
    """Not yet: why, when to look again (seconds), and a code when something is wrong meanwhile."""

    message: str
    retry_after: float = 0.5
    code: str = ""


Answer = Done | Waiting


class Http(Protocol):
    """Asks a tenant's Odoo over HTTP (:class:`loomworks_tenant.tenant_http.TenantHttp`)."""

    def get_status(self, url: str) -> int:
        """Return the status code of a GET, without following redirects."""


@dataclass(frozen=True)
class Boundaries:
    """The outside world as handed to a step: one cluster, one database server, the tenant's HTTP."""

    kube: KubeClient
    server: DatabaseServer
    http: Http


class Step:
    """One thing that a tenant needs. Subclasses set ``code``, ``title`` and ``goals``."""

    code: str
    title: str
    goals: frozenset[Goal] = frozenset({Goal.ACTIVE})  # ensured for these goals
    runtime = False  # removed when a tenant is archived; what holds data goes only when it is erased

    def inputs(self, spec: TenantSpec) -> Any:
        """Return the plain value on which the outcome depends; the step runs again when it changes."""
        return {"uuid": spec.uuid}

    def fingerprint(self, spec: TenantSpec) -> str:
        """Name the inputs by their content."""
        return fingerprint(self.inputs(spec))

    def ensure(self, spec: TenantSpec, world: Boundaries) -> Answer:
        """Make it so, or say what it waits for."""
        raise NotImplementedError

    def remove(self, spec: TenantSpec, world: Boundaries) -> Answer:
        """Make it not be there. Nothing to do unless a step says otherwise: its namespace takes it along."""
        return Done()

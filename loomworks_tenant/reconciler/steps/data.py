"""The tenant's database: its role, the clone, who it is, and what it may do."""

from __future__ import annotations

from typing import Any

from ...errors import RestoredDatabaseMissing, RetryableError, TemplateMissing
from ...kube import names
from ...postgres import identity
from ...postgres.server import Owner
from ..spec import Goal, TenantSpec
from ..step import Answer, Boundaries, Done, Step, Waiting
from .access import read_secret

TEMPLATE_LOOK = 1.0  # seconds between two looks for a template that is being built
TEMPLATE_PROBLEM_LOOK = 10.0  # seconds between two looks for one that cannot be


def required_secret(world: Boundaries, spec: TenantSpec, name: str, key: str) -> str:
    """Return a value that the step "credentials" has made.

    :raises RetryableError: when somebody has removed it since
    """
    value = read_secret(world, spec, name, key)
    if not value:
        raise RetryableError(f"the secret {name} of the tenant is gone", "Use Retry: every step is looked at again.")
    return value


def owner(world: Boundaries, spec: TenantSpec) -> Owner:
    """Return the tenant's own role, as which alone its tables are read and written."""
    return Owner(spec.role, required_secret(world, spec, names.DATABASE_SECRET, "password"))


class DatabaseRole(Step):
    """The PostgreSQL role that owns the tenant's database and nothing else."""

    code = "database_role"
    title = "Database role"

    def inputs(self, spec: TenantSpec) -> Any:
        return [spec.role, spec.server.host, _connections(spec)]

    def ensure(self, spec: TenantSpec, world: Boundaries) -> Answer:
        password = required_secret(world, spec, names.DATABASE_SECRET, "password")
        world.server.ensure_role(spec.role, password, _connections(spec))
        return Done(spec.role)

    def remove(self, spec: TenantSpec, world: Boundaries) -> Answer:
        world.server.drop_role(spec.role)
        return Done()


def _connections(spec: TenantSpec) -> int:
    """Two Odoos share the role while the tenant changes from one database to another."""
    return spec.connection_limit * (2 if spec.switching else 1)


class Database(Step):
    """The tenant's database, cloned from its plan's template and handed over whole."""

    code = "database"
    title = "Database"
    runtime = True  # closed, not dropped, when a tenant is archived

    def inputs(self, spec: TenantSpec) -> Any:
        return [spec.database, spec.server.host]

    def ensure(self, spec: TenantSpec, world: Boundaries) -> Answer:
        existing = world.server.database(spec.database)
        if not existing and spec.restored:
            raise RestoredDatabaseMissing(
                f"the database {spec.database}, which a restore made, is not on the server",
                "Go back to the previous database, or restore again: an empty one is never put in its place.",
            )
        if not existing and not spec.template_database:
            return _await_template(spec)
        try:
            world.server.ensure_database(spec.database, spec.template_database or "", spec.role)
        except TemplateMissing as error:
            raise RetryableError(error.message, "It will be built again.", retry_after=2) from error
        return Done(spec.database)

    def remove(self, spec: TenantSpec, world: Boundaries) -> Answer:
        if spec.goal == Goal.ERASED:
            for name in world.server.databases_of(spec.role):
                world.server.drop_database(name)
            return Done("deleted")
        world.server.close_database(spec.database)
        return Done("closed and kept")


def _await_template(spec: TenantSpec) -> Answer:
    if spec.template_problem:
        message = f"the plan's template database cannot be built: {spec.template_problem}"
        return Waiting(message, TEMPLATE_PROBLEM_LOOK, "template_missing")
    return Waiting("the plan's template database is being built", TEMPLATE_LOOK)


class IdentityStep(Step):
    """A signing secret, a uuid and credentials of its own, before anybody can reach it."""

    code = "identity"
    title = "Identity"

    def inputs(self, spec: TenantSpec) -> Any:
        return [spec.uuid, spec.database]

    def ensure(self, spec: TenantSpec, world: Boundaries) -> Answer:
        key = required_secret(world, spec, names.SERVICE_KEY_SECRET, "api-key")
        who = identity.Identity(
            spec.uuid, spec.public_url, spec.admin_login, spec.admin_name, key, keeps_users=spec.keeps_users
        )
        with world.server.connect(spec.database, owner=owner(world, spec)) as cr:
            changed = identity.assign(cr, who)
        return Done("new" if changed else "kept")


class Limits(Step):
    """What the tenant may use and how it is reached, as parameters that its Odoo reads."""

    code = "limits"
    title = "Limits"

    def inputs(self, spec: TenantSpec) -> Any:
        return [spec.database, self._parameters(spec)]

    def ensure(self, spec: TenantSpec, world: Boundaries) -> Answer:
        with world.server.connect(spec.database, owner=owner(world, spec)) as cr:
            identity.set_parameters(cr, self._parameters(spec))
        return Done()

    def _parameters(self, spec: TenantSpec) -> dict[str, str]:
        return {**spec.parameters, "web.base.url": spec.public_url}

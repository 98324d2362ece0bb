"""The tenant's place in the cluster: its namespace, who may do what there, and its credentials."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from ...errors import Forbidden, ForeignObject
from ...kube import manifests, names
from ...postgres import api_key
from ..spec import Goal, TenantSpec
from ..step import Answer, Boundaries, Done, Step, Waiting

PASSWORD_BYTES = 32
ALWAYS = frozenset({Goal.ACTIVE, Goal.SUSPENDED})


class Namespace(Step):
    """One namespace a tenant, with the role binding by which the control plane works in it."""

    code = "namespace"
    title = "Namespace"
    goals = ALWAYS

    def inputs(self, spec: TenantSpec) -> Any:
        return [manifests.namespace(spec), manifests.role_binding(spec)]

    def ensure(self, spec: TenantSpec, world: Boundaries) -> Answer:
        found = world.kube.get("Namespace", names.namespace(spec.uuid))
        if found and found["metadata"].get("deletionTimestamp"):
            return Waiting("an older namespace of this name is still being deleted", 2)
        if found and not _is_ours(found):
            raise ForeignObject(f"the namespace {found['metadata']['name']} exists and is not Loomworks'")
        world.kube.apply(manifests.namespace(spec))
        world.kube.apply(manifests.role_binding(spec))
        return Done(names.namespace(spec.uuid))

    def remove(self, spec: TenantSpec, world: Boundaries) -> Answer:
        name = names.namespace(spec.uuid)
        found = world.kube.get("Namespace", name)
        if not found or not _is_ours(found):
            return Done()
        if not found["metadata"].get("deletionTimestamp"):
            world.kube.delete("Namespace", name)
        return Waiting("the namespace is being deleted", 1)


def _is_ours(found: dict[str, Any]) -> bool:
    return found["metadata"].get("labels", {}).get(names.MANAGED_BY) == names.FIELD_MANAGER


class Policies(Step):
    """Quota, limit range and network policies."""

    code = "policies"
    title = "Quota and network policies"
    goals = ALWAYS

    def inputs(self, spec: TenantSpec) -> Any:
        return [manifests.quota(spec), manifests.limit_range(spec), *manifests.network_policies(spec)]

    def ensure(self, spec: TenantSpec, world: Boundaries) -> Answer:
        try:
            for manifest in self.inputs(spec):
                world.kube.apply(manifest)
        except Forbidden as error:
            # The role binding of the step before takes a moment to reach the API server's authorizer.
            error.retry_after = 0.2
            raise
        return Done()


class Credentials(Step):
    """The password of the tenant's database role and the control plane's key: made once, kept in Secrets.

    They exist before anything uses them, so that a crash between two steps loses none.
    """

    code = "credentials"
    title = "Credentials"

    def ensure(self, spec: TenantSpec, world: Boundaries) -> Answer:
        _ensure_secret(world, spec, names.DATABASE_SECRET, "password", secrets.token_urlsafe(PASSWORD_BYTES))
        _ensure_secret(world, spec, names.SERVICE_KEY_SECRET, "api-key", api_key.generate())
        return Done()


def _ensure_secret(world: Boundaries, spec: TenantSpec, name: str, key: str, value: str) -> None:
    if not world.kube.get("Secret", name, names.namespace(spec.uuid)):
        world.kube.create(manifests.secret(spec, name, {key: value}))


def read_secret(world: Boundaries, spec: TenantSpec, name: str, key: str) -> str | None:
    """Return one value of a Secret of the tenant's namespace, or None when it is not there."""
    found = world.kube.get("Secret", name, names.namespace(spec.uuid))
    value = (found or {}).get("data", {}).get(key)
    return base64.b64decode(value).decode() if value else None

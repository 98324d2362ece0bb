"""What serves the tenant: its address, configuration, Odoo, health and route."""

from __future__ import annotations

from typing import Any

from ...kube import diagnosis, manifests, names, odoo_conf, routes
from ..spec import TenantSpec, fingerprint
from ..step import Answer, Boundaries, Done, Step, Waiting
from .access import ALWAYS
from .data import required_secret

STARTING_LOOK = 0.15  # seconds between two looks at a pod that starts
STOPPING_LOOK = 1.0
PROBLEM_LOOK = 10.0  # seconds between two looks at a pod that cannot start
HEALTHY = 200
LOGIN_PAGE = "/web/login"
SWITCH_LOOK = 2.0  # seconds between two looks at an Odoo that runs and does not serve


class Address(Step):
    """The subdomain: it leads to an honest page until there is something to serve, and while there is not."""

    code = "address"
    title = "Address"
    goals = ALWAYS
    runtime = True

    def inputs(self, spec: TenantSpec) -> Any:
        return [spec.subdomain, spec.cluster.routes_namespace, spec.goal]

    def ensure(self, spec: TenantSpec, world: Boundaries) -> Answer:
        _withdraw_others(spec, world, keep=spec.subdomain)
        found = world.kube.get("Service", spec.subdomain, spec.cluster.routes_namespace)
        serving = found and found["spec"].get("externalName") == routes.tenant_target(spec)
        if not (serving and spec.running):
            world.kube.apply(manifests.route(spec, routes.page_target(spec)))
        return Done(spec.public_url)

    def remove(self, spec: TenantSpec, world: Boundaries) -> Answer:
        _withdraw_others(spec, world, keep="")
        return Done()


def _withdraw_others(spec: TenantSpec, world: Boundaries, keep: str) -> None:
    namespace = spec.cluster.routes_namespace
    for item in world.kube.list("Service", namespace, label_selector=names.selector(spec.uuid)):
        if item["metadata"]["name"] != keep:
            world.kube.delete("Service", item["metadata"]["name"], namespace)


class Configuration(Step):
    """``odoo.conf`` in a Secret, and the Service of the tenant's pods."""

    code = "configuration"
    title = "Configuration"

    def inputs(self, spec: TenantSpec) -> Any:
        return [odoo_conf.render(spec, ""), manifests.service(spec)]

    def ensure(self, spec: TenantSpec, world: Boundaries) -> Answer:
        password = required_secret(world, spec, names.DATABASE_SECRET, "password")
        config = {"odoo.conf": odoo_conf.render(spec, password)}
        world.kube.apply(manifests.secret(spec, manifests.config_secret(spec), config))
        if not spec.switching:  # else the traffic stays where it is until the new pods answer
            world.kube.apply(manifests.service(spec))
        return Done()


class Workload(Step):
    """The Deployment of the tenant's Odoo."""

    code = "workload"
    title = "Odoo"
    goals = ALWAYS
    runtime = True

    def inputs(self, spec: TenantSpec) -> Any:
        return manifests.deployment(spec, config_digest(spec))

    def ensure(self, spec: TenantSpec, world: Boundaries) -> Answer:
        world.kube.apply(self.inputs(spec))
        return Done("started" if spec.running else "stopped")

    def remove(self, spec: TenantSpec, world: Boundaries) -> Answer:
        namespace = names.namespace(spec.uuid)
        world.kube.delete("Deployment", names.ODOO, namespace)
        world.kube.delete("Service", names.ODOO, namespace)
        world.kube.delete("Secret", manifests.config_secret(spec), namespace)
        left = list(world.kube.list("Pod", namespace, label_selector=names.selector(spec.uuid)))
        return Waiting(f"{len(left)} pod(s) are stopping", STOPPING_LOOK) if left else Done()


class Switch(Step):
    """The traffic goes to the pods of the tenant's database, once they serve; those of another one end by themselves.

    Nothing is closed under a user: what a request under way still writes to the previous database is kept with it.
    """

    code = "switch"
    title = "Switch"

    def inputs(self, spec: TenantSpec) -> Any:
        return [spec.database, spec.switching]

    def ensure(self, spec: TenantSpec, world: Boundaries) -> Answer:
        namespace = names.namespace(spec.uuid)
        service = world.kube.get("Service", names.ODOO, namespace)
        if not spec.switching or _serves(service, spec):
            return Done()
        own = f"{names.selector(spec.uuid)},{names.DATABASE_LABEL}={spec.database}"
        pods = list(world.kube.list("Pod", namespace, label_selector=own))
        state = diagnosis.ready_pods(pods)
        if not state.ready:
            return Waiting(state.message, PROBLEM_LOOK if state.fatal else STARTING_LOOK, state.code)
        if problem := _does_not_serve(pods, world):
            return Waiting(problem, SWITCH_LOOK)
        world.kube.apply(manifests.service(spec))
        return Done(f"the traffic goes to {spec.database}")


def _does_not_serve(pods: list[dict[str, Any]], world: Boundaries) -> str:
    """Return what is wrong with the ready pod's Odoo; its health page answers without a database, this one does not."""
    address = next(pod["status"]["podIP"] for pod in pods if diagnosis.ready_pods([pod]).ready)
    status = world.http.get_status(f"http://{address}:{names.HTTP_PORT}{LOGIN_PAGE}")
    return "" if status == HEALTHY else f"Odoo on the other database answers {status} to its login page"


def _serves(service: dict[str, Any] | None, spec: TenantSpec) -> bool:
    selected = service["spec"].get("selector", {}) if service else {}
    return selected.get(names.DATABASE_LABEL) == spec.database


def config_digest(spec: TenantSpec) -> str:
    """Name the configuration by its content, its password aside."""
    return fingerprint(odoo_conf.render(spec, ""))


class Route(Step):
    """From now on the subdomain leads to the tenant; the edge says that it starts until it answers.

    Before the tenant answers: the new name takes its time through the caches of DNS, and the pod needs that time too.
    """

    code = "route"
    title = "Route"

    def inputs(self, spec: TenantSpec) -> Any:
        return [spec.subdomain, routes.tenant_target(spec)]

    def ensure(self, spec: TenantSpec, world: Boundaries) -> Answer:
        world.kube.apply(manifests.route(spec, routes.tenant_target(spec)))
        return Done(spec.public_url)


class Health(Step):
    """The tenant's Odoo runs and answers, or is stopped where it should be."""

    code = "health"
    title = "Health"
    goals = ALWAYS

    def inputs(self, spec: TenantSpec) -> Any:
        return manifests.deployment(spec, config_digest(spec))

    def ensure(self, spec: TenantSpec, world: Boundaries) -> Answer:
        namespace = names.namespace(spec.uuid)
        found = world.kube.get("Deployment", names.ODOO, namespace)
        if not found:
            return (
                Waiting("the deployment is gone: use Retry", PROBLEM_LOOK, "deployment_missing")
                if spec.running
                else Done()
            )
        pods = list(world.kube.list("Pod", namespace, label_selector=names.selector(spec.uuid)))
        state = diagnosis.deployment(found, pods)
        if not state.ready:
            return Waiting(
                state.message, PROBLEM_LOOK if state.fatal else STARTING_LOOK, state.code if state.fatal else ""
            )
        return self._answers(spec, world) if spec.running else Done("stopped")

    def _answers(self, spec: TenantSpec, world: Boundaries) -> Answer:
        service = world.kube.get("Service", names.ODOO, names.namespace(spec.uuid))
        address = service["spec"]["clusterIP"] if service else routes.tenant_target(spec)
        status = world.http.get_status(f"http://{address}:{names.HTTP_PORT}/web/health")
        if status != HEALTHY:
            return Waiting(f"Odoo answers {status} to its health check", 1)
        return Done("answers")

"""Build one template database, a little further at each call; killed anywhere, the next call goes on."""

from __future__ import annotations

import base64
import secrets

from ..errors import PermanentError
from ..kube import job_output, template_job
from ..postgres import template
from .spec import TemplateSpec
from .step import Answer, Boundaries, Done, Waiting

LOOK = 1.0  # seconds between two looks at a running build
PASSWORD_BYTES = 32


class TemplateBuildFailed(PermanentError):
    """The build's Job ended with an error; its last words are in the message."""

    code = "template_build_failed"


def advance(spec: TemplateSpec, world: Boundaries) -> Answer:
    """Bring the template nearer to being there; :class:`Done` once it may be cloned.

    :raises TemplateBuildFailed: when the Job failed; what it left is removed, and a new call starts anew
    """
    if world.server.database(spec.database):
        _clean_up(spec, world)
        return Done(spec.database)
    _ensure_namespace(spec, world)
    job = world.kube.get("Job", spec.job, template_job.NAMESPACE)
    if job is None:
        _start(spec, world)
        return Waiting("the build has been started", LOOK)
    if not world.server.database(spec.building):
        world.kube.delete("Job", spec.job, template_job.NAMESPACE)  # of a build whose database is gone
        return Waiting("an older build is being cleared away", LOOK)
    return _follow(spec, world, job)


def _ensure_namespace(spec: TemplateSpec, world: Boundaries) -> None:
    """Without the role binding the control plane may not even look whether there is a Job."""
    if not world.kube.get("Namespace", template_job.NAMESPACE):
        world.kube.apply(template_job.namespace())
    world.kube.apply(template_job.role_binding(spec))


def _start(spec: TemplateSpec, world: Boundaries) -> None:
    _stop_others(spec, world)
    template.ensure_roles(world.server, _builder_password(world))
    template.drop(world.server, spec.building)
    template.create_empty(world.server, spec.building)
    for manifest in (*template_job.network_policies(spec), template_job.job(spec)):
        world.kube.apply(manifest)


def _builder_password(world: Boundaries) -> str:
    found = world.kube.get("Secret", template_job.BUILDER_SECRET, template_job.NAMESPACE)
    if found:
        return base64.b64decode(found["data"]["password"]).decode()
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    world.kube.create(template_job.builder_secret(password))
    return password


def _follow(spec: TemplateSpec, world: Boundaries, job: dict) -> Answer:
    seen = job_output.look(world.kube, job)
    if seen.failed:
        _discard(spec, world)
        raise TemplateBuildFailed(f"building the template of plan {spec.plan} failed: {seen.state.message}")
    if not seen.ended:
        return Waiting(seen.state.message, LOOK, seen.state.code)
    world.server.open_database(spec.building)  # a call killed inside finish() has closed it
    template.check(world.server, spec.building, spec.modules)
    template.finish(world.server, spec.building, spec.database)
    _clean_up(spec, world)
    return Done(spec.database)


def _discard(spec: TemplateSpec, world: Boundaries) -> None:
    template.drop(world.server, spec.building)
    world.kube.delete("Job", spec.job, template_job.NAMESPACE)


def _clean_up(spec: TemplateSpec, world: Boundaries) -> None:
    world.kube.delete("Job", spec.job, template_job.NAMESPACE)
    _stop_others(spec, world)
    for old in template.others(world.server, spec.plan, [spec.database]):
        template.drop(world.server, old)


def _stop_others(spec: TemplateSpec, world: Boundaries) -> None:
    """End builds for images and modules that this plan no longer has."""
    mine = f"{template_job.PLAN_LABEL}={spec.plan}"
    for job in world.kube.list("Job", template_job.NAMESPACE, label_selector=mine):
        if job["metadata"]["name"] != spec.job:
            world.kube.delete("Job", job["metadata"]["name"], template_job.NAMESPACE)

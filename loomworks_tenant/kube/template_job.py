"""The Job that fills a template database, in a namespace of its own that is kept like a tenant's."""

from __future__ import annotations

from ..postgres.server import BUILDER_ROLE
from ..reconciler.spec import TemplateSpec
from . import jobs, manifests
from .manifest import Manifest

NAMESPACE = "lw-templates"
BUILDER_SECRET = "template-builder"
PLAN_LABEL = "loomworks.io/plan"
DEADLINE = 3600  # seconds
COMPONENT = "template"
LABELS = jobs.labels(COMPONENT)


def namespace() -> Manifest:
    """The namespace of all template builds."""
    return jobs.namespace(NAMESPACE, COMPONENT)


def role_binding(spec: TemplateSpec) -> Manifest:
    """What lets the control plane work in that namespace."""
    return jobs.role_binding(NAMESPACE, COMPONENT, spec.cluster)


def network_policies(spec: TemplateSpec) -> list[Manifest]:
    """A build talks to the database server and to DNS, and to nothing else."""
    egress = [jobs.to_platform(spec.cluster, spec.server.port)]
    return [jobs.network_policy(_metadata(COMPONENT), egress, pods={})]


def builder_secret(password: str) -> Manifest:
    """The password of the role that logs in to build."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(BUILDER_SECRET),
        "type": "Opaque",
        "stringData": {"password": password},
    }


def job(spec: TemplateSpec) -> Manifest:
    """The build itself: one attempt, so that a failure is seen and not repeated over its own ruins."""
    pod = {
        "securityContext": manifests.pod_security(),
        "containers": [_container(spec)],
        "volumes": [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
    }
    return jobs.job({**_metadata(spec.job), "labels": {**LABELS, PLAN_LABEL: spec.plan}}, LABELS, pod, DEADLINE)


def _metadata(name: str) -> Manifest:
    return {"name": name, "namespace": NAMESPACE, "labels": LABELS}


def _container(spec: TemplateSpec) -> Manifest:
    password = {"secretKeyRef": {"name": BUILDER_SECRET, "key": "password"}}
    values = {
        "PGHOST": spec.server.host,
        "PGPORT": str(spec.server.port),
        "PGUSER": BUILDER_ROLE,
        "PGSSLMODE": "require",
        "LOOMWORKS_TEMPLATE_DATABASE": spec.building,
        "LOOMWORKS_TEMPLATE_MODULES": ",".join(spec.modules),
        "LOOMWORKS_TEMPLATE_LANGUAGES": ",".join(spec.languages),
        "LOOMWORKS_PRIVATE_CHANNELS": "1",
    }
    return {
        "name": "build",
        "image": spec.cluster.image,
        "imagePullPolicy": spec.cluster.image_pull_policy,
        "command": ["loomworks-build-template"],
        "env": [{"name": key, "value": value} for key, value in values.items()]
        + [{"name": "PGPASSWORD", "valueFrom": password}],
        "securityContext": manifests.container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "2", "memory": "2Gi"}},
        "volumeMounts": [{"name": "data", "mountPath": "/var/lib/odoo"}, {"name": "tmp", "mountPath": "/tmp"}],
    }

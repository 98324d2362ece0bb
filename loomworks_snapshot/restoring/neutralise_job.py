"""The Job that runs a copy's ``neutralize.sql`` files, in the copy's namespace, before any Odoo of it starts."""

from __future__ import annotations

from ...loomworks_tenant.kube import jobs, manifests, names
from ...loomworks_tenant.kube.manifest import Manifest
from ...loomworks_tenant.reconciler.spec import TenantSpec

COMMAND = ["loomworks-neutralise"]
DEADLINE = 1800  # seconds
LABELS = jobs.labels("neutralise")


def name(spec: TenantSpec) -> str:
    """Name the Job and its policy: one for each database."""
    return f"neutralise-{spec.database[len(spec.role) + 1 :].replace('_', '-') or 'first'}"


def network_policy(spec: TenantSpec) -> Manifest:
    """It talks to the database server and to DNS; that is all it needs, and all it can do."""
    return jobs.network_policy(_metadata(spec), [jobs.to_platform(spec.cluster, spec.server.port)])


def job(spec: TenantSpec) -> Manifest:
    """One attempt, so that a failure is seen."""
    pod = {
        "securityContext": manifests.pod_security(),
        "containers": [_container(spec)],
        "volumes": [
            {"name": "config", "secret": {"secretName": manifests.config_secret(spec), "defaultMode": 0o440}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
    return jobs.job(_metadata(spec), LABELS, pod, DEADLINE)


def _metadata(spec: TenantSpec) -> Manifest:
    labels = {**LABELS, names.TENANT_LABEL: spec.uuid}
    return {"name": name(spec), "namespace": names.namespace(spec.uuid), "labels": labels}


def _container(spec: TenantSpec) -> Manifest:
    return {
        "name": "neutralise",
        "image": spec.cluster.image,
        "imagePullPolicy": spec.cluster.image_pull_policy,
        "command": COMMAND,
        "securityContext": manifests.container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "config", "mountPath": manifests.CONFIG_PATH, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }

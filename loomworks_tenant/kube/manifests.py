"""The manifests of one tenant: pure functions from its specification to what is applied."""

from __future__ import annotations

from typing import Any

from ..reconciler.spec import TenantSpec
from . import names
from .manifest import Manifest

RUN_AS = 10001  # user and group of the loomworks-odoo image
DEFAULT_DATA_PATH = "/var/lib/odoo"
CONFIG_PATH = "/etc/odoo"
STARTUP_SECONDS = 300  # an upgrade at the first start may take minutes
STOP_SECONDS = 30
SWITCH_SECONDS = 900  # for which the pod of the previous database waits beside the new one
RESTARTED_AT = "loomworks.io/restarted-at"
CONFIG_DIGEST = "loomworks.io/config-digest"
POD_SECURITY = "pod-security.kubernetes.io"


def _metadata(spec: TenantSpec, name: str, namespace: str | None = None, **more: Any) -> Manifest:
    labels = {**names.labels(spec.uuid), **more.pop("labels", {})}
    return {"name": name, "namespace": namespace or names.namespace(spec.uuid), "labels": labels, **more}


def namespace(spec: TenantSpec) -> Manifest:
    """The tenant's namespace, in which only pods of the "restricted" profile are admitted."""
    levels = {f"{POD_SECURITY}/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
    metadata = _metadata(spec, names.namespace(spec.uuid), labels=levels)
    del metadata["namespace"]
    metadata["annotations"] = {"loomworks.io/name": spec.name, "loomworks.io/subdomain": spec.subdomain}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def role_binding(spec: TenantSpec) -> Manifest:
    """What lets the control plane, and nobody else, work inside the tenant's namespace."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": _metadata(spec, names.TENANT_ROLE),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": names.TENANT_ROLE},
        "subjects": [
            {
                "kind": "ServiceAccount",
                "name": spec.cluster.service_account,
                "namespace": spec.cluster.control_namespace,
            }
        ],
    }


def quota(spec: TenantSpec) -> Manifest:
    """A ceiling over everything in the namespace: two pods, so that a Job fits beside Odoo."""
    hard = {"pods": "4", "services": "4", "persistentvolumeclaims": "2", "services.nodeports": "0"}
    hard["services.loadbalancers"] = "0"
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": _metadata(spec, "tenant"),
        "spec": {"hard": hard},
    }


def limit_range(spec: TenantSpec) -> Manifest:
    """Defaults for a container that names no limits, and the most one may ask for."""
    most = {"cpu": spec.resources.cpu_limit, "memory": spec.resources.memory_limit}
    default = {"cpu": spec.resources.cpu_request, "memory": spec.resources.memory_request}
    limit = {"type": "Container", "max": most, "default": most, "defaultRequest": default}
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": _metadata(spec, "tenant"),
        "spec": {"limits": [limit]},
    }


def network_policies(spec: TenantSpec) -> list[Manifest]:
    """Nothing in or out, but: the edge and the control plane in; DNS, PostgreSQL and the internet out.

    Private ranges are cut out of "the internet": other tenants, the API server and the nodes are there.
    """
    platform = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": spec.cluster.control_namespace}}}
    dns = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    internet = {"ipBlock": {"cidr": "0.0.0.0/0", "except": list(PRIVATE_RANGES)}}
    ingress = [{"from": [platform], "ports": _ports("TCP", names.HTTP_PORT, names.WEBSOCKET_PORT)}]
    egress = [
        {"to": [dns], "ports": _ports("UDP", 53) + _ports("TCP", 53)},
        {"to": [platform], "ports": _ports("TCP", spec.server.port)},
        {"to": [internet], "ports": _ports("TCP", 25, 80, 143, 443, 465, 587, 993, 995)},
    ]
    return [
        _policy(spec, "default-deny", {}, ingress=None, egress=None),
        _policy(spec, names.ODOO, {"matchLabels": names.labels(spec.uuid)}, ingress=ingress, egress=egress),
    ]


PRIVATE_RANGES = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10")


def _ports(protocol: str, *numbers: int) -> list[Manifest]:
    return [{"protocol": protocol, "port": number} for number in numbers]


def _policy(spec: TenantSpec, name: str, pods: Manifest, ingress: Any, egress: Any) -> Manifest:
    rules = {key: value for key, value in (("ingress", ingress), ("egress", egress)) if value}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(spec, name),
        "spec": {"podSelector": pods, "policyTypes": ["Ingress", "Egress"], **rules},
    }


def secret(spec: TenantSpec, name: str, values: dict[str, str]) -> Manifest:
    """A Secret of the tenant's namespace."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(spec, name),
        "type": "Opaque",
        "stringData": values,
    }


def volume_claim(spec: TenantSpec) -> Manifest:
    """The claim of the tenant's volume."""
    volume = spec.volume
    if volume is None:
        raise ValueError("a tenant without a volume has no claim")
    claim = {
        "accessModes": [volume.access_mode],
        "resources": {"requests": {"storage": volume.size}},
    }
    if volume.storage_class:
        claim["storageClassName"] = volume.storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": _metadata(spec, volume.claim),
        "spec": claim,
    }


def service(spec: TenantSpec) -> Manifest:
    """The tenant's Service; websockets have a port of their own so that the edge need not know the server's mode.

    It leads to the pod before the pod is ready. Odoo refuses by itself until it listens, and the edge says that it is
    starting. A Service without endpoints answers by ICMP, of which Linux sends one a second (icmp_ratelimit): the
    others wait for their second SYN, a second in which Odoo has long come up.
    """
    ports = [
        {"name": "http", "port": names.HTTP_PORT, "targetPort": "http"},
        {"name": "websocket", "port": names.WEBSOCKET_PORT, "targetPort": "http"},
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(spec, names.ODOO),
        "spec": {"selector": pod_labels(spec), "ports": ports, "publishNotReadyAddresses": True},
    }


def deployment(spec: TenantSpec, config_digest: str) -> Manifest:
    """The tenant's Odoo. ``config_digest`` changes when its configuration does, which restarts it."""
    annotations = {CONFIG_DIGEST: config_digest, RESTARTED_AT: spec.restarted_at}
    template = {
        "metadata": {"labels": pod_labels(spec), "annotations": annotations},
        "spec": _pod(spec),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(spec, names.ODOO),
        "spec": {
            "replicas": 1 if spec.running else 0,
            "revisionHistoryLimit": 2,
            **_rollout(spec),
            "selector": {"matchLabels": names.labels(spec.uuid)},
            "template": template,
        },
    }


def pod_labels(spec: TenantSpec) -> dict[str, str]:
    """The labels of the pods that serve one of the tenant's databases."""
    return {**names.labels(spec.uuid), names.DATABASE_LABEL: spec.database}


def _rollout(spec: TenantSpec) -> Manifest:
    """One process at a time, as the volume goes with one node; but two databases have a process each.

    While the tenant changes from one database to another, the old pod stays until the new one has been ready for long
    enough to be given the traffic.
    """
    together = spec.switching and not (spec.volume and spec.volume.access_mode == "ReadWriteOncePod")
    if not together:
        patience = {"minReadySeconds": 0, "progressDeadlineSeconds": 2 * SWITCH_SECONDS}
        return {"strategy": {"type": "Recreate"}, **patience}
    limits = {"maxSurge": 1, "maxUnavailable": 0}
    patience = {"minReadySeconds": SWITCH_SECONDS, "progressDeadlineSeconds": 2 * SWITCH_SECONDS}
    return {"strategy": {"type": "RollingUpdate", "rollingUpdate": limits}, **patience}


def _pod(spec: TenantSpec) -> Manifest:
    data = {"persistentVolumeClaim": {"claimName": spec.volume.claim}} if spec.volume else {"emptyDir": {}}
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": STOP_SECONDS,
        "securityContext": pod_security(),
        **({"affinity": beside(spec)} if spec.volume else {}),
        **({"initContainers": [_files(spec)]} if spec.previous_database else {}),
        "containers": [_container(spec)],
        "volumes": [
            {"name": "data", **data},
            {"name": "config", "secret": {"secretName": config_secret(spec), "defaultMode": 0o440}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }


def beside(spec: TenantSpec) -> Manifest:
    """On the node of the tenant's other pods, for a volume that goes with one node; the first pod is free to choose."""
    term = {"labelSelector": {"matchLabels": names.labels(spec.uuid)}, "topologyKey": "kubernetes.io/hostname"}
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def pod_security() -> Manifest:
    """The security context of pods that run the loomworks-odoo image."""
    return {
        "runAsNonRoot": True,
        "runAsUser": RUN_AS,
        "runAsGroup": RUN_AS,
        "fsGroup": RUN_AS,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Manifest:
    """The security context of a container: no privilege, no capability, nothing to write but its mounts."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def config_secret(spec: TenantSpec) -> str:
    """Name the Secret with the configuration: one a database, so that a pod that restarts comes back to its own."""
    return f"{names.CONFIG_SECRET}-{spec.database[len(spec.role) + 1 :].replace('_', '-')}".rstrip("-")


def _files(spec: TenantSpec) -> Manifest:
    """What gives a database the files of the tenant's others: as links, so that it takes no space and no time."""
    data_path = _data_path(spec)
    return {
        "name": "files",
        "image": spec.cluster.image,
        "imagePullPolicy": spec.cluster.image_pull_policy,
        "command": ["loomworks-adopt-files", f"{data_path}/filestore", spec.role, spec.database],
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "data", "mountPath": data_path}],
    }


def _data_path(spec: TenantSpec) -> str:
    return spec.volume.mount_path if spec.volume else DEFAULT_DATA_PATH


def _container(spec: TenantSpec) -> Manifest:
    data_path = _data_path(spec)
    resources = spec.resources
    return {
        "name": names.ODOO,
        "image": spec.cluster.image,
        "imagePullPolicy": spec.cluster.image_pull_policy,
        "command": ["loomworks-tenant-odoo"],
        "env": [{"name": "LOOMWORKS_PRIVATE_CHANNELS", "value": "1"}],
        "ports": [{"name": "http", "containerPort": names.HTTP_PORT}],
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {
            "requests": {"cpu": resources.cpu_request, "memory": resources.memory_request},
            "limits": {"cpu": resources.cpu_limit, "memory": resources.memory_limit},
        },
        "startupProbe": {**_probe(1, 3), "failureThreshold": STARTUP_SECONDS},
        "readinessProbe": {**_probe(5, 5), "failureThreshold": 3},
        "livenessProbe": {**_probe(20, 10), "failureThreshold": 4},
        "volumeMounts": [
            {"name": "data", "mountPath": data_path},
            {"name": "config", "mountPath": CONFIG_PATH, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }


def _probe(period: int, timeout: int) -> Manifest:
    health = {"path": "/web/health", "port": "http"}
    return {"httpGet": health, "periodSeconds": period, "timeoutSeconds": timeout}


def route(spec: TenantSpec, target: str) -> Manifest:
    """The DNS name by which the edge finds a subdomain: an alias of ``target``, a Service's full name."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(spec, spec.subdomain, spec.cluster.routes_namespace),
        "spec": {"type": "ExternalName", "externalName": target},
    }

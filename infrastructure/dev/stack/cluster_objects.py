"""The objects that a cluster has before anything is deployed: storage class, permissions, DNS."""

from __future__ import annotations

from . import kubectl
from .settings import CLUSTER_DOMAIN, DNS_ADDRESS, STORAGE_CLASS, Settings

PROVISIONER = "dev.loomworks.io/loop"
PROVISIONER_ACCOUNT = "loomworks-provisioner"

COREFILE = f"""
.:5353 {{
    errors
    health :8080 {{
        lameduck 2s
    }}
    ready :8181
    kubernetes {CLUSTER_DOMAIN} in-addr.arpa {{
        pods disabled
        fallthrough in-addr.arpa
        ttl 1
    }}
    forward . /etc/resolv.conf {{
        max_concurrent 1000
    }}
    cache {{
        success 4096 30
        denial 1024 1
        disable success {CLUSTER_DOMAIN}
        disable denial {CLUSTER_DOMAIN}
    }}
    reload 5s
}}
"""


def apply_base(settings: Settings) -> None:
    """Apply what must be there before the node starts."""
    kubectl.apply(settings, _storage_class(), *_provisioner_permissions())


def _storage_class() -> dict:
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": STORAGE_CLASS, "annotations": default},
        "provisioner": PROVISIONER,
        "allowVolumeExpansion": True,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
    }


def _provisioner_permissions() -> list[dict]:
    core = [
        {"apiGroups": [""], "resources": ["persistentvolumes"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["get", "list", "watch", "patch"]},
        {"apiGroups": [""], "resources": ["persistentvolumeclaims/status"], "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
        {"apiGroups": ["storage.k8s.io"], "resources": ["storageclasses"], "verbs": ["get", "list", "watch"]},
    ]
    user = f"system:serviceaccount:kube-system:{PROVISIONER_ACCOUNT}"
    return [
        _role("loomworks-provisioner", core),
        _binding("loomworks-provisioner", {"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}),
    ]


def _role(name: str, rules: list[dict]) -> dict:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": rules,
    }


def _binding(role: str, subject: dict) -> dict:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": role},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [subject],
    }


def apply_dns(settings: Settings, image: str) -> None:
    """Apply CoreDNS: its account, its Corefile, its Deployment and its Service."""
    rules = [
        {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    account = {"kind": "ServiceAccount", "name": "coredns", "namespace": "kube-system"}
    kubectl.apply(
        settings,
        _named("v1", "ServiceAccount", {}),
        _role("system:coredns", rules),
        _binding("system:coredns", account),
        _named("v1", "ConfigMap", {"data": {"Corefile": COREFILE}}),
        _named("apps/v1", "Deployment", {"spec": _dns_deployment(image)}),
        _dns_service(),
    )


def _named(version: str, kind: str, body: dict) -> dict:
    labels = {"app.kubernetes.io/name": "coredns"}
    metadata = {"name": "coredns", "namespace": "kube-system", "labels": labels}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **body}


def _dns_deployment(image: str) -> dict:
    labels = {"app.kubernetes.io/name": "coredns"}
    return {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": _dns_pod(image)},
    }


def _dns_pod(image: str) -> dict:
    container = {
        "name": "coredns",
        "image": image,
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [
            {"name": "dns", "containerPort": 5353, "protocol": "UDP"},
            {"name": "dns-tcp", "containerPort": 5353, "protocol": "TCP"},
        ],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "failureThreshold": 5},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    return {
        "serviceAccountName": "coredns",
        "dnsPolicy": "Default",
        "priorityClassName": "system-cluster-critical",
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    }


def _dns_service() -> dict:
    ports = [
        {"name": "dns", "port": 53, "targetPort": "dns", "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "targetPort": "dns-tcp", "protocol": "TCP"},
    ]
    selector = {"app.kubernetes.io/name": "coredns"}
    service = _named("v1", "Service", {"spec": {"clusterIP": DNS_ADDRESS, "selector": selector, "ports": ports}})
    service["metadata"]["name"] = "kube-dns"
    return service

"""What the control plane's account may do in the cluster, and, from the wrong side, what it may not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from api_server import OURS, RESTRICTED, Kubectl, Refused, namespace, role_binding, wait_until

pytestmark = pytest.mark.cluster

ROUTES = "loomworks-routes"
HOME = "loomworks"


def config_map(where: str, name: str = "probe") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": where}, "data": {"a": "b"}}


def route(target: str, where: str = ROUTES, name: str = "probe") -> dict[str, Any]:
    spec = {"type": "ExternalName", "externalName": target}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": where}, "spec": spec}


def service(where: str, **spec: Any) -> dict[str, Any]:
    spec = {"selector": {"a": "b"}, "ports": [{"port": 80}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "probe", "namespace": where}, "spec": spec}


# --- what it may ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("create", "namespaces"),
        ("delete", "namespaces"),
        ("list", "deployments"),
        ("list", "persistentvolumeclaims"),
        ("list", "services"),
        ("list", "pods"),
        ("list", "events"),
        ("list", "resourcequotas"),
        ("list", "storageclasses"),
        ("list", "jobs.batch"),
        ("list", "persistentvolumes"),
    ],
)
def test_it_sees_all_tenants_and_makes_their_namespaces(control_plane: Kubectl, verb: str, resource: str) -> None:
    assert control_plane.is_allowed(verb, resource)


@pytest.mark.parametrize("verb", ["get", "list", "create", "patch", "delete"])
@pytest.mark.parametrize(
    "resource",
    [
        "secrets",
        "configmaps",
        "services",
        "persistentvolumeclaims",
        "deployments.apps",
        "jobs.batch",
        "resourcequotas",
        "limitranges",
        "networkpolicies.networking.k8s.io",
    ],
)
def test_it_manages_what_a_tenant_is_made_of(
    control_plane: Kubectl, tenant_namespace: str, verb: str, resource: str
) -> None:
    assert control_plane.is_allowed(verb, resource, tenant_namespace)


def test_it_reads_what_kubelets_measure(control_plane: Kubectl) -> None:
    assert control_plane.is_allowed("get", "nodes/stats")


def test_it_reads_the_logs_of_a_tenant(control_plane: Kubectl, tenant_namespace: str) -> None:
    assert control_plane.is_allowed("get", "pods/log", tenant_namespace)


def test_it_writes_in_a_namespace_of_a_tenant(control_plane: Kubectl, tenant_namespace: str) -> None:
    control_plane.apply(config_map(tenant_namespace))
    control_plane.apply(service(tenant_namespace))
    control_plane("delete", "configmap", "probe", "--namespace", tenant_namespace)


@pytest.mark.parametrize("target", ["odoo.lw-a1.svc.cluster.local", "edge-suspended.loomworks.svc.cluster.local"])
def test_it_writes_a_route(control_plane: Kubectl, target: str) -> None:
    name = f"probe-{uuid4().hex[:8]}"
    control_plane.apply(route(target, name=name))
    control_plane("delete", "service", name, "--namespace", ROUTES)


# --- what RBAC denies ----------------------------------------------------------------------------


@pytest.mark.parametrize("where", [HOME, "kube-system", "default", ROUTES])
@pytest.mark.parametrize("verb", ["get", "list", "create", "patch"])
def test_it_reads_and_writes_no_secret_of_the_platform(control_plane: Kubectl, verb: str, where: str) -> None:
    assert not control_plane.is_allowed(verb, "secrets", where)


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("get", "secrets"),
        ("list", "secrets"),
        ("list", "nodes"),
        ("get", "nodes/proxy"),
        ("create", "nodes/proxy"),
        ("get", "nodes/log"),
        ("get", "nodes/pods"),
        ("get", "nodes/configz"),
        ("create", "nodes/stats"),
        ("create", "pods"),
        ("create", "deployments.apps"),
        ("create", "clusterroles.rbac.authorization.k8s.io"),
        ("create", "clusterrolebindings.rbac.authorization.k8s.io"),
        ("escalate", "clusterroles.rbac.authorization.k8s.io"),
        ("patch", "validatingadmissionpolicies.admissionregistration.k8s.io"),
        ("delete", "validatingadmissionpolicybindings.admissionregistration.k8s.io"),
        ("create", "persistentvolumes"),
        ("patch", "persistentvolumes"),
        ("create", "jobs.batch"),
        ("delete", "jobs.batch"),
        ("delete", "persistentvolumeclaims"),
        ("impersonate", "users"),
        ("create", "serviceaccounts/token"),
    ],
)
def test_it_has_no_power_over_the_cluster(control_plane: Kubectl, verb: str, resource: str) -> None:
    assert not control_plane.is_allowed(verb, resource)


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("create", "pods"),
        ("create", "pods/exec"),
        ("create", "pods/portforward"),
        ("get", "pods/proxy"),
        ("get", "services/proxy"),
        ("create", "serviceaccounts"),
        ("create", "serviceaccounts/token"),
        ("create", "roles.rbac.authorization.k8s.io"),
        ("delete", "rolebindings.rbac.authorization.k8s.io"),
    ],
)
def test_it_enters_no_pod_of_a_tenant(control_plane: Kubectl, tenant_namespace: str, verb: str, resource: str) -> None:
    assert not control_plane.is_allowed(verb, resource, tenant_namespace)


@pytest.mark.parametrize("role", ["cluster-admin", "admin", "edit", "loomworks-control-plane"])
def test_it_binds_no_other_role(control_plane: Kubectl, tenant_namespace: str, role: str) -> None:
    assert not control_plane.is_allowed("bind", "clusterroles.rbac.authorization.k8s.io", name=role)
    with pytest.raises(Refused):
        control_plane.apply(role_binding(tenant_namespace, role))


# --- what only the admission policies deny -------------------------------------------------------


@pytest.mark.parametrize("name", ["kube-system", HOME, ROUTES])
def test_it_writes_no_namespace_of_the_platform(control_plane: Kubectl, name: str) -> None:
    with pytest.raises(Refused, match='starts with "lw-"'):
        control_plane.apply(namespace(name, **RESTRICTED, **OURS), dry_run=True)


@pytest.mark.parametrize("name", [HOME, ROUTES])
def test_it_deletes_no_namespace_of_the_platform(control_plane: Kubectl, name: str) -> None:
    with pytest.raises(Refused, match='starts with "lw-"'):
        control_plane("delete", "namespace", name, "--dry-run=server")


def test_it_makes_no_namespace_without_pod_security(control_plane: Kubectl) -> None:
    with pytest.raises(Refused, match='pod security level "restricted"'):
        control_plane.apply(namespace("lw-probe", **OURS), dry_run=True)


@pytest.mark.parametrize("level", ["privileged", "baseline"])
def test_it_does_not_loosen_a_namespace(control_plane: Kubectl, tenant_namespace: str, level: str) -> None:
    with pytest.raises(Refused, match='pod security level "restricted"'):
        control_plane(
            "label", "--overwrite", "namespace", tenant_namespace, f"pod-security.kubernetes.io/enforce={level}"
        )


def test_it_does_not_take_over_a_namespace_that_only_has_its_prefix(kubectl: Kubectl, control_plane: Kubectl) -> None:
    name = f"lw-foreign-{uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    try:
        with pytest.raises(Refused, match="labelled as its own"):
            control_plane.apply(namespace(name, **RESTRICTED, **OURS))
        with pytest.raises(Refused, match="labelled as its own"):
            control_plane("delete", "namespace", name)
    finally:
        kubectl("delete", "namespace", name, "--wait=false")


@pytest.mark.parametrize("where", ["kube-system", "default", HOME, ROUTES])
def test_it_binds_its_role_in_no_other_namespace(control_plane: Kubectl, where: str) -> None:
    with pytest.raises(Refused, match="writes in namespaces of tenants"):
        control_plane.apply(role_binding(where), dry_run=True)


def test_it_binds_its_role_in_no_foreign_namespace(control_plane: Kubectl, foreign_namespace: str) -> None:
    with pytest.raises(Refused, match="writes in namespaces of tenants"):
        control_plane.apply(role_binding(foreign_namespace))


@pytest.mark.parametrize("subject", [{"name": "default"}, {"namespace": "kube-system"}, {"name": "someone-else"}])
def test_it_binds_its_role_for_nobody_else(
    control_plane: Kubectl, tenant_namespace: str, subject: dict[str, str]
) -> None:
    with pytest.raises(Refused, match="for itself only"):
        control_plane.apply(role_binding(tenant_namespace, **subject))


def test_a_role_that_somebody_binds_for_it_elsewhere_is_of_no_use(
    kubectl: Kubectl, control_plane: Kubectl, foreign_namespace: str
) -> None:
    """RBAC says yes here; the policy still says no."""
    kubectl.apply(role_binding(foreign_namespace))
    for attempt in (config_map(foreign_namespace), service(foreign_namespace)):
        with pytest.raises(Refused, match="writes in namespaces of tenants"):
            control_plane.apply(attempt)
    kubectl.apply(config_map(foreign_namespace, "kept"))
    with pytest.raises(Refused, match="writes in namespaces of tenants"):
        control_plane("delete", "configmap", "kept", "--namespace", foreign_namespace)


@pytest.mark.parametrize(
    "target", ["evil.example.com", "postgres.loomworks.svc.cluster.local", "odoo.kube-system.svc.cluster.local"]
)
def test_a_route_leads_to_a_tenant_or_a_page_of_the_edge_only(
    kubectl: Kubectl, control_plane: Kubectl, target: str
) -> None:
    for writer in (control_plane, kubectl):
        with pytest.raises(Refused, match="a route is an alias"):
            writer.apply(route(target), dry_run=True)


def test_a_route_selects_no_pods(control_plane: Kubectl) -> None:
    with pytest.raises(Refused, match="a route is an alias"):
        control_plane.apply(service(ROUTES), dry_run=True)


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "NodePort"},
        {"type": "LoadBalancer"},
        {"externalIPs": ["192.0.2.1"]},
        {"type": "ExternalName", "externalName": "postgres.loomworks.svc.cluster.local"},
    ],
)
def test_a_tenants_service_is_not_reachable_from_outside(
    control_plane: Kubectl, tenant_namespace: str, spec: dict[str, Any]
) -> None:
    with pytest.raises(Refused, match="inside the cluster only"):
        control_plane.apply(service(tenant_namespace, **spec))


def test_a_privileged_pod_is_not_admitted_in_a_tenants_namespace(kubectl: Kubectl, tenant_namespace: str) -> None:
    container = {"name": "a", "image": "a", "securityContext": {"privileged": True}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe", "namespace": tenant_namespace},
        "spec": {"containers": [container]},
    }
    with pytest.raises(Refused, match="violates PodSecurity"):
        kubectl.apply(pod)


def left_volume(name: str, namespace: str, claim: str) -> dict[str, Any]:
    """A volume whose claim is gone: nothing binds it again."""
    reference = {"namespace": namespace, "name": claim, "uid": str(uuid4())}
    spec = {
        "capacity": {"storage": "1Mi"},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "nobodys",
        "hostPath": {"path": "/nowhere"},
        "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **reference},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}


@pytest.fixture
def volume(kubectl: Kubectl) -> Iterator[Callable[[str, str], str]]:
    """Make volumes that a claim has left behind, and wait until the cluster says so."""
    made: list[str] = []

    def make(namespace: str, claim: str) -> str:
        name = f"probe-{uuid4().hex[:8]}"
        kubectl.apply(left_volume(name, namespace, claim))
        made.append(name)
        wait_until(lambda: "Released" in kubectl("get", "pv", name, "--output=jsonpath={.status.phase}"))
        return name

    yield make
    for name in made:
        kubectl("delete", "pv", name, "--ignore-not-found", "--wait=false")


def test_it_deletes_a_volume_that_a_tenant_has_left(
    volume: Callable[[str, str], str], kubectl: Kubectl, control_plane: Kubectl
) -> None:
    uuid = uuid4()
    name = volume(f"lw-{uuid}", f"odoo-instance-{uuid}")
    control_plane("delete", "pv", name, "--wait=false")
    assert not kubectl("get", "pv", name, "--ignore-not-found")


@pytest.mark.parametrize("claim", [("default", "data"), ("lw-templates", "data"), (f"lw-{uuid4()}", "another")])
def test_it_deletes_no_volume_of_anybody_else(
    volume: Callable[[str, str], str], control_plane: Kubectl, claim: tuple[str, str]
) -> None:
    with pytest.raises(Refused, match="volumes of tenants' claims only"):
        control_plane("delete", "pv", volume(*claim), "--wait=false")


def test_it_deletes_no_volume_in_use(kubectl: Kubectl, control_plane: Kubectl) -> None:
    uuid, name = uuid4(), f"probe-{uuid4().hex[:8]}"
    manifest = left_volume(name, f"lw-{uuid}", f"odoo-instance-{uuid}")
    del manifest["spec"]["claimRef"]["uid"]  # reserved for a claim to come
    kubectl.apply(manifest)
    try:
        with pytest.raises(Refused, match="no volume that is in use"):
            control_plane("delete", "pv", name, "--wait=false")
    finally:
        kubectl("delete", "pv", name, "--wait=false")


# --- the tenants themselves ----------------------------------------------------------------------


@pytest.mark.parametrize("resource", ["secrets", "pods", "services", "namespaces"])
def test_a_tenants_own_account_sees_nothing(kubectl: Kubectl, tenant_namespace: str, resource: str) -> None:
    tenant = kubectl.impersonating(f"system:serviceaccount:{tenant_namespace}:default")
    assert not tenant.is_allowed("list", resource, tenant_namespace)
    assert not tenant.is_allowed("list", resource)

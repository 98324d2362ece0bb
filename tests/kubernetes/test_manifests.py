"""What the overlays render to, without a cluster."""

from __future__ import annotations

import subprocess
from typing import Any

import openapi_schemas
import overlays
import pytest

SCHEMAS = str(openapi_schemas.FOLDER / "{{.ResourceKind}}{{.KindSuffix}}.json")


def conformity(text: str) -> subprocess.CompletedProcess[str]:
    command = [overlays.kubeconform(), "-strict", "-summary", "-schema-location", SCHEMAS, "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("variant", overlays.VARIANTS)
def test_kubeconform_finds_every_object_valid(variant: str) -> None:
    done = conformity(overlays.text(variant))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Skipped: 0" in done.stdout


def test_kubeconform_refuses_a_misspelt_field() -> None:
    done = conformity(overlays.text("dev").replace("readOnlyRootFilesystem", "readonlyRootFilesystem"))
    assert done.returncode != 0
    assert "readonlyRootFilesystem" in done.stdout


@pytest.mark.parametrize("variant", overlays.VARIANTS)
def test_no_secret_is_rendered(variant: str) -> None:
    assert not [item for item in overlays.rendered(variant) if item["kind"] == "Secret"]


@pytest.mark.parametrize("variant", overlays.VARIANTS)
def test_every_container_is_locked_down(variant: str) -> None:
    for workload, container in overlays.containers(variant):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, (workload, container["name"])


@pytest.mark.parametrize("variant", overlays.VARIANTS)
def test_every_pod_runs_as_an_ordinary_user(variant: str) -> None:
    for workload, pod in overlays.pods(variant).items():
        context = pod["securityContext"]
        assert context["runAsNonRoot"], workload
        assert context["runAsUser"] >= 10001, workload
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, workload


@pytest.mark.parametrize("variant", overlays.VARIANTS)
def test_every_container_has_requests_and_a_memory_limit(variant: str) -> None:
    for workload, container in overlays.containers(variant):
        resources = container["resources"]
        assert set(resources["requests"]) == {"cpu", "memory"}, (workload, container["name"])
        assert "memory" in resources["limits"], (workload, container["name"])


@pytest.mark.parametrize("variant", overlays.VARIANTS)
def test_only_the_control_plane_gets_a_token_of_the_api_server(variant: str) -> None:
    mounting = {name for name, pod in overlays.pods(variant).items() if pod["automountServiceAccountToken"]}
    assert mounting == {"control-plane"}


@pytest.mark.parametrize(
    ("secret", "variable"),
    [
        ("pgbackrest-s3", "REPOSITORY_SECRETS_DIR"),
        ("filestore-s3", "FILESTORE_SECRETS_DIR"),
        ("imports-s3", "IMPORTS_SECRETS_DIR"),
    ],
)
@pytest.mark.parametrize("variant", overlays.VARIANTS)
def test_keys_of_buckets_reach_only_who_needs_them(variant: str, secret: str, variable: str) -> None:
    pod = overlays.pods(variant)["control-plane"]
    [volume] = [one for one in pod["volumes"] if one.get("secret", {}).get("secretName") == secret]
    assert volume["secret"]["defaultMode"] == 0o440
    everyone = [*pod["initContainers"], *pod["containers"]]
    holding = {one["name"] for one in everyone for mount in one["volumeMounts"] if mount["name"] == volume["name"]}
    assert holding == {"control-plane"}
    [mount] = [one for one in pod["containers"][0]["volumeMounts"] if one["name"] == volume["name"]]
    folder = {"name": variable, "value": mount["mountPath"]}
    assert mount["readOnly"]
    assert all(folder in one["env"] for one in everyone)


@pytest.mark.parametrize("variant", overlays.VARIANTS)
def test_every_namespace_admits_restricted_pods_only(variant: str) -> None:
    for item in overlays.rendered(variant):
        if item["kind"] == "Namespace":
            assert item["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("variant", overlays.VARIANTS)
def test_every_configuration_is_named_with_its_digest(variant: str) -> None:
    """A changed value must restart what reads it."""
    names = {item["metadata"]["name"] for item in overlays.rendered(variant) if item["kind"] == "ConfigMap"}
    for _, container in overlays.containers(variant):
        for source in container.get("envFrom", ()):
            assert source["configMapRef"]["name"] in names


def test_dev_asks_for_little() -> None:
    for _, container in overlays.containers("dev"):
        assert container["resources"]["requests"]["cpu"] == "10m", container["name"]


def test_dev_tells_the_control_plane_small_tenants() -> None:
    values = overlays.find("dev", "ConfigMap", "loomworks-config")["data"]
    assert values["LOOMWORKS_TENANT_CPU_REQUEST"] == "10m"
    assert values["LOOMWORKS_TENANT_MEMORY_REQUEST"] == "128Mi"


@pytest.mark.parametrize("cloud", overlays.CLOUDS)
def test_production_keeps_the_disks_of_the_platform(cloud: str) -> None:
    database = overlays.find(cloud, "StatefulSet", "postgres")["spec"]["volumeClaimTemplates"][0]["spec"]
    data = overlays.find(cloud, "PersistentVolumeClaim", "control-plane-data")["spec"]
    kept = overlays.find(cloud, "StorageClass", f"loomworks-{cloud}-retain")
    assert database["storageClassName"] == data["storageClassName"] == kept["metadata"]["name"]
    assert kept["reclaimPolicy"] == "Retain"
    assert kept["allowVolumeExpansion"]


@pytest.mark.parametrize("cloud", overlays.CLOUDS)
def test_production_gives_tenants_the_storage_of_the_cloud(cloud: str) -> None:
    values = overlays.find(cloud, "ConfigMap", "loomworks-config")["data"]
    assert overlays.find(cloud, "StorageClass", values["LOOMWORKS_STORAGE_CLASS"])["reclaimPolicy"] == "Delete"


@pytest.mark.parametrize("cloud", overlays.CLOUDS)
def test_production_sends_the_domain_and_all_below_it_to_the_edge(cloud: str) -> None:
    domain = overlays.find(cloud, "ConfigMap", "loomworks-config")["data"]["LOOMWORKS_DOMAIN"]
    ingress = overlays.find(cloud, "Ingress", "edge")["spec"]
    assert [rule["host"] for rule in ingress["rules"]] == [domain, f"*.{domain}"]
    assert ingress["tls"] == [{"secretName": "edge-tls", "hosts": [domain, f"*.{domain}"]}]
    backends = [path["backend"]["service"]["name"] for rule in ingress["rules"] for path in rule["http"]["paths"]]
    assert backends == ["edge", "edge"]


@pytest.mark.parametrize("cloud", overlays.CLOUDS)
def test_production_runs_tenants_on_the_control_planes_image(cloud: str) -> None:
    pod = overlays.pods(cloud)["control-plane"]
    values = overlays.find(cloud, "ConfigMap", "loomworks-config")["data"]
    assert values["LOOMWORKS_ODOO_IMAGE"] == pod["containers"][0]["image"] == pod["initContainers"][0]["image"]


@pytest.mark.parametrize("cloud", overlays.CLOUDS)
def test_production_has_a_disruption_budget_for_every_workload(cloud: str) -> None:
    budgets = [item["spec"] for item in overlays.rendered(cloud) if item["kind"] == "PodDisruptionBudget"]
    covered = {budget["selector"]["matchLabels"]["app.kubernetes.io/name"] for budget in budgets}
    assert covered == set(overlays.pods(cloud))


def test_production_leaves_the_edge_a_pod_to_spare() -> None:
    edge: dict[str, Any] = overlays.find("gp3", "Deployment", "edge")["spec"]
    budget = overlays.find("gp3", "PodDisruptionBudget", "edge")["spec"]
    assert edge["replicas"] > budget["minAvailable"] >= 2


def test_schemas_hold_no_more_than_is_reached() -> None:
    kinds = {item["kind"] for variant in overlays.VARIANTS for item in overlays.rendered(variant)}
    assert kinds <= openapi_schemas.KINDS

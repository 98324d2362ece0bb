"""What is applied for one tenant, compared whole where it matters who gets in."""

import pytest
from addons.loomworks_tenant.kube import manifests, names, odoo_conf, routes
from addons.loomworks_tenant.reconciler.spec import Goal, VolumeSpec
from factories import UUID, template_spec, tenant_spec

NAMESPACE = f"lw-{UUID}"
LABELS = {
    "app.kubernetes.io/name": "loomworks",
    "app.kubernetes.io/managed-by": "loomworks",
    "app.kubernetes.io/component": "odoo",
    "loomworks.io/tenant": UUID,
}


def every_manifest(spec):
    return [
        manifests.namespace(spec),
        manifests.role_binding(spec),
        manifests.quota(spec),
        manifests.limit_range(spec),
        *manifests.network_policies(spec),
        manifests.secret(spec, "s", {}),
        manifests.volume_claim(spec),
        manifests.service(spec),
        manifests.deployment(spec, "d"),
        manifests.route(spec, "target"),
    ]


def test_everything_carries_the_labels_by_which_it_is_found_again():
    for manifest in every_manifest(tenant_spec()):
        assert manifest["metadata"]["labels"].items() >= LABELS.items(), manifest["kind"]


def test_everything_is_in_the_tenants_namespace_but_its_route():
    for manifest in every_manifest(tenant_spec())[1:-1]:
        assert manifest["metadata"]["namespace"] == NAMESPACE
    assert manifests.route(tenant_spec(), "x")["metadata"]["namespace"] == "loomworks-routes"


def test_pod_is_admitted_by_the_restricted_profile_and_has_no_token():
    pod = manifests.deployment(tenant_spec(), "d")["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_pod_writes_only_to_its_volume_and_tmp():
    container = manifests.deployment(tenant_spec(), "d")["spec"]["template"]["spec"]["containers"][0]
    writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["/var/lib/odoo", "/tmp"]


def test_volume_is_where_the_plan_says_and_odoo_knows_it():
    volume = VolumeSpec("odoo-data", "5Gi", "standard", "ReadWriteOnce", "/srv/files")
    spec = tenant_spec(volume=volume)
    pod = manifests.deployment(spec, "d")["spec"]["template"]["spec"]
    [data] = [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "data"]
    assert data == "/srv/files"
    assert "data_dir = /srv/files" in odoo_conf.render(spec, "secret")
    claim = manifests.volume_claim(spec)["spec"]
    assert claim["resources"]["requests"]["storage"] == "5Gi"
    assert (claim["storageClassName"], claim["accessModes"]) == ("standard", ["ReadWriteOnce"])


@pytest.mark.parametrize(("goal", "replicas"), [(Goal.ACTIVE, 1), (Goal.SUSPENDED, 0)])
def test_suspended_tenant_has_no_pod(goal, replicas):
    assert manifests.deployment(tenant_spec(goal=goal), "d")["spec"]["replicas"] == replicas


def test_changed_configuration_or_restart_makes_a_new_pod():
    def template(digest="d", **changes):
        return manifests.deployment(tenant_spec(**changes), digest)["spec"]["template"]

    assert template() == template()
    assert template() != template("e")
    assert template() != template(restarted_at="2026-01-01 00:00:00")


def test_network_policy_denies_all_but_the_platform_dns_and_the_public_internet():
    deny, allow = manifests.network_policies(tenant_spec())
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    platform = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "loomworks"}}}
    assert allow["spec"]["podSelector"] == {"matchLabels": LABELS}
    assert [rule["from"] for rule in allow["spec"]["ingress"]] == [[platform]]
    blocks = [to["ipBlock"] for rule in allow["spec"]["egress"] for to in rule["to"] if "ipBlock" in to]
    assert blocks == [{"cidr": "0.0.0.0/0", "except": list(manifests.PRIVATE_RANGES)}]


def test_claim_leaves_the_class_to_the_cluster_when_none_is_named():
    spec = tenant_spec()
    named = manifests.volume_claim(spec)["spec"]
    assert named["storageClassName"] == "loomworks-dev"
    assert named["resources"] == {"requests": {"storage": "5Gi"}}
    unnamed = tenant_spec(volume=type(spec.volume)("c", "5Gi", "", "ReadWriteOnce", "/data"))
    assert "storageClassName" not in manifests.volume_claim(unnamed)["spec"]


def test_role_binding_names_one_account_and_one_role():
    binding = manifests.role_binding(tenant_spec())
    assert binding["roleRef"]["name"] == names.TENANT_ROLE
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "control-plane", "namespace": "loomworks"}]


@pytest.mark.parametrize(
    ("goal", "page"),
    [(Goal.ACTIVE, "edge-provisioning"), (Goal.SUSPENDED, "edge-suspended")],
)
def test_page_is_the_honest_one(goal, page):
    assert routes.page_target(tenant_spec(goal=goal)) == f"{page}.loomworks.svc.cluster.local"
    assert routes.tenant_target(tenant_spec()) == f"odoo.{NAMESPACE}.svc.cluster.local"


def test_configuration_serves_one_database_without_a_manager():
    text = odoo_conf.render(tenant_spec(), "secret%(x)s")
    lines = set(text.splitlines())
    database = tenant_spec().database
    assert {f"db_name = {database}", "list_db = False", "limit_time_real_cron = 900"} <= lines
    assert "db_password = secret%(x)s" in lines
    assert "admin_passwd = " not in lines


@pytest.mark.parametrize(
    ("public_url", "address"),
    [
        ("https://console.example.test", "https://acme.example.test"),
        ("http://localhost:8080/", "http://acme.example.test:8080"),
    ],
)
def test_tenant_is_reached_by_the_scheme_and_port_of_the_platform(public_url, address):
    spec = tenant_spec()
    cluster = type(spec.cluster)(**{**spec.cluster.__dict__, "public_url": public_url})
    assert tenant_spec(cluster=cluster).public_url == address


def test_template_names_fit_postgresql_and_kubernetes():
    spec = template_spec(plan="p" * 20)
    assert len(spec.building) <= 63
    assert len(spec.job) <= 63
    assert "_" not in template_spec(plan="a_b").job


def test_pods_of_one_tenant_go_to_one_node_as_its_volume_does():
    spec = tenant_spec()
    pod = manifests.deployment(spec, "digest")["spec"]["template"]
    (term,) = pod["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    wanted = term["labelSelector"]["matchLabels"]
    assert wanted.items() <= pod["metadata"]["labels"].items()  # else the first pod would have no place
    assert "affinity" not in manifests.deployment(tenant_spec(volume=None), "digest")["spec"]["template"]["spec"]

"""The volume of a tenant on the running stack: measured by the kubelet, grown while it serves, never made smaller."""

import secrets
import subprocess
import time

import pytest
from addons.loomworks_tenant.kube import names, quantity
from conftest import PATIENCE, Refused

GI = 1024**3
FILLER = "/var/lib/odoo/filler"


@pytest.fixture
def in_pod(stack):
    """Run a command in a tenant's Odoo."""

    def run(tenant, *command):
        kubectl = [stack["LOOMWORKS_KUBECTL"], f"--kubeconfig={stack['KUBECONFIG']}", "-n", tenant.namespace]
        whole = [*kubectl, "exec", "deployment/odoo", "-c", "odoo", "--", *command]
        done = subprocess.run(whole, check=False, capture_output=True, text=True, timeout=120)
        assert not done.returncode, (command, done.stderr)
        return done.stdout

    return run


@pytest.fixture
def claim_of(kube):
    return lambda tenant: kube.get("PersistentVolumeClaim", names.volume_claim(tenant.uuid), tenant.namespace)


@pytest.fixture(scope="module")
def small(call):
    """A plan of small volumes, of the modules of Basic: its id and code; one, as each has a template of its own."""
    (basic,) = call("loomworks.plan", "search", domain=[["code", "=", "basic"]])
    (shared,) = call("loomworks.plan", "read", ids=[basic], fields=["module_names", "language_codes"])
    del shared["id"]
    code = f"v{secrets.token_hex(4)}"
    values = {"name": code, "code": code, "keep_template_ready": False, "volume_size": "1G", **shared}
    (made,) = call("loomworks.plan", "create", vals_list=[values])
    yield made, code
    call("loomworks.plan", "write", ids=[made], vals={"active": False})


FIELDS = ("volume_size", "volume_phase", "volume_capacity", "volume_used", "volume_read_at", "volume_used_percent")
FIELDS += ("volume_warning", "volume_growth", "volume_growth_message")


def look(tenant, reached, seconds=PATIENCE):
    """Have the volumes looked at until a tenant's values are as they are to be."""
    end = time.monotonic() + seconds
    cluster = tenant.call("loomworks.tenant", "read", ids=[tenant.id], fields=["cluster_id"])[0]["cluster_id"][0]
    while True:
        values = tenant.read(*FIELDS)
        if reached(values):
            return values
        assert time.monotonic() < end, f"not reached in {seconds} s: {values}"
        tenant.call("loomworks.cluster", "action_look_at_volumes", ids=[cluster])
        time.sleep(3)


def pod_ids(kube, tenant):
    return {pod["metadata"]["uid"] for pod in kube.list("Pod", tenant.namespace)}


def step(tenant, code="volume_growth"):
    return tenant.steps()[code]


def test_new_volume_is_bound_and_measured_by_itself(acme):
    end = time.monotonic() + PATIENCE
    while not acme.read("volume_read_at")["volume_read_at"]:  # nobody asks: the last step does
        assert time.monotonic() < end
        time.sleep(1)
    values = acme.read(*FIELDS)
    assert (values["volume_phase"], values["volume_capacity"]) == ("Bound", values["volume_size"])
    assert 0 < quantity.to_bytes(values["volume_used"]) < GI


def test_volume_grows_while_the_tenant_serves(make_tenant, kube, claim_of, in_pod):
    tenant = make_tenant()
    tenant.wait_settled("active")
    before = pod_ids(kube, tenant)
    tenant.act("resize_volume", size="6G")
    while step(tenant)["state"] != "done" or tenant.read("working")["working"]:
        assert tenant.get("/web/login").status_code == 200
    assert claim_of(tenant)["status"]["capacity"]["storage"] == "6Gi"
    assert pod_ids(kube, tenant) == before
    assert int(in_pod(tenant, "df", "--output=size", "-B1", "/var/lib/odoo").split()[-1]) > 5 * GI
    assert look(tenant, lambda values: values["volume_capacity"] == "6Gi")["volume_growth"] == "none"
    with pytest.raises(Refused, match="has 6Gi: a volume only grows, it cannot become 5Gi"):
        tenant.act("resize_volume", size="5Gi")
    assert claim_of(tenant)["spec"]["resources"]["requests"]["storage"] == "6Gi"


def test_full_volume_warns_grows_by_itself_up_to_the_ceiling_and_is_fine_again(
    make_tenant, small, claim_of, in_pod, call
):
    number, code = small
    tenant = make_tenant(plan=code)
    tenant.wait_settled("active")
    assert tenant.read("volume_size")["volume_size"] == "1Gi"
    rule = {"volume_grow_at": 85, "volume_grow_by": 20, "volume_ceiling": "3G"}
    call("loomworks.plan", "write", ids=[number], vals=rule)
    in_pod(tenant, "fallocate", "-l", "880M", FILLER)
    values = look(tenant, lambda values: values["volume_size"] == "2Gi")
    assert values["volume_warning"] in ("80", "90")
    activities = [["res_model", "=", "loomworks.tenant"], ["res_id", "=", tenant.id]]
    alarm = "A volume is nearly full"
    found = call("mail.activity", "search_read", domain=activities, fields=["activity_type_id", "summary"])
    assert [one for one in found if one["activity_type_id"][1] == alarm]
    look(tenant, lambda values: values["volume_capacity"] == "2Gi" and values["volume_warning"] == "0")
    found = call("mail.activity", "search_read", domain=activities, fields=["activity_type_id"])
    assert not [one for one in found if one["activity_type_id"][1] == alarm]

    # Only what is added: XFS asks for room for all that is named, also where the file has it already.
    in_pod(tenant, "fallocate", "-o", "880M", "-l", "900M", FILLER)
    look(tenant, lambda values: values["volume_capacity"] == "3Gi")
    in_pod(tenant, "fallocate", "-o", "1780M", "-l", "1020M", FILLER)
    look(tenant, lambda values: values["volume_used_percent"] > 90)
    assert tenant.read("volume_size")["volume_size"] == "3Gi"
    assert claim_of(tenant)["spec"]["resources"]["requests"]["storage"] == "3Gi"


def test_larger_plan_grows_its_tenants_and_a_smaller_one_does_not_shrink_them(make_tenant, small, claim_of, call):
    number, code = small
    tenant = make_tenant(plan=code)
    tenant.wait_settled("active")
    for size in ("2G", "1G"):
        call("loomworks.plan", "write", ids=[number], vals={"volume_size": size})
        tenant.wait(lambda values: step(tenant)["state"] == "done" and not values["working"])
        assert tenant.read("volume_size")["volume_size"] == "2Gi"
        assert claim_of(tenant)["status"]["capacity"]["storage"] == "2Gi"


def test_quota_and_class_are_looked_at_before_anything_is_asked(make_tenant, kube, claim_of):
    tenant = make_tenant()
    tenant.wait_settled("active")
    kube.apply(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "house", "namespace": tenant.namespace},
            "spec": {"hard": {"requests.storage": "6Gi"}},
        }
    )
    end = time.monotonic() + PATIENCE
    while not kube.get("ResourceQuota", "house", tenant.namespace).get("status", {}).get("used"):
        assert time.monotonic() < end
        time.sleep(0.2)
    tenant.act("resize_volume", size="8Gi")
    failed = tenant.wait(lambda values: values["error_code"] == "quota_exceeded")
    assert "room for 1Gi more, and 3Gi are needed" in failed["error_message"]
    assert claim_of(tenant)["spec"]["resources"]["requests"]["storage"] == "5Gi"
    assert tenant.get("/web/login").status_code == 200
    kube.delete("ResourceQuota", "house", tenant.namespace)
    tenant.act("action_retry")
    tenant.wait(lambda values: step(tenant)["state"] == "done" and not values["working"])
    assert claim_of(tenant)["status"]["capacity"]["storage"] == "8Gi"


def test_growth_that_the_storage_cannot_do_is_told_and_taken_back(make_tenant, claim_of):
    tenant = make_tenant()
    tenant.wait_settled("active")
    tenant.act("resize_volume", size="7Ei")
    failed = tenant.wait(lambda values: values["error_code"] in ("expansion_fails", "expansion_infeasible"))
    assert "the volume has 5Gi still" in failed["error_message"] or "stays at 5Gi" in failed["error_message"]
    assert tenant.get("/web/login").status_code == 200
    look(tenant, lambda values: values["volume_growth"] in ("failing", "infeasible"))
    with pytest.raises(Refused, match="a volume only grows"):
        tenant.act("resize_volume", size="5Gi")
    tenant.act("resize_volume", size="6Gi")
    tenant.wait(lambda values: step(tenant)["state"] == "done" and not values["working"])
    assert claim_of(tenant)["status"]["capacity"]["storage"] == "6Gi"

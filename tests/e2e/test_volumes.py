"""The volume of a tenant on the running stack: measured by the kubelet, grown while it serves, never made smaller."""

import os
import re
import secrets
import time

import pytest
import test_files
import test_restore
from addons.loomworks_tenant.kube import names, quantity
from conftest import PATIENCE, Refused
from harness.cluster import kubectl

GI = 1024**3
FILLER = "/var/lib/odoo/filler"

taken, snapshot_of, settled = test_files.taken, test_restore.snapshot_of, test_restore.settled  # fixtures
finished, row_of = test_files.finished, test_files.row_of  # more of them


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


@pytest.fixture
def placed(kube, small, call, make_tenant):
    """Make a tenant of small volumes of a class of its own, the cluster's but for some changes; return both."""
    number, code = small
    (default,) = [one for one in kube.list("StorageClass") if "annotations" in one["metadata"]]
    kind = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": f"e2e-{code}"}}

    def make(**changes):
        same = {name: default[name] for name in ("provisioner", "reclaimPolicy", "volumeBindingMode")}
        kube.apply({**kind, **same, **changes})
        call("loomworks.plan", "write", ids=[number], vals={"storage_class": f"e2e-{code}"})
        return make_tenant(plan=code), {**kind, **same}

    yield make
    call("loomworks.plan", "write", ids=[number], vals={"storage_class": False})
    kube.delete("StorageClass", f"e2e-{code}")


FIELDS = ("volume_size", "volume_phase", "volume_capacity", "volume_used", "volume_read_at", "volume_used_percent")
FIELDS += ("volume_inodes", "volume_warning", "volume_growth", "volume_growth_message", "volume_phase_reason")


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
    used, there = map(int, values["volume_inodes"].split(" / "))
    assert 0 < used < there


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
    make_tenant, small, claim_of, in_pod, call, customer, mails
):
    number, code = small
    tenant = make_tenant(plan=code, admin_ids=[[6, 0, [customer[0]]]])
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
    look(tenant, lambda values: values["volume_warning"] == "90")
    told = mails(tenant)
    for _again in range(2):
        before = tenant.read("volume_read_at")["volume_read_at"]
        look(tenant, lambda values, before=before: values["volume_read_at"] > before)
    assert mails(tenant) == told, "each level is told once"
    assert len(told) >= 2
    percents = [re.fullmatch(r".*: the volume is (\d+) % full", subject)[1] for subject in told]
    assert min(map(int, percents)) >= 80
    assert int(percents[-1]) >= 90
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
    failed = tenant.wait(lambda values: values["error_code"] == "expansion_infeasible")
    assert "the volume stays at 5Gi, the storage cannot make it 7Ei: " in failed["error_message"]
    assert "Resize it to less" in failed["error_message"]
    assert tenant.get("/web/login").status_code == 200
    assert look(tenant, lambda values: values["volume_growth"] == "infeasible")["volume_growth_message"]
    with pytest.raises(Refused, match="a volume only grows"):
        tenant.act("resize_volume", size="5Gi")
    tenant.act("resize_volume", size="6Gi")
    tenant.wait(lambda values: step(tenant)["state"] == "done" and not values["working"])
    assert claim_of(tenant)["status"]["capacity"]["storage"] == "6Gi"
    grown = look(tenant, lambda values: values["volume_growth"] == "none")
    assert (grown["volume_capacity"], tenant.read("error_code")["error_code"]) == ("6Gi", False)


def test_class_that_cannot_grow_refuses_with_the_reason_until_it_can(placed, kube, claim_of):
    tenant, kind = placed(allowVolumeExpansion=False)
    tenant.wait_settled("active")
    tenant.act("resize_volume", size="2Gi")
    failed = tenant.wait(lambda values: values["error_code"] == "expansion_not_allowed")
    assert f"volumes of the storage class “{kind['metadata']['name']}” cannot grow" in failed["error_message"]
    assert claim_of(tenant)["spec"]["resources"]["requests"]["storage"] == "1Gi"
    assert tenant.get("/web/login").status_code == 200
    kube.apply({**kind, "allowVolumeExpansion": True})
    tenant.act("action_retry")
    tenant.wait(lambda values: step(tenant)["state"] == "done" and not values["working"])
    assert claim_of(tenant)["status"]["capacity"]["storage"] == "2Gi"


def test_claim_without_a_volume_says_why_before_and_after_it_had_one(placed, kube, claim_of, stack):
    tenant, kind = placed(provisioner="kubernetes.io/no-provisioner")
    pending = look(
        tenant, lambda values: values["volume_phase"] == "Pending" and "plugin" in (values["volume_phase_reason"] or "")
    )
    assert "no volume plugin matched name: kubernetes.io/no-provisioner" in pending["volume_phase_reason"]
    assert pending["volume_capacity"] == "unknown"
    test_restore.wait_for(
        lambda: "no volume yet: " in (tenant.steps()["volume"]["message"] or ""), otherwise=tenant.steps
    )

    name = f"made-by-hand-{secrets.token_hex(4)}"
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/nowhere/at/all"}}
    spec |= {"storageClassName": kind["metadata"]["name"], "persistentVolumeReclaimPolicy": "Retain"}
    spec["claimRef"] = {"namespace": tenant.namespace, "name": names.volume_claim(tenant.uuid)}
    kube.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec})
    bound = look(tenant, lambda values: values["volume_phase"] == "Bound")
    assert (bound["volume_capacity"], bound["volume_phase_reason"]) == ("1Gi", False)

    kubectl(stack, "delete", "pv", name, "--wait=false")
    kubectl(stack, "patch", "pv", name, "--type=merge", "--patch", '{"metadata": {"finalizers": null}}')
    lost = look(tenant, lambda values: values["volume_phase"] == "Lost")
    assert lost["volume_phase_reason"].startswith("its volume is gone: ")
    assert "lost its PersistentVolume" in lost["volume_phase_reason"]
    assert claim_of(tenant)["status"]["phase"] == "Lost"


@pytest.fixture
def one_pod(small, call, make_tenant):
    """Make a tenant whose volume is for one pod only, at a path of its own."""
    number, code = small
    before = call("loomworks.plan", "read", ids=[number], fields=["access_mode", "mount_path", "volume_size"])[0]
    asked = {"access_mode": "ReadWriteOncePod", "mount_path": "/srv/files", "volume_size": "1G"}
    call("loomworks.plan", "write", ids=[number], vals=asked)
    tenant = make_tenant(plan=code)
    tenant.wait_settled("active")
    yield tenant
    del before["id"]
    call("loomworks.plan", "write", ids=[number], vals=before)


def test_volume_of_one_pod_at_a_path_of_its_own_is_backed_up_and_restored(
    one_pod, call, claim_of, administrator, in_pod, finished, taken
):
    snapshot_of, settled = taken
    assert claim_of(one_pod)["spec"]["accessModes"] == ["ReadWriteOncePod"]
    work, content = administrator(one_pod), os.urandom(300_000)
    number, name = test_files.attach(work, content)
    path = f"/srv/files/filestore/{one_pod.database}/{name}"
    assert in_pod(one_pod, "sha1sum", path).split()[0] == name.split("/")[1]
    snapshot = snapshot_of(one_pod)
    (backup,) = one_pod.act("action_back_up_files")
    assert finished(backup, "failed")["error_code"] == "files_volume_held"

    one_pod.act("action_suspend", reason="so that its files are backed up")
    one_pod.wait_settled("suspended")
    time.sleep(4)  # a backup that begins within moments of a snapshot is not trusted to have its files
    finished(one_pod.act("action_back_up_files")[0])
    test_files.wait_whole(one_pod, snapshot)
    one_pod.act("action_resume")
    one_pod.wait_settled("active")
    in_pod(one_pod, "rm", path)
    assert test_files.content_of(work, number) == b""

    with test_restore.watched(one_pod) as seen:
        restored = settled(call("loomworks.snapshot", "action_restore", ids=[snapshot]))
    assert test_files.content_of(work, number) == content  # fetched by a Job that had the volume meanwhile
    assert restored["report"]
    for status, retry_after, page in seen.held:
        assert (status, retry_after is not None, "Its data is not affected" in page) == (503, True, True)
    print(f"{len(seen.held)} pages said so, the longest gap was {max(seen.gaps):.0f} s")

    call("loomworks.restore", "action_go_back", ids=[restored["id"]])
    settled(restored["id"], "gone_back")
    assert one_pod.get("/web/login").status_code == 200
    assert test_files.content_of(work, number) == content  # the volume has it again, and links cost nothing


@pytest.fixture
def lose(stack, claim_of):
    """Delete a tenant's claim, and the pods that keep it from going, by mistake; wait until Loomworks misses it."""

    def delete(tenant):
        kubectl(stack, "-n", tenant.namespace, "delete", "pvc", names.volume_claim(tenant.uuid), "--wait=false")
        kubectl(stack, "-n", tenant.namespace, "delete", "pods", "--all", "--wait=false", "--grace-period=1")
        test_restore.wait_for(lambda: claim_of(tenant) is None)
        tenant.act("action_retry")
        lost = tenant.wait(lambda values: values["error_code"] == "volume_lost")
        assert "no empty one is made in its place" in lost["error_message"]
        assert claim_of(tenant) is None

    return delete


def test_kept_volume_is_claimed_again_with_its_data_and_named_at_the_end(placed, stack, kube, claim_of, in_pod, lose):
    """As docs/operations/volumes.md says it."""
    tenant, _kind = placed(reclaimPolicy="Retain")
    tenant.wait_settled("active")
    in_pod(tenant, "sh", "-c", "echo still here > /var/lib/odoo/kept.txt")
    claim = claim_of(tenant)
    volume = claim["spec"]["volumeName"]
    lose(tenant)

    kubectl(stack, "patch", "pv", volume, "--type=merge", "--patch", '{"spec": {"claimRef": null}}')
    asked = {name: claim["spec"][name] for name in ("accessModes", "resources", "storageClassName", "volumeName")}
    meta = {"name": names.volume_claim(tenant.uuid), "namespace": tenant.namespace}
    kube.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": asked})
    tenant.act("action_retry")
    tenant.wait_settled("active")
    assert tenant.get("/web/login").status_code == 200
    assert in_pod(tenant, "cat", "/var/lib/odoo/kept.txt").strip() == "still here"

    tenant.act("action_archive", reason="the test is over")
    tenant.act("action_erase", confirm_name=tenant.read("name")["name"], reason="the test is over")
    tenant.wait(lambda values: values["erased_at"])
    try:
        assert kube.get("PersistentVolume", volume)["status"]["phase"] == "Released"
        domain = [["res_model", "=", "loomworks.tenant"], ["res_id", "=", tenant.id]]
        told = tenant.call("mail.activity", "search_read", domain=domain, fields=["summary", "note"])
        assert [one for one in told if volume in f"{one['summary']} {one['note']}"], told
    finally:
        kubectl(stack, "delete", "pv", volume, "--wait=false")

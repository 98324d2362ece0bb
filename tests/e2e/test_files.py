"""A tenant's files on the running stack: backed up to S3, lost, and back with a restore, byte for byte."""

import base64
import hashlib
import json
import os
import threading
import time

import boto3
import pytest
import test_restore
from botocore.exceptions import ClientError
from conftest import Refused
from harness.cluster import control_sql, kubectl
from stack import s3
from stack.settings import BRIDGE_ADDRESS, S3_PORT
from test_bad_luck import own_cluster  # noqa: F401 (a fixture)
from test_killed_control_plane import kill, wait_back

BACKUP, SNAPSHOT = "loomworks.files.backup", "loomworks.snapshot"


snapshot_of, settled = test_restore.snapshot_of, test_restore.settled  # fixtures


@pytest.fixture
def taken(snapshot_of, settled):
    """Take a snapshot, and wait for the end of a restore."""
    return snapshot_of, settled


@pytest.fixture
def tenant(make_tenant):
    made = make_tenant()
    made.wait_settled("active")
    return made


@pytest.fixture
def row_of(call):
    """Read a backup."""
    return lambda number: call(BACKUP, "read", ids=[number])[0]


@pytest.fixture
def finished(row_of):
    """Wait until a backup has come to its end; return the row."""

    def wait(number, state="done"):
        def ended():
            row = row_of(number)
            assert row["state"] in ("waiting", "running", state), row
            return row["state"] == state and row

        return test_restore.wait_for(ended, otherwise=lambda: row_of(number))

    return wait


def attach(work, content):
    """Make an attachment; return its id and the file's name on the volume."""
    values = {"name": "kept.bin", "datas": base64.b64encode(content).decode()}
    number = work("ir.attachment", "create", [values])[0]
    digest = hashlib.sha1(content).hexdigest()
    return number, f"{digest[:2]}/{digest}"


def wait_whole(tenant, snapshot):
    """Wait until the files of a snapshot are in S3; nobody else asks for that."""

    def state():
        return tenant.call(SNAPSHOT, "read", ids=[snapshot], fields=["files_state"])[0]["files_state"]

    test_restore.wait_for(lambda: state() == "whole", otherwise=state)


def newest_backup(tenant):
    domain = [["tenant_id", "=", tenant.id], ["state", "=", "done"]]
    return tenant.call(BACKUP, "search_read", domain=domain, limit=1)[0]


def node_of(kube, tenant):
    (deployment,) = kube.list("Deployment", tenant.namespace)
    pods = kube.list("Pod", tenant.namespace)
    labels = deployment["spec"]["selector"]["matchLabels"].items()
    return next(one["spec"]["nodeName"] for one in pods if labels <= one["metadata"]["labels"].items())


def content_of(work, number):
    return base64.b64decode(work("ir.attachment", "read", [number], ["datas"])[0]["datas"] or b"")


def test_lost_file_comes_back_with_a_restore(tenant, call, kube, administrator, in_pod, finished, taken):
    snapshot_of, settled = taken
    work = administrator(tenant)
    content = os.urandom(3_000_000)
    number, name = attach(work, content)
    snapshot = snapshot_of(tenant)
    fields = ["files_state", "files_text", "filestore_manifest"]

    wait_whole(tenant, snapshot)
    row = newest_backup(tenant)
    assert row["files"] >= 1
    assert row["bytes"] >= len(content)
    assert not row["damaged"]
    found = call(SNAPSHOT, "read", ids=[snapshot], fields=fields)[0]
    assert (found["files_state"], found["filestore_manifest"]) == ("whole", row["manifest"])
    for kind in ("Job", "Secret", "NetworkPolicy"):
        test_restore.wait_for(
            lambda kind=kind: (
                not [one for one in kube.list(kind, tenant.namespace) if one["metadata"]["name"].startswith("files-")]
            )
        )

    in_pod(tenant, "rm", f"/var/lib/odoo/filestore/{tenant.database}/{name}")
    assert content_of(work, number) == b""
    before = time.monotonic()
    restored = settled(call(SNAPSHOT, "action_restore", ids=[snapshot]))
    assert content_of(work, number) == content
    domain = [["tenant_id", "=", tenant.id], ["code", "=", "files"]]
    (step,) = call("loomworks.tenant.step", "search_read", domain=domain, fields=["message", "seconds"])
    assert step["message"].endswith("from S3")
    print(f"restored and changed to in {time.monotonic() - before:.1f} s; of them {step['seconds']:.1f} s for files")
    print(f"backup: {row['began_at']} to {row['finished_at']}, of them {row['report']['seconds']} s at work")

    again = finished(tenant.act("action_back_up_files")[0])
    assert (again["database"], again["new_files"]) == (restored["new_database"], 0)


def test_small_files_are_packed_and_come_back_with_a_restore(
    tenant, call, bucket, administrator, in_pod, finished, taken
):
    snapshot_of, settled = taken
    work = administrator(tenant)
    contents = [f"{tenant.uuid} {number}".encode() * 50 for number in range(100)]
    values = [{"name": "small.bin", "datas": base64.b64encode(one).decode()} for one in contents]
    numbers = work("ir.attachment", "create", values)
    snapshot = snapshot_of(tenant)
    wait_whole(tenant, snapshot)
    row = newest_backup(tenant)
    packs = [one.key for one in bucket.objects.filter(Prefix=f"filestores/{tenant.uuid}/packs/")]
    assert len(packs) == row["report"]["packs"] > 0
    assert row["new_files"] >= len(contents)

    digests = [hashlib.sha1(one).hexdigest() for one in contents]
    root = f"/var/lib/odoo/filestore/{tenant.database}"
    in_pod(tenant, "rm", *(f"{root}/{digest[:2]}/{digest}" for digest in digests))
    settled(call(SNAPSHOT, "action_restore", ids=[snapshot]))
    found = {one["id"]: base64.b64decode(one["datas"]) for one in work("ir.attachment", "read", numbers, ["datas"])}
    assert [found[number] for number in numbers] == contents
    assert finished(tenant.act("action_back_up_files")[0])["new_files"] == 0


def test_backup_whose_pod_is_killed_is_done_all_the_same(tenant, kube, stack, administrator, finished, row_of):
    work = administrator(tenant)
    for _file in range(20):
        attach(work, os.urandom(3_000_000))
    (number,) = tenant.act("action_back_up_files")
    selector = f"job-name=files-backup-{number}"
    test_restore.wait_for(lambda: list(kube.list("Pod", tenant.namespace, label_selector=selector)))
    test_restore.wait_for(lambda: row_of(number)["stage"] == "files")
    kubectl(stack, "-n", tenant.namespace, "delete", "pod", "--grace-period=0", "--force", "-l", selector)
    row = finished(number)
    assert row["attempts"] == 1
    assert row["files"] >= 20
    assert not row["damaged"]


@pytest.mark.alone
def test_backup_goes_on_when_the_control_plane_is_killed(tenant, call, kube, stack, administrator, finished, row_of):
    attach(administrator(tenant), os.urandom(2_000_000))
    (number,) = tenant.act("action_back_up_files")
    test_restore.wait_for(lambda: row_of(number)["state"] == "running")
    kill(kube, stack)
    wait_back(stack)
    assert finished(number)["files"] >= 1


@pytest.fixture
def files_cluster(call, own_cluster):  # noqa: F811
    """A cluster that a test may spoil, with the place of files of the first one: its id, and the place's endpoint."""
    place = ("endpoint", "bucket", "region", "ca_file", "key_reference", "key_secret_reference")
    fields = [f"files_{name}" for name in place]
    (same, *_) = call("loomworks.cluster", "search_read", domain=[], fields=fields, order="sequence, id", limit=1)
    call("loomworks.cluster", "write", ids=[own_cluster["id"]], vals={name: same[name] for name in fields})
    return own_cluster["id"], same["files_endpoint"]


def test_store_that_does_not_answer_is_said_and_the_backup_is_made_when_it_does(
    make_tenant, files_cluster, call, bucket, finished, row_of
):
    cluster, endpoint = files_cluster
    tenant = make_tenant(cluster_id=cluster)
    tenant.wait_settled("active")
    call("loomworks.cluster", "write", ids=[cluster], vals={"files_endpoint": f"{BRIDGE_ADDRESS}:1"})
    (number,) = tenant.act("action_back_up_files")
    test_restore.wait_for(
        lambda: row_of(number)["error_code"] == "filestore_unreachable", otherwise=lambda: row_of(number)
    )
    row = row_of(number)
    assert row["state"] in ("waiting", "running")
    assert f"{BRIDGE_ADDRESS}:1" in row["error_message"]
    assert not list(bucket.objects.filter(Prefix=f"filestores/{tenant.uuid}/"))
    call("loomworks.cluster", "write", ids=[cluster], vals={"files_endpoint": endpoint})
    row = finished(number)
    assert (row["error_code"], row["damaged"], row["lost"]) == (False, 0, 0)


def test_store_that_refuses_is_said_and_the_next_backup_is_made(
    make_tenant, files_cluster, call, bucket, finished, row_of
):
    cluster, _endpoint = files_cluster
    tenant = make_tenant(cluster_id=cluster)
    tenant.wait_settled("active")
    call("loomworks.cluster", "write", ids=[cluster], vals={"files_bucket": s3.BUCKET})  # not for this account
    row = finished(tenant.act("action_back_up_files")[0], "failed")
    assert (row["error_code"], s3.BUCKET in row["error_message"]) == ("filestore_denied", True)
    domain = [["res_model", "=", "loomworks.tenant"], ["res_id", "=", tenant.id]]
    told = call("mail.activity", "search_read", domain=domain, fields=["note"])
    assert any("refuses" in one["note"] for one in told)
    call("loomworks.cluster", "write", ids=[cluster], vals={"files_bucket": s3.FILES_BUCKET})
    finished(tenant.act("action_back_up_files")[0])
    assert not call("mail.activity", "search_read", domain=domain, fields=["note"])


def test_file_that_rots_on_the_volume_is_told_and_comes_back(tenant, administrator, in_pod, finished, taken):
    snapshot_of, settled = taken
    work, content = administrator(tenant), os.urandom(200_000)
    number, name = attach(work, content)
    finished(tenant.act("action_back_up_files")[0])
    place = f"/var/lib/odoo/filestore/{tenant.database}/{name}"
    rot = f"printf x | dd of={place} bs=1 seek=1000 conv=notrunc && touch -d '2 hours ago' {place}"
    in_pod(tenant, "sh", "-c", rot)
    snapshot = snapshot_of(tenant)
    wait_whole(tenant, snapshot)
    row = newest_backup(tenant)  # the first one to read every file
    assert (row["audit"], row["mendable"], row["damaged"], row["new_files"]) == (True, 1, 0, 0)
    assert content_of(work, number) != content
    settled(tenant.call(SNAPSHOT, "action_restore", ids=[snapshot]))
    assert content_of(work, number) == content


def test_key_survives_the_namespace_and_goes_with_the_tenant(make_tenant, kube, finished):
    tenant = make_tenant()
    tenant.wait_settled("active")
    finished(tenant.act("action_back_up_files")[0])
    name = f"files-{tenant.uuid}"
    key = kube.get("Secret", name, "lw-keys")["data"]["key"]
    assert len(base64.b64decode(key)) == 64
    tenant.act("action_archive")
    tenant.wait_settled("archived")
    assert kube.get("Secret", name, "lw-keys")["data"]["key"] == key
    tenant.act("action_erase", confirm_name=tenant.read("name")["name"], reason="the test is over")
    tenant.wait(lambda values: values["erased_at"])
    assert kube.get("Secret", name, "lw-keys") is None


def test_nothing_secret_is_told(tenant, call, kube, finished, secret):
    seen, over = [], threading.Event()

    def watch():
        while not over.is_set():
            seen.extend(kube.list("Job", tenant.namespace))
            time.sleep(0.1)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        row = finished(tenant.act("action_back_up_files")[0])
    finally:
        over.set()
        thread.join()
    told = json.dumps([row, seen])
    assert seen
    pod = seen[-1]["spec"]["template"]["spec"]
    (volume,) = [one["name"] for one in pod["volumes"] if "persistentVolumeClaim" in one]
    (mount,) = [one for one in pod["containers"][0]["volumeMounts"] if one["name"] == volume]
    assert mount["readOnly"]
    (term,) = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term["matchFields"][0]["values"] == [node_of(kube, tenant)]
    for where, name, key in (("lw-keys", f"files-{tenant.uuid}", "key"), ("loomworks", "filestore-s3", "key-secret")):
        assert secret(where, name, key) not in told


def test_files_of_others_are_not_backed_up_by_strangers(call, acme):
    with pytest.raises(Refused):
        call("loomworks.tenant", "write", ids=[acme.id], vals={"files_manifest": "of another"})


@pytest.fixture
def run_cron(call):
    """Have a cron of loomworks_storage do its work now."""

    def run(name):
        domain = [["module", "=", "loomworks_storage"], ["name", "=", name]]
        (found,) = call("ir.model.data", "search_read", domain=domain, fields=["res_id"])
        call("ir.cron", "method_direct_trigger", ids=[found["res_id"]])

    return run


@pytest.fixture
def bucket(secret, tmp_path):
    """The bucket of the files, as its account reaches it from this machine."""
    (tmp_path / "ca.crt").write_text(secret("loomworks", "filestore-s3", "ca.crt"))
    session = boto3.session.Session(
        aws_access_key_id=secret("loomworks", "filestore-s3", "key"),
        aws_secret_access_key=secret("loomworks", "filestore-s3", "key-secret"),
        region_name=s3.REGION,
    )
    endpoint = f"https://{BRIDGE_ADDRESS}:{S3_PORT}"
    return session.resource("s3", endpoint_url=endpoint, verify=str(tmp_path / "ca.crt")).Bucket(s3.FILES_BUCKET)


def test_lost_object_is_found_and_written_again(tenant, call, run_cron, bucket, administrator, finished, row_of):
    _number, name = attach(administrator(tenant), os.urandom(500_000))
    first = finished(tenant.act("action_back_up_files")[0])["id"]
    run_cron("cron_check_files")
    assert (row_of(first)["lost"], bool(row_of(first)["checked_at"])) == (0, True)
    bucket.Object(f"filestores/{tenant.uuid}/objects/{name}").delete()
    call("loomworks.files.backup", "action_check", ids=[first])
    assert row_of(first)["lost"] == 1
    second = finished(tenant.act("action_back_up_files")[0])
    assert second["new_files"] == 1
    call("loomworks.files.backup", "action_check", ids=[first, second["id"]])
    assert (row_of(first)["lost"], row_of(second["id"])["lost"]) == (0, 0)


def test_account_of_the_files_reaches_its_own_bucket_only(bucket):
    assert list(bucket.objects.limit(1)) is not None
    other = bucket.meta.client
    with pytest.raises(ClientError):
        other.list_objects_v2(Bucket=s3.BUCKET)
    with pytest.raises(ClientError):
        other.put_object(Bucket=s3.BUCKET, Key="x", Body=b"x")


@pytest.fixture
def long_ago(stack):
    """Have a backup have begun long ago."""

    def make(number):
        query = f"UPDATE loomworks_files_backup SET began_at = began_at - interval '400 days' WHERE id = {int(number)}"
        control_sql(stack, query)

    return make


def test_objects_go_that_only_a_backup_of_long_ago_has(
    tenant, run_cron, bucket, administrator, in_pod, finished, long_ago
):
    work = administrator(tenant)
    (kept, kept_name), (_gone, gone_name) = (attach(work, os.urandom(2_000_000)) for _file in range(2))
    first = finished(tenant.act("action_back_up_files")[0])["id"]
    in_pod(tenant, "rm", f"/var/lib/odoo/filestore/{tenant.database}/{gone_name}")
    second = finished(tenant.act("action_back_up_files")[0])["id"]
    prefix = f"filestores/{tenant.uuid}/objects/"

    def objects():
        return {one.key.removeprefix(prefix) for one in bucket.objects.filter(Prefix=prefix)}

    assert {kept_name, gone_name} <= objects()
    long_ago(first)
    run_cron("cron_collect_files")
    rows = tenant.call(BACKUP, "read", ids=[first, second], fields=["state", "removed"])
    assert [(one["state"], one["removed"]) for one in rows] == [("expired", True), ("done", False)]
    assert kept_name in objects()
    assert gone_name not in objects()
    run_cron("cron_check_files")
    assert tenant.call(BACKUP, "read", ids=[second], fields=["lost"])[0]["lost"] == 0
    assert len(content_of(work, kept)) == 2_000_000


def test_objects_of_an_erased_tenant_are_removed(make_tenant, run_cron, bucket, finished):
    tenant = make_tenant()
    tenant.wait_settled("active")
    finished(tenant.act("action_back_up_files")[0])
    mine = bucket.objects.filter(Prefix=f"filestores/{tenant.uuid}/")
    assert list(mine)
    tenant.act("action_archive")
    tenant.wait_settled("archived")
    tenant.act("action_erase", confirm_name=tenant.read("name")["name"], reason="the test is over")
    tenant.wait(lambda values: values["erased_at"])
    run_cron("cron_collect_files")
    assert not list(mine)

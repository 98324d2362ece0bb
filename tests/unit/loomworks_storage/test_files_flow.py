"""What the control plane makes of a Job on a tenant's files, and of its key."""

import base64
import json
from dataclasses import replace

import pytest
from addons.loomworks_storage.files import flow, job, keys
from addons.loomworks_storage.files.errors import (
    FilesJobBrokeOff,
    FilesJobFailed,
    FilesLost,
    FilesStoreAway,
    KeyMissing,
    PlaceUnset,
    VolumeHeld,
)
from addons.loomworks_storage.files.place import Place
from addons.loomworks_storage.files.spec import FilesSpec, FilesWork, folder
from addons.loomworks_storage.filestore.key import Key
from addons.loomworks_storage.filestore.location import Location
from addons.loomworks_storage.filestore.request import Command, Request
from addons.loomworks_storage.reconciler.files import Files, FilesKey, give_up
from addons.loomworks_tenant.errors import Conflict
from addons.loomworks_tenant.kube import names
from addons.loomworks_tenant.reconciler.spec import Goal, VolumeSpec
from addons.loomworks_tenant.reconciler.step import Boundaries, Done, Waiting
from factories import UUID, cluster_spec, tenant_spec

KEY = Key.generate()
SECRETS = ("the account", "its secret", KEY.text)
PLACE = Place("https://s3.example:9000", "bucket", "region", "env:FILES_KEY", "env:FILES_SECRET")
OTHER = "9d0e8a52-6f0e-4b0e-9d0e-2f6f1c7a9b11"
LOST = "ab" * 20


@pytest.fixture(autouse=True)
def account(monkeypatch):
    monkeypatch.setenv("FILES_KEY", SECRETS[0])
    monkeypatch.setenv("FILES_SECRET", SECRETS[1])


def backup(**changes):
    tenant = tenant_spec(**changes)
    request = Request(Command.BACKUP, UUID, "first", folder=folder(tenant, tenant.database), database=tenant.database)
    return FilesWork("files-backup-7", tenant, PLACE, request)


class Cluster:
    """A cluster with the objects that were applied; Jobs are as they are told to be."""

    def __init__(self, condition="", message="", log="", pods=()):
        self.condition, self.message, self.log = condition, message, log
        self.odoo_pods, self.objects, self.deleted = list(pods), {}, []
        self.pod_phase, self.pod_conditions, self.claim = "Running", [], {"status": {"phase": "Bound"}}

    def get(self, kind, name, namespace=None):
        if name == names.DATABASE_SECRET:
            return {"data": {"password": base64.b64encode(b"its own")}}
        if kind == "PersistentVolumeClaim":
            return self.claim
        return self.objects.get((kind, namespace, name))

    def apply(self, manifest):
        meta = manifest["metadata"]
        found = {**manifest, "metadata": {**meta, "uid": "1"}}
        if "stringData" in manifest:
            found["data"] = {key: base64.b64encode(text.encode()) for key, text in manifest["stringData"].items()}
        if manifest["kind"] == "Job":
            conditions = [{"type": self.condition, "status": "True"}] if self.condition else []
            found["status"] = {"conditions": conditions}
        self.objects[manifest["kind"], meta.get("namespace"), meta["name"]] = found
        return found

    def create(self, manifest):
        meta = manifest["metadata"]
        if (manifest["kind"], meta.get("namespace"), meta["name"]) in self.objects:
            raise Conflict("there")
        return self.apply(manifest)

    def merge(self, kind, name, namespace, change):
        self.objects[kind, namespace, name]["spec"].update(change["spec"])

    def list(self, kind, namespace=None, label_selector=""):
        if "job-name" not in label_selector:
            return self.odoo_pods
        state = {"terminated": {"message": self.message}} if self.message else {"running": {}}
        status = {"name": "files", "state": state, "restartCount": 0}
        meta = {"name": "pod", "namespace": namespace, "ownerReferences": [{"uid": "1"}]}
        phase = {"phase": self.pod_phase, "conditions": self.pod_conditions}
        return [{"metadata": meta, "status": {**phase, "containerStatuses": [status]}}]

    def pod_log(self, *args):
        return self.log

    def delete(self, kind, name, namespace, *, uid=""):
        self.deleted.append(kind)
        return self.objects.pop((kind, namespace, name), None) is not None


class Server:
    """A database server whose databases need one file."""

    def connect(self, database, owner):
        assert owner.password == "its own"
        return self

    def __enter__(self):
        self._rows = [[{"store_fname": f"{LOST[:2]}/{LOST}", "file_size": 3}], []]
        return self

    def __exit__(self, *error):
        return None

    def execute(self, query):
        pass

    def fetchmany(self, count):
        return self._rows.pop(0)


def odoo_pod(node, phase="Running"):
    return {"metadata": {"name": "odoo"}, "spec": {"nodeName": node}, "status": {"phase": phase}}


def world(cluster):
    return Boundaries(cluster, Server(), None)


def advance(cluster, work=None, looks=2):
    for _look in range(looks):
        found = flow.advance(work or backup(), KEY, world(cluster))
    return found


# --- the Job ------------------------------------------------------------------------------------------


def test_progress_is_the_newest_line():
    found = advance(Cluster(log=json.dumps({"stage": "files", "share": 0.4}) + "\nhalf a li"))
    assert (found.stage, found.share, found.done) == ("files", 0.4, False)


@pytest.mark.parametrize("condition", ["Complete", "Failed"])  # damaged files: exit code 2
def test_report_counts_whatever_the_exit_code(condition):
    report = {"files": 1, "whole": True}
    assert advance(Cluster(condition, json.dumps({"report": report}))).report == report


def test_lists_that_the_message_cuts_are_taken_from_the_log():
    short = json.dumps({"report": {"whole": False, "missing": ["a"], "missing_count": 2}})
    whole = {"whole": False, "missing": ["a", "b"]}
    assert advance(Cluster("Failed", short, json.dumps({"report": whole}))).report == whole
    assert advance(Cluster("Failed", short)).report["missing_count"] == 2


@pytest.mark.parametrize(("retryable", "kind"), [(True, FilesJobBrokeOff), (False, FilesJobFailed)])
def test_error_is_passed_on_and_the_secret_removed(retryable, kind):
    error = {"code": "wrong_key", "message": "another key", "hint": "do this", "retryable": retryable}
    cluster = Cluster("Failed", json.dumps({"error": error}))
    with pytest.raises(kind, match="another key"):
        advance(cluster)
    assert cluster.deleted == ["Secret", "Job", "NetworkPolicy"]


def test_store_that_is_away_is_told_by_its_own_code():
    error = {"code": "filestore_unreachable", "message": "no answer", "hint": "see to it", "retryable": True}
    cluster = Cluster("Failed", json.dumps({"error": error}))
    with pytest.raises(FilesStoreAway, match="no answer") as caught:
        advance(cluster)
    assert caught.value.code == "filestore_unreachable"
    assert cluster.deleted == ["Secret", "Job", "NetworkPolicy"]


def test_end_without_a_word_is_tried_again():
    with pytest.raises(FilesJobBrokeOff):
        advance(Cluster("Complete", "something else"))


def test_job_that_is_being_removed_is_waited_for():
    cluster = Cluster()
    advance(cluster, looks=1)
    for found in cluster.objects.values():
        found["metadata"]["deletionTimestamp"] = "now"
    assert "removed" in advance(cluster, looks=1).message


def test_job_runs_where_the_volume_is_in_use():
    cluster = Cluster(pods=[odoo_pod("old", "Failed"), odoo_pod("node-7")])
    advance(cluster, looks=1)
    assert "node-7" in json.dumps([one for (kind, *_), one in cluster.objects.items() if kind == "Job"])
    assert "affinity" not in job.job(backup(), "")["spec"]["template"]["spec"]


def test_volume_of_one_pod_is_not_taken_from_it():
    volume = VolumeSpec("claim", "5Gi", "", "ReadWriteOncePod", "/var/lib/odoo")
    for pods in ([odoo_pod("node")], []):  # its Odoo may be about to start
        with pytest.raises(VolumeHeld):
            advance(Cluster(pods=pods), backup(volume=volume))
    with pytest.raises(VolumeHeld):
        advance(Cluster(pods=[odoo_pod("node")]), backup(volume=volume, goal=Goal.SUSPENDED))  # still stopping
    advance(Cluster(), backup(volume=volume, goal=Goal.SUSPENDED))


def test_backup_of_a_volume_of_one_pod_gives_way_to_an_odoo_that_starts():
    volume = VolumeSpec("claim", "5Gi", "", "ReadWriteOncePod", "/var/lib/odoo")
    cluster = Cluster()
    advance(cluster, backup(volume=volume, goal=Goal.SUSPENDED))
    assert any(kind == "Job" for (kind, *_rest) in cluster.objects)
    with pytest.raises(VolumeHeld):
        advance(cluster, backup(volume=volume))
    assert not any(kind == "Job" for (kind, *_rest) in cluster.objects)


@pytest.mark.parametrize(
    ("claim", "gone"), [(None, "^the claim"), ({"status": {"phase": "Lost"}}, "^the volume of the claim")]
)
def test_backup_of_a_volume_that_is_gone_fails_at_once_and_leaves_nothing(claim, gone):
    """Its pod waited for the claim for hours, and so did a reset that was to bring the files back."""
    cluster = Cluster()
    cluster.claim = claim
    with pytest.raises(FilesJobFailed, match=f"{gone} odoo-instance-{UUID} is gone") as caught:
        advance(cluster, looks=1)
    assert caught.value.code == "volume_lost"
    assert not cluster.objects


def test_backup_whose_volume_goes_before_its_pod_is_placed_ends():
    cluster = Cluster()
    cluster.pod_phase = "Pending"
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no such claim"}
    cluster.pod_conditions = [condition]
    assert advance(cluster).code == "unschedulable"
    cluster.claim = None
    with pytest.raises(FilesJobFailed, match="is gone"):
        advance(cluster, looks=1)
    assert not cluster.objects


def test_backup_that_runs_is_not_ended_whatever_the_claim():
    cluster = Cluster(log=json.dumps({"stage": "files", "share": 0.4}))
    advance(cluster)
    cluster.claim = None
    assert advance(cluster, looks=1).stage == "files"


def test_job_is_not_started_where_the_place_has_been_cleared_meanwhile():
    cluster = Cluster()
    with pytest.raises(PlaceUnset, match="the cluster does not say where files are backed up to"):
        advance(cluster, replace(backup(), place=None), looks=1)
    assert not cluster.objects


def test_secrets_are_in_the_secret_only():
    work, location = backup(), Location(UUID, "s3", "bucket", "region", *SECRETS[:2])
    told = json.dumps([job.network_policy(work), job.job(work, "node")]) + repr(work) + repr(location) + repr(KEY)
    assert not [secret for secret in SECRETS if secret in told]
    assert all(secret in json.dumps(job.secret(work, location, KEY, "ca")) for secret in SECRETS)


def test_pod_reads_only_and_has_no_privilege():
    pod = job.job(backup(), "")["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert next(one for one in container["volumeMounts"] if one["name"] == "data")["readOnly"] is True


def test_job_talks_to_the_store_and_dns_only():
    ports = [rule["ports"] for rule in job.network_policy(backup())["spec"]["egress"]]
    assert [{one["port"] for one in some} for some in ports] == [{53}, {9000}]


def test_odoos_pods_and_the_jobs_are_told_apart():
    assert "loomworks.io/tenant" not in job.job(backup(), "")["spec"]["template"]["metadata"]["labels"]


# --- the key ------------------------------------------------------------------------------------------


def test_key_is_made_once():
    cluster = Cluster()
    first = keys.ensure(cluster, cluster_spec(), UUID)
    assert keys.ensure(cluster, cluster_spec(), UUID) == first == keys.read(cluster, UUID)
    assert keys.ensure(cluster, cluster_spec(), OTHER) != first


def test_worker_that_comes_second_takes_the_first_ones_key():
    cluster, made = Cluster(), []

    class Late(Cluster):
        def get(self, kind, name, namespace=None):
            found = super().get(kind, name, namespace)
            if kind == "Secret" and not made:
                made.append(keys.ensure(cluster, cluster_spec(), UUID))
            return found

    late = Late()
    late.objects = cluster.objects
    assert keys.ensure(late, cluster_spec(), UUID) == made[0]


def test_erased_key_is_gone():
    cluster = Cluster()
    with pytest.raises(KeyMissing):
        keys.read(cluster, UUID)
    keys.ensure(cluster, cluster_spec(), UUID)
    assert FilesKey().remove(tenant_spec(), world(cluster)) == Done("erased")
    with pytest.raises(KeyMissing):
        keys.read(cluster, UUID)
    assert FilesKey().remove(tenant_spec(), world(cluster)) == Done("")


# --- the step -----------------------------------------------------------------------------------------


def to_restore(**changes):
    files = FilesSpec(PLACE, OTHER, "first", **changes)
    return tenant_spec(files=files, previous_database="t_before")


def step(cluster, spec=None, looks=2):
    keys.ensure(cluster, cluster_spec(), OTHER)
    for _look in range(looks):
        answer = Files().ensure(spec or to_restore(), world(cluster))
    return answer


def report(**values):
    found = {"files": 5, "kept": 1, "linked": 2, "fetched": 2, "missing": [], "damaged": {}, "whole": False}
    return json.dumps({"report": {**found, **values}})


def test_files_of_another_tenant_are_restored_with_its_key():
    cluster = Cluster("Complete", report(whole=True))
    assert isinstance(step(cluster, looks=1), Waiting)
    (secret,) = [one for (kind, where, _), one in cluster.objects.items() if kind == "Secret" and UUID in where]
    assert secret["stringData"]["LOOMWORKS_FILESTORE_KEY"] == keys.read(cluster, OTHER).text
    (made,) = [one for (kind, *_), one in cluster.objects.items() if kind == "Job"]
    container = made["spec"]["template"]["spec"]["containers"][0]
    request = Request.from_json(container["env"][0]["value"])
    assert (request.tenant, request.manifest, request.living) == (OTHER, "first", "/var/lib/odoo/filestore/t_before")
    assert container["volumeMounts"][0]["readOnly"] is False
    assert step(cluster, looks=1) == Done("5: 3 there, 2 from S3")
    assert not [kind for kind, where, _ in cluster.objects if UUID in (where or "")]


def test_volume_of_one_pod_is_given_up_before_files_come_and_not_once_they_are_there():
    volume = VolumeSpec("claim", "5Gi", "", "ReadWriteOncePod", "/var/lib/odoo")
    cluster = Cluster("Complete", report(whole=True), pods=[odoo_pod("node")])
    meta = {"name": names.ODOO, "namespace": names.namespace(UUID)}
    cluster.apply({"kind": "Deployment", "metadata": meta, "spec": {"replicas": 1}})
    told = Waiting("the plan lets one pod have the volume: 1 pod(s) are stopping", 1.0)
    assert step(cluster, replace(to_restore(), volume=volume)) == told
    assert cluster.get("Deployment", names.ODOO, names.namespace(UUID))["spec"]["replicas"] == 0
    assert not [one for (kind, *_), one in cluster.objects.items() if kind == "Job"]
    cluster.odoo_pods = [odoo_pod("node", "Failed")]  # evicted once: nobody removes the record of it
    assert isinstance(step(cluster, replace(to_restore(), volume=volume)), Done)

    cluster.odoo_pods = [odoo_pod("node")]  # that of the workload's step, which follows
    cluster.merge("Deployment", names.ODOO, names.namespace(UUID), {"spec": {"replicas": 1}})
    assert isinstance(step(cluster, replace(to_restore(restored=True), volume=volume)), Done)
    assert cluster.get("Deployment", names.ODOO, names.namespace(UUID))["spec"]["replicas"] == 1


def test_odoo_is_not_stopped_for_files_that_cannot_come():
    volume = VolumeSpec("claim", "5Gi", "", "ReadWriteOncePod", "/var/lib/odoo")
    cluster = Cluster(pods=[odoo_pod("node")])
    cluster.apply(
        {
            "kind": "Deployment",
            "metadata": {"name": names.ODOO, "namespace": names.namespace(UUID)},
            "spec": {"replicas": 1},
        }
    )
    with pytest.raises(KeyMissing):
        Files().ensure(replace(to_restore(), volume=volume), world(cluster))
    assert cluster.get("Deployment", names.ODOO, names.namespace(UUID))["spec"]["replicas"] == 1


def test_files_that_are_given_up_leave_no_job():
    cluster = Cluster()
    step(cluster, looks=1)
    assert any(kind == "Job" for (kind, *_rest) in cluster.objects)
    give_up(to_restore(), world(cluster))
    assert not any(kind == "Job" for (kind, *_rest) in cluster.objects)
    give_up(replace(to_restore(), files=None), world(cluster))


def test_files_that_are_there_are_not_restored_again():
    cluster = Cluster()
    assert isinstance(step(cluster, to_restore(restored=True)), Done)
    assert Files().fingerprint(to_restore(restored=True)) == Files().fingerprint(to_restore())


def test_lost_file_counts_when_the_database_needs_it():
    with pytest.raises(FilesLost, match="1 file"):
        step(Cluster("Failed", report(missing=[LOST, "c" * 40])))
    assert isinstance(step(Cluster("Failed", report(missing=["c" * 40]))), Done)
    with pytest.raises(FilesLost, match="12 file"):
        step(Cluster("Failed", report(missing=["c" * 40], missing_count=12)))


def test_progress_of_the_step_is_told():
    assert step(Cluster(log=json.dumps({"stage": "files", "share": 0.25}))).message == "files, 25%"

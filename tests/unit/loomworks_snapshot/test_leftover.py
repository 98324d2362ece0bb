"""The folder of a database that is gone leaves the volume, and no other does."""

import subprocess
from dataclasses import replace

import pytest
from addons.loomworks_snapshot.restoring import leftover
from addons.loomworks_tenant.kube import names
from addons.loomworks_tenant.reconciler.spec import Goal
from addons.loomworks_tenant.reconciler.step import Boundaries
from factories import tenant_spec

SPEC = tenant_spec()
OLD, NEW = SPEC.role, f"{SPEC.role}_r12"
SERVED = replace(SPEC, database=NEW)


class Cluster:
    """Answers as the API server does, of one namespace; a Job ends as ``ends`` says."""

    def __init__(self, *nodes, claim=True):
        self.objects = (
            {("PersistentVolumeClaim", SPEC.volume.claim): {"kind": "PersistentVolumeClaim"}} if claim else {}
        )
        self.nodes = nodes
        self.pods = {}  # by the selector that finds them

    def get(self, kind, name, namespace):
        return self.objects.get((kind, name))

    def apply(self, manifest):
        self.objects[manifest["kind"], manifest["metadata"]["name"]] = {**manifest}

    def delete(self, kind, name, namespace):
        return self.objects.pop((kind, name), None) is not None

    def list(self, kind, namespace, label_selector=""):
        if kind == "Job":
            return iter([found for (of, _name), found in self.objects.items() if of == "Job"])
        pods = [{"spec": {"nodeName": node}} for node in self.nodes]
        return iter(pods if label_selector == names.selector(SPEC.uuid) else self.pods.get(label_selector, ()))

    def end(self, kind):
        self.job["status"] = {"conditions": [{"type": kind, "status": "True", "message": "out of luck"}]}

    @property
    def job(self):
        return self.objects.get(("Job", leftover.job_name(OLD)))


def remove(cluster, tenant=SERVED, database=OLD):
    return leftover.remove(tenant, database, Boundaries(cluster, None, None))


def run(volume, database):
    """Run the Job's command on another volume."""
    [container] = leftover.job(SERVED, database, "")["spec"]["template"]["spec"]["containers"]
    *shell, _filestore, folder = container["command"]
    subprocess.run([*shell, f"{volume}/filestore", folder], check=True)


def test_job_is_followed_to_its_end_and_taken_away():
    cluster = Cluster("node-1")
    assert not remove(cluster)
    assert "node-1" in str(cluster.job["spec"]["template"]["spec"]["affinity"])
    assert not remove(cluster)
    cluster.end("Complete")
    assert remove(cluster)
    assert cluster.job is None


def test_job_that_fails_is_taken_away_and_said():
    cluster = Cluster()
    remove(cluster)
    cluster.end("Failed")
    with pytest.raises(leftover.LeftoverStays, match="out of luck"):
        remove(cluster)
    assert cluster.job is None


def test_pods_of_the_database_are_waited_for():
    cluster = Cluster("node-1")
    cluster.pods[f"{names.selector(SPEC.uuid)},{names.DATABASE_LABEL}={OLD}"] = [{"metadata": {"name": "odoo"}}]
    with pytest.raises(leftover.LeftoverStays, match="have not ended"):
        remove(cluster)
    cluster.pods.clear()
    assert not remove(cluster)
    assert cluster.job


def test_job_that_brings_files_is_waited_for_and_its_word_is_not_left_behind():
    cluster, name = Cluster(), "files-restore-0123456789"
    for kind, other in (("Job", name), ("Secret", name), ("Job", "files-backup-7")):
        cluster.apply({"kind": kind, "metadata": {"name": other}})
    with pytest.raises(leftover.LeftoverStays, match="still being brought"):
        remove(cluster)
    cluster.objects["Job", name]["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
    assert not remove(cluster)
    kept = {key for key in cluster.objects if key[0] != "PersistentVolumeClaim"}
    assert kept == {("Job", "files-backup-7"), ("Job", leftover.job_name(OLD))}


def test_removal_is_withdrawn_with_its_pod_before_the_folder_is_filled_again():
    cluster = Cluster()
    remove(cluster)
    cluster.pods[f"job-name={leftover.job_name(OLD)}"] = [{"metadata": {"name": "pod"}}]
    assert not leftover.withdraw(SERVED, OLD, Boundaries(cluster, None, None))
    assert cluster.job is None
    cluster.pods.clear()
    assert leftover.withdraw(SERVED, OLD, Boundaries(cluster, None, None))


@pytest.mark.parametrize("tenant", [SERVED, replace(SERVED, volume=None)])
def test_nothing_is_left_where_the_volume_is_gone(tenant):
    assert remove(Cluster(claim=False), tenant)


def test_volume_that_one_pod_has_for_itself_is_left_alone_while_it_runs():
    alone = replace(SERVED, volume=replace(SERVED.volume, access_mode="ReadWriteOncePod"))
    for cluster in (Cluster("node-1"), Cluster()):  # its Odoo may be about to start
        with pytest.raises(leftover.LeftoverStays, match="one pod"):
            remove(cluster, alone)
    assert not remove(Cluster(), replace(alone, goal=Goal.SUSPENDED))


@pytest.mark.parametrize("database", [NEW, "t_other", "", "..", f"{OLD}_r1/..", f"{OLD}_rx"])
def test_folder_of_the_present_database_or_of_none_is_refused(database):
    cluster = Cluster()
    with pytest.raises(leftover.FolderInUse):
        remove(cluster, database=database)
    assert cluster.job is None


def test_other_folders_keep_their_files(tmp_path):
    for folder in (OLD, NEW):
        (tmp_path / "filestore" / folder / "ab").mkdir(parents=True)
    shared, own = tmp_path / "filestore" / OLD / "ab" / "shared", tmp_path / "filestore" / OLD / "ab" / "own"
    shared.write_text("of both")
    own.write_text("deleted since")
    (tmp_path / "filestore" / NEW / "ab" / "shared").hardlink_to(shared)
    for _again in range(2):
        run(tmp_path, OLD)
        assert [one.name for one in (tmp_path / "filestore").iterdir()] == [NEW]
        assert (tmp_path / "filestore" / NEW / "ab" / "shared").read_text() == "of both"


def test_removal_that_was_killed_half_way_is_ended_by_the_next(tmp_path):
    (tmp_path / "filestore" / f".gone-{OLD}" / "ab").mkdir(parents=True)
    (tmp_path / "filestore" / OLD).mkdir()
    run(tmp_path, OLD)
    assert not list((tmp_path / "filestore").iterdir())

"""A Job begins once all it needs is there, and owns that; killed at any call, the next one goes on."""

import itertools

import pytest
from addons.loomworks_tenant.kube import jobs


class Killed(BaseException):
    pass


class Cluster:
    """Objects as they were applied; a Job that is there again has another uid. Dies at the call it is told to."""

    def __init__(self):
        self.objects, self.calls, self.dies_at = {}, itertools.count(1), 0
        self.uids = itertools.count(1)

    def apply(self, manifest):
        dies = next(self.calls) == self.dies_at
        key = manifest["kind"], manifest["metadata"]["name"]
        uid = self.objects[key]["metadata"]["uid"] if key in self.objects else f"uid-{next(self.uids)}"
        made = {**manifest, "metadata": {**manifest["metadata"], "uid": uid}}
        self.objects[key] = made
        self.check()
        if dies:
            raise Killed
        return made

    def check(self):
        """No Job begins before its Secret and policy are there, and its own."""
        job = self.objects["Job", "work"]
        if not jobs.has_begun(job):
            return
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "work", "uid": job["metadata"]["uid"]}
        for kind in ("Secret", "NetworkPolicy"):
            assert self.objects[kind, "work"]["metadata"]["ownerReferences"] == [owner]


def manifests():
    meta = {"name": "work", "namespace": "there"}
    job = jobs.job(meta, {}, {"containers": []}, 60)
    return job, jobs.network_policy(meta, []), {"apiVersion": "v1", "kind": "Secret", "metadata": meta}


@pytest.mark.parametrize("call", range(5))
def test_job_owns_what_it_needs_before_it_begins(call):
    cluster = Cluster()
    cluster.dies_at = call
    if call:
        with pytest.raises(Killed):
            jobs.start(cluster, *manifests())
    if not jobs.has_begun(cluster.objects.get(("Job", "work"))):
        jobs.start(cluster, *manifests())
    assert jobs.has_begun(cluster.objects["Job", "work"])
    assert set(cluster.objects) == {(kind, "work") for kind in ("Job", "Secret", "NetworkPolicy")}
    cluster.check()


def test_job_that_is_being_removed_is_not_started_again():
    job = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"suspend": True}}
    assert jobs.has_begun(job)
    assert not jobs.has_begun(None)
    assert not jobs.has_begun({"metadata": {}, "spec": {"suspend": True}})

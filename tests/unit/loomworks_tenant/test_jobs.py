"""A Job begins once all it needs is there, and owns that; killed at any call, the next one goes on."""

import contextlib
import itertools

import pytest
from addons.loomworks_tenant.errors import Conflict
from addons.loomworks_tenant.kube import jobs

NEEDED = ("Secret", "NetworkPolicy")


class Killed(BaseException):
    pass


class Cluster:
    """Objects, and the garbage collector that takes along what a Job owned. Dies after the call it is told to."""

    def __init__(self, dies_after=0):
        self.objects, self.uids = {}, itertools.count(1)
        self.calls, self.dies_after = itertools.count(1), dies_after

    def create(self, manifest):
        if (manifest["kind"], manifest["metadata"]["name"]) in self.objects:
            raise Conflict("it is there")
        return self.apply(manifest)

    def apply(self, manifest):
        key = manifest["kind"], manifest["metadata"]["name"]
        uid = self.objects[key]["metadata"]["uid"] if key in self.objects else f"uid-{next(self.uids)}"
        self.objects[key] = {**manifest, "metadata": {**manifest["metadata"], "uid": uid}}
        return self._called(self.objects[key])

    def merge(self, kind, name, namespace, change):
        found = self.objects[kind, name]
        assert change["metadata"]["uid"] == found["metadata"]["uid"]
        found["spec"] = {**found["spec"], **change["spec"]}
        return self._called(found)

    def get(self, kind, name, namespace):
        return self._called(self.objects.get((kind, name)))

    def delete(self, kind, name, namespace, *, uid):
        assert self.objects.pop((kind, name))["metadata"]["uid"] == uid
        for key, one in list(self.objects.items()):
            if [owner["uid"] for owner in one["metadata"].get("ownerReferences", ())] == [uid]:
                del self.objects[key]
        return self._called(True)

    def _called(self, answer):
        self.check()
        if next(self.calls) == self.dies_after:
            raise Killed
        return answer

    def check(self):
        """No Job begins before its Secret and policy are there, and its own."""
        job = self.objects.get(("Job", "work"))
        if not job or job["spec"]["suspend"]:
            return
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "work", "uid": job["metadata"]["uid"]}
        for kind in NEEDED:
            assert self.objects[kind, "work"]["metadata"]["ownerReferences"] == [owner]


def manifests(image="one"):
    meta = {"name": "work", "namespace": "there"}
    job = jobs.job(meta, {}, {"containers": [{"image": image}]}, 60)
    return job, jobs.network_policy(meta, []), {"apiVersion": "v1", "kind": "Secret", "metadata": meta}


def look(cluster, image):
    """What a flow does at each look."""
    found = jobs.begun(cluster, "work", "there")
    if found is None:
        jobs.start(cluster, *manifests(image))
    return found


@pytest.mark.parametrize("call", range(1, 10))
def test_job_owns_what_it_needs_before_it_begins(call):
    """The next look may be another version's, which wants another image."""
    cluster = Cluster(call)
    found, images = None, itertools.chain(["one"], itertools.repeat("two", 5))
    while not found:
        with contextlib.suppress(Killed):
            found = look(cluster, next(images))
    assert found["spec"]["suspend"] is False
    assert set(cluster.objects) == {(kind, "work") for kind in ("Job", *NEEDED)}
    cluster.check()


def test_job_that_somebody_else_has_begun_is_left_alone():
    cluster = Cluster()
    look(cluster, "one")
    with pytest.raises(Conflict):
        jobs.start(cluster, *manifests("two"))
    assert look(cluster, "two")["spec"]["template"]["spec"]["containers"] == [{"image": "one"}]


def test_job_that_is_being_removed_is_not_unfinished():
    assert jobs.is_unfinished({"metadata": {}, "spec": {"suspend": True}})
    assert not jobs.is_unfinished({"metadata": {"deletionTimestamp": "2026-01-01"}, "spec": {"suspend": True}})
    assert not jobs.is_unfinished({"metadata": {}, "spec": {"suspend": False}})

"""A volume that is to grow: what is asked, when it is not, and what is said of how it goes."""

from dataclasses import replace

import pytest
from addons.loomworks_storage.files.spec import FilesSpec
from addons.loomworks_storage.reconciler.steps import Volume, VolumeClaim, VolumeGrowth
from addons.loomworks_storage.volumes import claim as claims
from addons.loomworks_storage.volumes import expansion
from addons.loomworks_storage.volumes.claim import Growth
from addons.loomworks_storage.volumes.errors import (
    ExpansionFails,
    ExpansionInfeasible,
    ExpansionNotAllowed,
    VolumeLost,
    VolumeShrinks,
)
from addons.loomworks_tenant.errors import ClusterUnreachable, QuotaExceeded
from addons.loomworks_tenant.reconciler.spec import Goal, VolumeSpec
from addons.loomworks_tenant.reconciler.step import Boundaries, Done, Waiting
from claims import CLAIM, claim, event, quota
from factories import UUID, tenant_spec

GI = 1024**3


def wanting(size):
    return tenant_spec(volume=VolumeSpec(CLAIM, size, "faster", "ReadWriteMany", "/var/lib/odoo"))


class Cluster:
    """One claim, its class, quotas and events; what is applied becomes what the claim asks for."""

    def __init__(self, found=None, expandable=True, quotas=(), events=()):
        self.found, self.expandable, self.quotas, self.events, self.applied = found, expandable, quotas, events, []
        self.world = Boundaries(self, None, None)

    def get(self, kind, name, namespace=None):
        if kind == "StorageClass":
            return {"metadata": {"name": name}, "allowVolumeExpansion": self.expandable}
        assert (kind, name) == ("PersistentVolumeClaim", CLAIM)
        return self.found

    def list(self, kind, namespace, **filters):
        return {"ResourceQuota": self.quotas, "Event": self.events}[kind]

    def apply(self, manifest):
        self.applied.append(manifest["spec"])
        if self.found:
            self.found["spec"]["resources"] = manifest["spec"]["resources"]


def test_first_claim_is_made_as_the_plan_says():
    cluster = Cluster()
    assert isinstance(VolumeClaim().ensure(wanting("5Gi"), cluster.world), Done)
    assert cluster.applied[0]["storageClassName"] == "faster"


def test_larger_size_is_asked_for_and_nothing_else_is_changed():
    cluster = Cluster(claim("5Gi"))
    assert VolumeClaim().ensure(wanting("20Gi"), cluster.world) == Done("20Gi")
    assert cluster.applied == [
        {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "20Gi"}},
            "storageClassName": "standard",
        }
    ]


def missing(**values):
    volume = VolumeSpec(CLAIM, "9Gi", "faster", "ReadWriteMany", "/var/lib/odoo", missed=True)
    return tenant_spec(volume=volume, **values)


@pytest.mark.parametrize("step", [VolumeClaim(), Volume(), VolumeGrowth()])
def test_lost_claim_is_told_with_a_way_out_and_no_empty_one_is_made(step):
    """A plan's new size was enough, and the tenant served without its attachments."""
    cluster = Cluster()
    with pytest.raises(VolumeLost, match=f"{CLAIM} is gone, and with it the tenant's files") as caught:
        step.ensure(missing(), cluster.world)
    assert (caught.value.code, cluster.applied) == ("volume_lost", [])
    assert "among the orphans" in caught.value.hint
    assert "reset it" in caught.value.hint


@pytest.mark.parametrize("step", [VolumeClaim(), Volume(), VolumeGrowth()])
@pytest.mark.parametrize("values", [{"goal": Goal.SUSPENDED}, {"paused": True}])
def test_lost_claim_keeps_nobody_from_stopping_a_tenant(step, values):
    """A reset of a tenant that was to run waited for its pod for good: the step before that one's end was stuck."""
    cluster = Cluster()
    assert isinstance(step.ensure(missing(**values), cluster.world), Done)
    assert cluster.applied == []


@pytest.mark.parametrize("step", [Volume(), VolumeGrowth()])
def test_claim_that_may_be_gone_is_missed_again_once_its_tenant_is_to_run(step):
    assert step.fingerprint(missing(paused=True)) != step.fingerprint(missing())
    assert step.fingerprint(wanting("5Gi")) == step.fingerprint(replace(wanting("5Gi"), paused=True))


def test_claim_is_looked_at_again_by_each_restore_of_files():
    one, other = (FilesSpec(None, UUID, name) for name in ("m1", "m2"))
    prints = {VolumeClaim().fingerprint(tenant_spec(files=files)) for files in (None, one, other)}
    assert len(prints) == 3
    restored = tenant_spec(files=FilesSpec(None, UUID, "m1", restored=True))
    assert VolumeClaim().fingerprint(restored) in prints


@pytest.mark.parametrize("size", ["5Gi", "5120Mi"])
def test_same_size_is_not_asked_for_again(size):
    cluster = Cluster(claim("5Gi"))
    VolumeClaim().ensure(wanting(size), cluster.world)
    assert VolumeGrowth().ensure(wanting(size), cluster.world) == Done("5Gi")
    assert cluster.applied == []


def test_claim_that_waits_for_its_volume_is_left_alone():
    cluster = Cluster(claim("5Gi", capacity=None, phase="Pending"))
    VolumeClaim().ensure(wanting("20Gi"), cluster.world)
    assert isinstance(VolumeGrowth().ensure(wanting("20Gi"), cluster.world), Done)
    assert cluster.applied == []


REFUSALS = [
    ({"expandable": False}, "20Gi", ExpansionNotAllowed, "“standard” cannot grow"),
    ({"quotas": [quota("15Gi")]}, "20Gi", QuotaExceeded, "room for 10Gi more, and 15Gi are needed"),
    (
        {"quotas": [quota("6Gi", name="standard.storageclass.storage.k8s.io/requests.storage")]},
        "7Gi",
        QuotaExceeded,
        "room for 1Gi more, and 2Gi are needed",
    ),
    ({}, "4Gi", VolumeShrinks, "has 5Gi: it cannot become 4Gi"),
]


@pytest.mark.parametrize(("cluster", "size", "error", "message"), REFUSALS)
def test_what_is_in_the_way_is_told_by_the_last_step_and_stops_none_before_it(cluster, size, error, message):
    cluster = Cluster(claim("5Gi"), **cluster)
    answer = VolumeClaim().ensure(wanting(size), cluster.world)
    assert isinstance(answer, Done)
    assert message in answer.message
    with pytest.raises(error, match=message):
        VolumeGrowth().ensure(wanting(size), cluster.world)
    assert cluster.applied == []


@pytest.mark.parametrize("refusal", [{"expandable": False}, {"quotas": [quota("5Gi")]}])
@pytest.mark.parametrize("capacity", ["5Gi", "6Gi"])
def test_refused_growth_ends_well_at_what_the_volume_has(refusal, capacity):
    cluster = Cluster(claim("5Gi", capacity=capacity), **refusal)
    with pytest.raises((ExpansionNotAllowed, QuotaExceeded)) as caught:
        VolumeGrowth().ensure(wanting("20Gi"), cluster.world)
    assert f"resize it to {capacity}." in caught.value.hint
    assert VolumeGrowth().ensure(wanting(capacity), cluster.world) == Done(capacity)
    assert cluster.applied == []


@pytest.mark.parametrize("found", [quota("20Gi"), quota("1Ti", "5Gi"), quota("4", name="pods")])
def test_quota_with_room_lets_it_grow(found):
    expansion.check(claims.read(claim("5Gi")), 20 * GI, {"allowVolumeExpansion": True}, [found])


def test_cluster_that_does_not_answer_is_asked_again():
    cluster = Cluster(claim("5Gi"))
    cluster.list = lambda *args, **filters: (_ for _ in ()).throw(ClusterUnreachable("no answer"))
    with pytest.raises(ClusterUnreachable):
        VolumeClaim().ensure(wanting("20Gi"), cluster.world)


def test_it_is_done_when_the_capacity_says_so():
    cluster = Cluster(claim("5Gi"))
    waiting = VolumeGrowth().ensure(wanting("20Gi"), cluster.world)
    assert isinstance(waiting, Waiting)
    assert waiting.message == "grows from 5Gi to 20Gi"
    cluster.found["status"]["capacity"]["storage"] = "21Gi"  # rounded up by the storage
    assert VolumeGrowth().ensure(wanting("20Gi"), cluster.world) == Done("21Gi")


def test_resize_that_failed_is_taken_back_above_the_capacity_and_not_below():
    cluster = Cluster(claim("500Gi", capacity="5Gi"))
    for size in ("5Gi", "4Gi"):
        with pytest.raises(VolumeShrinks):
            VolumeGrowth().ensure(wanting(size), cluster.world)
    assert VolumeClaim().ensure(wanting("6Gi"), cluster.world) == Done("6Gi")


@pytest.mark.parametrize("allocated", ["ControllerResizeInfeasible", "NodeResizeInfeasible"])
def test_infeasible_resize_says_so_and_how_to_get_out(allocated):
    found = claim("500Gi", capacity="5Gi", conditions=[("ControllerResizeError", "too large")], allocated=allocated)
    with pytest.raises(ExpansionInfeasible, match=r"stays at 5Gi.*500Gi: too large") as caught:
        VolumeGrowth().ensure(wanting("500Gi"), Cluster(found).world)
    assert "above 5Gi" in caught.value.hint


def test_resize_that_fails_is_looked_at_again():
    cluster = Cluster(claim("20Gi", capacity="5Gi"), events=[event("the pool is full")])
    with pytest.raises(ExpansionFails, match="fails: the pool is full") as caught:
        VolumeGrowth().ensure(wanting("20Gi"), cluster.world)
    assert caught.value.retry_after


INFEASIBLE = (Growth.INFEASIBLE, "ControllerResizeInfeasible")


@pytest.mark.parametrize(
    ("found", "events", "growth", "message"),
    [
        (claim("5Gi"), [event("an old trouble")], Growth.NONE, ""),
        (claim("9Gi"), [], Growth.ASKED, ""),
        (claim("9Gi"), [event("full", asked) for asked in ("2026-11-25T11:00:00Z",)], Growth.FAILING, "full"),
        (
            claim("9Gi", asked_at="2026-11-25T11:30:00Z"),
            [event("about the size before", "2026-11-25T11:00:00Z")],
            Growth.ASKED,
            "",
        ),
        (
            claim("9Gi"),
            [event("full", "2026-11-25T11:00:00Z"), event("resizing", "2026-11-25T11:01:00Z", "Normal")],
            Growth.ASKED,
            "",
        ),
        (claim("9Gi", conditions=[("NodeResizeError", "xfs")]), [], Growth.FAILING, "xfs"),
        (claim("9Gi", conditions=[("FileSystemResizePending", "a pod")]), [], Growth.WAITS_FOR_POD, "a pod"),
        (claim("9Gi", allocated="NodeResizePending"), [], Growth.WAITS_FOR_POD, ""),
        (claim("9Gi", allocated="ControllerResizeInfeasible 9Gi"), [], *INFEASIBLE),
        (claim("6Gi", allocated="ControllerResizeInfeasible 9Gi"), [], Growth.ASKED, ""),
        (claim("9Gi", capacity=None, phase="Pending"), [], Growth.NONE, ""),
    ],
)
def test_where_a_resize_stands(found, events, growth, message):
    state = claims.read(found, events)
    assert (state.growth, state.growth_message) == (growth, message)


def test_cause_of_a_claim_without_a_volume_comes_from_its_events():
    state = claims.read(claim("5Gi", capacity=None, phase="Pending"), [event("no such class")])
    assert (state.phase, state.reason, state.capacity) == ("Pending", "no volume yet: no such class", None)
    assert claims.read(claim("5Gi", phase="Lost")).reason == "its volume is gone"
    lost = claims.read(claim("5Gi", phase="Lost"), [event("Data on this volume is lost!")])
    assert lost.reason == "its volume is gone: Data on this volume is lost!"
    waits = claims.read(claim(capacity=None, phase="Pending"), [event("verify that it is running", kind="Normal")])
    assert waits.reason == "waiting for the volume: verify that it is running"

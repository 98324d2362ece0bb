"""A look at all volumes of a cluster: what is asked, and what is made of the answers."""

from datetime import datetime

import pytest
from addons.loomworks_storage.volumes.claim import Growth
from addons.loomworks_storage.volumes.survey import Usage, survey
from addons.loomworks_tenant.errors import ClusterUnreachable, Forbidden
from claims import claim, event

ADA, BOB = "aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002"
GI = 1024**3


def pod(node, phase="Running"):
    return {"spec": {"nodeName": node}, "status": {"hostIP": f"10.0.0.{node[-1]}", "phase": phase}}


def measured(uuid, used, at="2026-11-25T19:00:00Z", namespace=None, **more):
    about = {"name": f"odoo-instance-{uuid}", "namespace": namespace or f"lw-{uuid}"}
    return {"name": "data", "pvcRef": about, "time": at, "usedBytes": used, "capacityBytes": 5 * GI, **more}


def summary(*volumes):
    return {"pods": [{"volume": [{"name": "tmp", "time": "2026-11-25T19:00:00Z"}, one]} for one in volumes]}


class Cluster:
    """Lists and kubelets that answer as a test says; every request is counted."""

    def __init__(self, claims, pods=(), events=(), **kubelets):
        self.objects = {"PersistentVolumeClaim": claims, "Pod": pods, "Event": events}
        self.kubelets, self.asked = kubelets, []

    def list(self, kind, **filters):
        self.asked.append(kind)
        if isinstance(self.objects[kind], Exception):
            raise self.objects[kind]
        return self.objects[kind]

    def node_stats(self, address):
        self.asked.append(address)
        answer = self.kubelets[f"node{address[-1]}"]
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_hundred_tenants_on_two_nodes_take_four_requests():
    tenants = [f"{number:08d}-0000-4000-8000-000000000000" for number in range(100)]
    halves = (summary(*(measured(uuid, GI) for uuid in half)) for half in (tenants[:50], tenants[50:]))
    pods = [pod(f"node{1 + number % 2}") for number in range(100)]
    cluster = Cluster(
        [claim(uuid=uuid) for uuid in tenants], pods, **dict(zip(("node1", "node2"), halves, strict=True))
    )
    found = survey(cluster)
    assert sorted(found.usages) == sorted(found.claims) == tenants
    assert sorted(cluster.asked) == ["10.0.0.1", "10.0.0.2", "PersistentVolumeClaim", "Pod"]


def test_usage_is_the_kubelets_with_its_own_time():
    volume = measured(ADA, 123, "2026-11-25T20:00:05+01:00", inodes=1000, inodesUsed=7)
    found = survey(Cluster([claim(uuid=ADA)], [pod("node1")], node1=summary(volume)))
    assert found.usages == {ADA: Usage(datetime.fromisoformat("2026-11-25T19:00:05"), 123, 5 * GI, 1000, 7)}


def test_node_that_does_not_answer_leaves_the_others_readings():
    cluster = Cluster(
        [claim(uuid=ADA), claim(uuid=BOB)],
        [pod("node1"), pod("node2")],
        node1=ClusterUnreachable("the kubelet is away"),
        node2=summary(measured(BOB, 1)),
    )
    found = survey(cluster)
    assert list(found.usages) == [BOB]
    assert sorted(found.claims) == [ADA, BOB]
    assert found.silent == {"node1": "the kubelet is away"}


def test_node_that_refuses_is_named():
    found = survey(Cluster([claim(uuid=ADA)], [pod("node1")], node1=Forbidden("nodes/stats is forbidden")))
    assert found.silent == {"node1": "nodes/stats is forbidden"}


def test_api_server_that_does_not_answer_is_an_error():
    with pytest.raises(ClusterUnreachable):
        survey(Cluster(ClusterUnreachable("no answer")))


def test_pod_without_a_node_yet_and_pod_that_has_ended_name_no_node():
    waiting = {"spec": {}, "status": {"phase": "Pending"}}
    assert survey(Cluster([claim(uuid=ADA)], [waiting, pod("node1", "Failed")])).silent == {}


def test_of_two_pods_on_a_volume_the_newer_look_counts():
    old, new = measured(ADA, 1, "2026-11-25T19:00:00Z"), measured(ADA, 2, "2026-11-25T19:00:10Z")
    for volumes in ((old, new), (new, old)):
        found = survey(Cluster([claim(uuid=ADA)], [pod("node1")], node1=summary(*volumes)))
        assert found.usages[ADA].used == 2


@pytest.mark.parametrize(
    "volume",
    [
        measured(ADA, 1, namespace="elsewhere"),
        measured(BOB, 1),
        {**measured(ADA, 1), "capacityBytes": 0},
        {**measured(ADA, 1), "usedBytes": None},
        {"name": "tmp", "usedBytes": 1, "capacityBytes": 1, "time": "2026-11-25T19:00:00Z"},
    ],
)
def test_what_is_not_of_the_tenants_volume_or_not_measured_is_unknown(volume):
    assert survey(Cluster([claim(uuid=ADA)], [pod("node1")], node1=summary(volume))).usages == {}


def test_other_claim_in_a_tenants_namespace_is_not_its_volume():
    scratch = claim(uuid=ADA)
    scratch["metadata"]["name"] = "restore-7"
    assert survey(Cluster([scratch])).claims == {}


def test_events_are_listed_only_where_something_is_wrong_and_go_to_their_own_tenant():
    stuck = claim(capacity=None, phase="Pending", uuid=ADA)
    events = [event("no room", uuid=ADA), event("other", uuid=BOB)]
    foreign = event("not ours", "2026-11-25T13:00:00Z", uuid=ADA)
    foreign["involvedObject"]["namespace"] = "elsewhere"
    found = survey(Cluster([stuck, claim(uuid=BOB)], events=[*events, foreign]))
    assert found.claims[ADA].reason == "no volume yet: no room"
    assert (found.claims[BOB].reason, found.claims[BOB].growth) == ("", Growth.NONE)

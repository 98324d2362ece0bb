"""What the provisioner decides, from a claim and a volume alone."""

import copy

import pytest
from stack.provisioner import plan
from stack.provisioner.plan import Action

CLASS = {"metadata": {"name": "loomworks-dev"}, "reclaimPolicy": "Retain"}


def make_claim(storage="1Gi", capacity=None, *, ours=True, bound=False, deleted=False):
    annotations = {plan.WANTED_PROVISIONER: plan.PROVISIONER if ours else "other"}
    metadata = {
        "uid": "u1",
        "name": "data",
        "namespace": "lab",
        "resourceVersion": "7",
        "annotations": annotations,
        **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleted else {}),
    }
    return {
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": storage}},
            **({"volumeName": "pvc-u1"} if bound else {}),
        },
        "status": {"capacity": {"storage": capacity}} if capacity else {},
    }


def make_volume(storage="1Gi", phase="Bound", policy="Delete", *, ours=True, deleted=False):
    metadata = {"name": "pvc-u1", "annotations": {plan.PROVISIONED_BY: plan.PROVISIONER if ours else "other"}}
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {
        "kind": "PersistentVolume",
        "metadata": metadata,
        "spec": {"capacity": {"storage": storage}, "persistentVolumeReclaimPolicy": policy},
        "status": {"phase": phase},
    }


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1073741824", 1024**3),
        ("1Gi", 1024**3),
        ("1.5Gi", 1536 * 1024**2),
        ("2G", 2 * 1000**3),
        ("2e3", 2000),
        ("1500m", 2),
    ],
)
def test_quantity_is_read_in_bytes(text, size):
    assert plan.parse_quantity(text) == size


@pytest.mark.parametrize("text", ["", "Gi", "1gi", "-1Gi", "1 Gi"])
def test_nonsense_is_no_quantity(text):
    with pytest.raises(ValueError, match="not a quantity"):
        plan.parse_quantity(text)


@pytest.mark.parametrize(
    ("claim", "volume", "action"),
    [
        (make_claim(), None, Action.PROVISION),
        (make_claim(ours=False), None, Action.NOTHING),
        (make_claim(bound=True), None, Action.NOTHING),
        (make_claim(deleted=True), None, Action.NOTHING),
        (None, None, Action.NOTHING),
        (make_claim(capacity="1Gi"), make_volume(), Action.MOUNT),
        (make_claim(), make_volume(phase="Pending"), Action.MOUNT),
        (make_claim("2Gi", "1Gi"), make_volume(), Action.GROW),
        (make_claim("2Gi", "1Gi"), make_volume("2Gi"), Action.GROW),  # killed between the two patches
        (make_claim("1Gi", "1Gi"), make_volume(ours=False), Action.NOTHING),
        (None, make_volume(phase="Released"), Action.DESTROY),
        (None, make_volume(phase="Released", policy="Retain"), Action.MOUNT),
        (None, make_volume(phase="Released", policy="Retain", deleted=True), Action.FORGET),
        (None, make_volume(phase="Available", deleted=True), Action.DESTROY),
        (make_claim(capacity="1Gi"), make_volume(deleted=True), Action.MOUNT),
    ],
)
def test_next_thing_to_do(claim, volume, action):
    assert plan.decide(claim, volume) is action


def test_small_request_gets_the_smallest_disk():
    claim = make_claim("64Mi")
    assert plan.size(claim) == plan.MINIMUM_SIZE
    assert plan.size_quantity(claim) == "300Mi"
    assert plan.decide(make_claim("64Mi", "300Mi"), make_volume("300Mi")) is Action.MOUNT


def test_block_volumes_are_refused():
    claim = make_claim()
    claim["spec"]["volumeMode"] = "Block"
    assert "Filesystem" in plan.refusal(claim)


def test_clones_of_volumes_are_refused():
    claim = make_claim()
    claim["spec"]["dataSource"] = {"kind": "VolumeSnapshot", "name": "s"}
    assert "data source" in plan.refusal(claim)


def test_ordinary_claim_is_not_refused():
    assert plan.refusal(make_claim()) is None


def test_volume_is_bound_to_its_claim_and_its_node():
    manifest = plan.volume_manifest(make_claim(), CLASS, "/volumes/pvc-u1", "loomworks")
    affinity = manifest["spec"].pop("nodeAffinity")["required"]["nodeSelectorTerms"]
    assert affinity == [
        {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["loomworks"]}]}
    ]
    assert manifest == {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": "pvc-u1",
            "annotations": {"pv.kubernetes.io/provisioned-by": "dev.loomworks.io/loop"},
            "finalizers": ["dev.loomworks.io/loop"],
        },
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "volumeMode": "Filesystem",
            "storageClassName": "loomworks-dev",
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": "/volumes/pvc-u1"},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": "lab",
                "name": "data",
                "uid": "u1",
                "resourceVersion": "7",
            },
        },
    }


def test_event_is_about_the_claim_and_not_too_long():
    claim = make_claim()
    before = copy.deepcopy(claim)
    event = plan.event_manifest(claim, "ProvisioningFailed", "x" * 5000, "Warning", "2026-01-01T00:00:00Z")
    assert event["involvedObject"]["uid"] == "u1"
    assert len(event["message"]) == 1024
    assert claim == before


def test_failed_growth_is_told_as_csi_resizers_do_and_once_for_a_size():
    claim = make_claim()
    assert not plan.is_told(claim, "too large")
    status = plan.resize_failure(claim, "too large", infeasible=True, now="2026-01-01T00:00:00Z")
    claim["status"] = {**claim["status"], **status}
    assert status["allocatedResourceStatuses"] == {"storage": "ControllerResizeInfeasible"}
    assert plan.is_told(claim, "too large")
    assert not plan.is_told(claim, "something else")
    claim["spec"]["resources"]["requests"]["storage"] = "900Gi"
    assert not plan.is_told(claim, "too large")

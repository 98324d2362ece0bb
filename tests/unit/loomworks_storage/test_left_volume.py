"""An erased tenant's volume is gone, or named as kept: never neither."""

from datetime import UTC, datetime, timedelta

import pytest
from addons.loomworks_storage.reconciler.left_volume import PATIENCE, LeftVolume
from addons.loomworks_tenant.reconciler.spec import Goal
from addons.loomworks_tenant.reconciler.step import Boundaries, Done, Waiting
from factories import UUID, tenant_spec
from leftovers import Cluster, namespace, volume

OTHER = "9d0e8a52-6f0e-4b0e-9d0e-2f6f1c7a9b11"


def removed(*volumes):
    cluster = Cluster(*volumes, volume(OTHER, name="pv-of-another"), namespace(OTHER))
    answer = LeftVolume().remove(tenant_spec(goal=Goal.ERASED), Boundaries(cluster, None, None))
    assert ("DELETE", "PersistentVolume") not in cluster.requests
    return answer


def deleting(seconds=0, **values):
    """Return a volume whose claim has been gone for this long, and that its storage is to delete."""
    found = volume(UUID, **values)
    found["spec"]["persistentVolumeReclaimPolicy"] = "Delete"
    since = datetime.now(UTC) - timedelta(seconds=seconds)
    found["status"]["lastPhaseTransitionTime"] = since.strftime("%Y-%m-%dT%H:%M:%SZ")
    return found


def test_nothing_is_left():
    assert removed() == Done("")


def test_volume_that_its_class_keeps_is_named_with_the_disk_behind_it():
    assert removed(volume(UUID)) == Done("pv-0 (Retain, vol-7)")


@pytest.mark.parametrize("found", [volume(UUID, phase="Bound"), deleting(9000, phase="Bound")])
def test_volume_that_its_storage_lets_go_of_is_waited_for(found):
    assert removed(found) == Waiting("the storage deletes pv-0", 1.0)


def test_volume_that_its_storage_deletes_is_waited_for_with_fewer_looks_the_longer_it_takes():
    answer = removed(deleting(2))
    assert (answer.message, 2 <= answer.retry_after < 10) == ("the storage deletes pv-0", True)
    assert removed(deleting(PATIENCE - 60)) == Waiting("the storage deletes pv-0", 10.0)


def test_volume_that_its_storage_ought_to_have_deleted_long_ago_is_named():
    """A driver that cannot delete it tries for ever, and leaves it Released: the tenant was never erased."""
    assert removed(deleting(PATIENCE + 1)) == Done("pv-0 (Delete, vol-7)")


def test_cluster_that_does_not_say_since_when_is_waited_for():
    found = deleting()
    del found["status"]["lastPhaseTransitionTime"]
    assert removed(found) == Waiting("the storage deletes pv-0", 1.0)


def test_volume_that_its_storage_could_not_delete_is_named():
    assert removed(deleting(phase="Failed")) == Done("pv-0 (Delete, vol-7)")


def test_volume_of_another_claim_in_the_same_namespace_is_nobodys():
    found = volume(UUID) | {"spec": {"claimRef": {"namespace": f"lw-{UUID}", "name": "x"}}}
    assert removed(found) == Done("")

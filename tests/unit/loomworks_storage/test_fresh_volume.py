"""The old volume's claim goes when nobody has it any more, and no other claim ever does."""

from addons.loomworks_storage.reconciler.fresh_volume import FreshVolume
from addons.loomworks_tenant.errors import Conflict
from addons.loomworks_tenant.kube import names
from addons.loomworks_tenant.reconciler.step import Boundaries, Done, Waiting
from factories import UUID, tenant_spec


class Cluster:
    """One tenant's claim, Deployment and pods; a claim in use goes when its pods have."""

    def __init__(self, uid="old", replicas=1):
        self.claim = {"metadata": {"name": names.volume_claim(UUID), "uid": uid}}
        self.replicas, self.pods, self.deleted, self.over = replicas, replicas, [], False

    def get(self, kind, name, namespace):
        return {"spec": {"replicas": self.replicas}} if kind == "Deployment" else self.claim

    def list(self, kind, namespace, label_selector=""):
        return iter([{"status": {"phase": "Failed" if self.over else "Running"}}] * self.pods)

    def merge(self, kind, name, namespace, change):
        self.replicas = change["spec"]["replicas"]

    def delete(self, kind, name, namespace, *, uid=""):
        if self.claim["metadata"]["uid"] != uid:
            raise Conflict("another one")
        self.deleted.append(uid)
        self.claim["metadata"]["deletionTimestamp"] = "now"
        return True


def ensured(cluster, old_claim="old"):
    return FreshVolume().ensure(tenant_spec(old_claim=old_claim), Boundaries(cluster, None, None))


def test_odoo_stops_then_the_claim_goes_and_is_waited_for():
    cluster = Cluster()
    assert ensured(cluster) == Waiting("1 pod(s) are stopping", 1.0)
    assert (cluster.replicas, cluster.deleted) == (0, [])
    cluster.over = True  # evicted, or its node has restarted: the record stays
    for _look in range(3):
        assert ensured(cluster) == Waiting("the old volume is being removed", 1.0)
    assert cluster.deleted == ["old"]
    cluster.claim = None
    assert ensured(cluster) == Done("the old volume is gone")


def test_fresh_claim_is_never_touched_however_often_the_step_runs():
    cluster = Cluster(uid="fresh")
    for old in ("old", ""):
        assert isinstance(ensured(cluster, old), Done)
    assert (cluster.deleted, cluster.replicas) == ([], 1)

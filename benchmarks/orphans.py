"""What a sweep for orphans costs: requests and seconds, with 1,000 tenants there.

On the running stack: namespaces and claims on its API server (of a class that nobody provisions, so that no volume is
made), roles on its database server, and an object of each tenant in a bucket of an S3 server of its own. The peer asks
for each tenant's namespace and claim one by one, as a sweep without lists would; of a part of them, in the same run.
Each result is one JSON object a line in ``build/bench/orphans.jsonl``.
"""

import argparse
import shutil
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests"))
sys.path.insert(0, str(REPOSITORY / "tests" / "e2e"))
sys.path.insert(0, str(REPOSITORY / "tests" / "unit" / "loomworks_storage"))

import conftest as e2e  # noqa: E402  (registers the engines)
from addons.loomworks_storage.filestore.location import Location  # noqa: E402
from addons.loomworks_storage.filestore.store import Store  # noqa: E402
from addons.loomworks_storage.orphans import listing  # noqa: E402
from addons.loomworks_storage.orphans.compare import Known, orphans  # noqa: E402
from addons.loomworks_tenant.kube import names  # noqa: E402
from addons.loomworks_tenant.kube.client import KubeClient  # noqa: E402
from figures import Figures  # noqa: E402
from harness.s3_server import REGION, S3Server  # noqa: E402
from stack.settings import Settings  # noqa: E402

THREADS = 16
PEER_SHARE = 10  # the peer asks for one tenant in so many
SAMPLES = 5
LEFT = 7  # tenants without a row, to be found
BUCKET = "orphans"


class CountedClient(KubeClient):
    """Counts requests."""

    requests = 0

    def _call(self, *args, **options):
        self.requests += 1
        return super()._call(*args, **options)


class Bench:
    """So many tenants' objects, made and taken away again."""

    def __init__(self, tenants):
        stack = e2e.read_env()
        self.kube = CountedClient(f"file:{stack['KUBECONFIG']}")
        self.server = e2e.provisioning_server(self.kube)
        self.uuids = [str(uuid.uuid4()) for _number in range(tenants)]
        self.folder = Path(tempfile.mkdtemp(prefix="loomworks-orphans-"))
        self.s3 = S3Server(Settings.from_environment(), self.folder)
        self.pool = ThreadPoolExecutor(THREADS)

    def make(self):
        """Make them all."""
        self.s3.start()
        self.s3.client().create_bucket(Bucket=BUCKET)
        list(self.pool.map(self._make_objects, self.uuids))
        with self.server.connect() as cr:
            for tenant in self.uuids:
                cr.execute(f"CREATE ROLE {role(tenant)} LOGIN")

    def _make_objects(self, tenant):
        labels = {names.MANAGED_BY: names.FIELD_MANAGER, names.TENANT_LABEL: tenant}
        meta = {"name": names.namespace(tenant), "labels": labels}
        self.kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        meta = {"name": names.volume_claim(tenant), "namespace": names.namespace(tenant), "labels": labels}
        claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta}
        self.kube.create({**claim, "spec": {**spec, "storageClassName": "nobodys"}})
        self.store(tenant).put("key", b"x")

    def store(self, tenant):
        """The objects of one tenant."""
        where = (self.s3.endpoint, BUCKET, REGION, self.s3.key, self.s3.key_secret, str(self.s3.ca_file))
        return Store(Location(tenant, *where))

    def take_away(self):
        """Leave nothing behind."""
        list(self.pool.map(lambda tenant: self.kube.delete("Namespace", names.namespace(tenant)), self.uuids))
        with self.server.connect() as cr:
            for tenant in self.uuids:
                cr.execute(f"DROP ROLE IF EXISTS {role(tenant)}")
        while self._left():
            time.sleep(1)
        self.s3.stop()
        shutil.rmtree(self.folder)

    def _left(self):
        ours = {names.namespace(tenant) for tenant in self.uuids}
        found = self.kube.list("Namespace", label_selector=listing.SELECTOR)
        return ours & {one["metadata"]["name"] for one in found}


def role(tenant):
    """The name of a tenant's role."""
    return "t_" + tenant.replace("-", "")


def timed(work):
    """Return what work gave, and the best of some times in seconds."""
    best = float("inf")
    for _sample in range(SAMPLES):
        begun = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - begun)
    return result, best


def measure(bench, figures):
    """List, compare, and ask the peer."""
    count = len(bench.uuids)
    facts = {"tenants": count, "samples": SAMPLES}
    bench.kube.requests = 0
    in_cluster, cluster_seconds = timed(lambda: list(listing.of_cluster(bench.kube)))
    requests = bench.kube.requests / SAMPLES
    some = bench.uuids[:: max(1, min(PEER_SHARE, count))]

    def peer():
        for tenant in some:
            bench.kube.get("Namespace", names.namespace(tenant))
            bench.kube.get("PersistentVolumeClaim", names.volume_claim(tenant), names.namespace(tenant))

    _none, peer_seconds = timed(peer)
    peer_seconds *= count / len(some)
    asked = {**facts, "peer": f"a GET for each namespace and claim, {2 * count} requests"}
    figures.add("requests to the API server", requests, "requests", requests / (2 * count), None, **asked)
    figures.add("the cluster's lists", cluster_seconds, "s", cluster_seconds / peer_seconds, None, **asked)
    on_server, seconds = timed(lambda: list(listing.of_server(bench.server)))
    figures.add("a database server, 2 queries", seconds, "s", None, None, **facts, found=len(on_server))
    in_bucket, seconds = timed(lambda: list(listing.of_bucket(bench.store(bench.uuids[0]))))
    figures.add("a bucket", seconds, "s", None, None, **facts, requests=-(-len(in_bucket) // 1000))
    seen = [*in_cluster, *on_server, *in_bucket]
    known = Known(tenants=frozenset({one.tenant for one in seen} - set(bench.uuids[:LEFT])))
    found, seconds = timed(lambda: orphans(seen, known))
    of_left = {one.tenant for one in found} & set(bench.uuids)
    assert of_left == set(bench.uuids[:LEFT]), "the wrong ones were found"
    figures.add("comparing", seconds, "s", None, None, **facts, objects=len(seen))


def main():
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenants", type=int, default=1000)
    bench, figures = Bench(parser.parse_args().tenants), Figures("orphans")
    begun = time.perf_counter()
    try:
        bench.make()
        print(f"made in {time.perf_counter() - begun:.0f} s", flush=True)
        measure(bench, figures)
    finally:
        bench.take_away()
    print(f"{time.perf_counter() - begun:.0f} s in all", flush=True)


if __name__ == "__main__":
    main()

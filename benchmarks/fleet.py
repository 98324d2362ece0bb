"""So many tenants, as the places know them that are looked at: an API server, a database server, a bucket, and rows."""

import json
import os
import shutil
import tempfile
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
from addons.loomworks_storage.filestore.location import TENANTS, Location
from addons.loomworks_storage.filestore.store import Store
from addons.loomworks_tenant.kube import names
from addons.loomworks_tenant.kube.client import KubeClient, object_path
from addons.loomworks_tenant.postgres.server import DatabaseServer
from addons.loomworks_tenant.reconciler.spec import ServerSpec
from bare_cluster import BareCluster
from harness.s3_server import REGION, S3Server
from stack.settings import Settings

THREADS = 16
PER_NODE = 100  # tenants; a node takes 110 pods as Kubernetes comes
BUCKET = "orphans"
PASSWORD = "LOOMWORKS_BENCH_PASSWORD"
SIZE = 5 * 1024**3


class CountedClient(KubeClient):
    """Counts requests. Kubelets' answers are made up, as text: nobody has so many nodes."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.requests = 0
        self.answers = {}

    def _call(self, *args, **options):
        self.requests += 1
        return super()._call(*args, **options)

    def node_stats(self, address):
        """Read the answer of a node."""
        self.requests += 1
        return json.loads(self.answers[address])


class Fleet:
    """The tenants' objects; ``take_away`` leaves nothing of them."""

    def __init__(self, tenants):
        self.uuids = [str(uuid.uuid4()) for _number in range(tenants)]
        self.folder = Path(tempfile.mkdtemp(prefix="loomworks-fleet-"))
        self.cluster = BareCluster()
        self.s3 = S3Server(Settings.from_environment(), self.folder / "s3")
        self.pool = ThreadPoolExecutor(THREADS)
        self.url = urlsplit(os.environ["PG_URL"])
        os.environ[PASSWORD] = self.url.password
        where = {"host": self.url.hostname, "port": self.url.port, "user": self.url.username, "sslmode": "disable"}
        self.server = DatabaseServer(ServerSpec(**where, password_reference=f"env:{PASSWORD}"))

    def make(self):
        """Make them all."""
        self.cluster.start()
        self.kube = CountedClient(f"file:{self.cluster.kubeconfig}")
        self.s3.start()
        self.bucket = self.s3.client()
        self.bucket.create_bucket(Bucket=BUCKET)
        list(self.pool.map(self._make_objects, enumerate(self.uuids)))
        for tenant in self.uuids:
            self._sql(
                f"CREATE ROLE {role(tenant)} LOGIN",
                f"CREATE DATABASE {role(tenant)} OWNER {role(tenant)} TEMPLATE template0 STRATEGY wal_log",
            )

    def take_away(self):
        """End the servers, and drop databases and roles."""
        for tenant in self.uuids:
            self._sql(f"DROP DATABASE IF EXISTS {role(tenant)}", f"DROP ROLE IF EXISTS {role(tenant)}")
        self.s3.stop()
        self.cluster.stop()
        shutil.rmtree(self.folder)

    def store(self, tenant):
        """The objects of one tenant."""
        where = (self.s3.endpoint, BUCKET, REGION, self.s3.key, self.s3.key_secret, str(self.s3.ca_file))
        return Store(Location(tenant, *where))

    def measure_volumes(self, at):
        """Have each node's kubelet say that it measured its tenants' volumes at this moment (UTC)."""
        for number, first in enumerate(range(0, len(self.uuids), PER_NODE)):
            pods = [pod_stats(tenant, at) for tenant in self.uuids[first : first + PER_NODE]]
            self.kube.answers[address(number)] = json.dumps({"node": {"nodeName": f"node-{number}"}, "pods": pods})

    def _sql(self, *statements):
        with closing(psycopg2.connect(os.environ["PG_URL"])) as connection:
            connection.autocommit = True
            for statement in statements:
                connection.cursor().execute(statement)

    def _make_objects(self, numbered):
        number, tenant = numbered
        for made, status in objects(tenant, number // PER_NODE):
            self.kube.create(made)
            if status:
                meta = made["metadata"]
                path = object_path(made["kind"], meta.get("namespace"), meta["name"])
                query = [("fieldManager", "bench")]
                self.kube._call("PATCH", f"{path}/status", query, {"status": status}, "application/merge-patch+json")
        self.bucket.put_object(Bucket=BUCKET, Key=f"{TENANTS}{tenant}/key", Body=b"x")


def role(tenant):
    """The name of a tenant's role and database."""
    return "t_" + tenant.replace("-", "")


def address(node):
    """The address of a node of this number."""
    return f"10.1.{node // 250}.{node % 250 + 1}"


def objects(tenant, node):
    """Yield a tenant's namespace, claim, volume and pod, each with its status."""
    labels = {names.MANAGED_BY: names.FIELD_MANAGER, names.TENANT_LABEL: tenant}
    home, claim = names.namespace(tenant), names.volume_claim(tenant)
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home, "labels": labels}}, None
    modes, size = ["ReadWriteOnce"], {"storage": "5Gi"}
    meta = {"name": claim, "namespace": home, "labels": labels}
    spec = {"accessModes": modes, "resources": {"requests": size}, "volumeName": f"pv-{tenant}"}
    bound = {"phase": "Bound", "capacity": size, "accessModes": modes}
    yield {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec}, bound
    taken = {"kind": "PersistentVolumeClaim", "namespace": home, "name": claim, "apiVersion": "v1"}
    source = {"hostPath": {"path": "/nowhere"}, "persistentVolumeReclaimPolicy": "Delete"}
    spec = {"accessModes": modes, "capacity": size, "claimRef": taken, **source}
    meta = {"name": f"pv-{tenant}"}
    yield {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": meta, "spec": spec}, {"phase": "Bound"}
    meta = {"name": "odoo-0", "namespace": home, "labels": labels}
    spec = {"nodeName": f"node-{node}", "containers": [{"name": "odoo", "image": "registry.test/odoo:1"}]}
    running = {"phase": "Running", "hostIP": address(node), "hostIPs": [{"ip": address(node)}]}
    yield {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}, running


def pod_stats(tenant, at):
    """What a kubelet says of a tenant's pod, as far as it is as long as it is."""
    used = int(tenant[:4], 16) * 50_000
    process = {"time": at.isoformat() + "Z", "usageNanoCores": 1, "usageCoreNanoSeconds": 2, "workingSetBytes": 3}
    volume = {
        "time": at.isoformat() + "Z",
        "availableBytes": SIZE - used,
        "capacityBytes": SIZE,
        "usedBytes": used,
        "inodesFree": 90_000,
        "inodes": 100_000,
        "inodesUsed": 10_000,
        "name": "data",
        "pvcRef": {"name": names.volume_claim(tenant), "namespace": names.namespace(tenant)},
        "volumeHealthStats": {"abnormal": False},
    }
    small = {**volume, "name": "kube-api-access", "pvcRef": None}
    return {
        "podRef": {"name": "odoo-0", "namespace": names.namespace(tenant), "uid": tenant},
        "startTime": at.isoformat() + "Z",
        "containers": [{"name": "odoo", "cpu": process, "memory": process, "rootfs": volume, "logs": volume}],
        "cpu": process,
        "memory": process,
        "volume": [small, volume],
    }


def now():
    """Return the moment, in UTC, in whole seconds."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)

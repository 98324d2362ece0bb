"""Twenty tenants resized, filled and restarted at once, one of them to its last block; and a neighbour who looks on."""

import hashlib
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
import test_files
import test_full_volume
import test_volumes
from addons.loomworks_tenant.kube import names
from addons.loomworks_tenant.kube.client import KubeClient
from addons.loomworks_tenant.postgres.server import DatabaseServer
from conftest import Administrator, Refused, Tenant
from test_ending import rows_of

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]
MANY = int(os.environ.get("LOOMWORKS_MANY_VOLUMES", "20"))
PATIENCE = 600  # seconds: two processors start so many Odoos
MI, GI = 1024**2, 1024**3
FILLED = 3 * GI
TABLES = ("res_partner", "res_users", "ir_attachment")


@dataclass
class Kept:
    """One tenant's administrator, and the file whose content is known."""

    tenant: Tenant
    work: Administrator
    attachment: int
    content: bytes
    path: str


@dataclass
class Place:
    """Where tenants are looked at: the cluster, the server, and their pods."""

    kube: KubeClient
    server: DatabaseServer
    run: Callable[..., str]

    def pods(self, one):
        return test_volumes.pod_ids(self.kube, one.tenant)

    def rows(self, one):
        return rows_of(self.server, one.tenant.database, *TABLES)

    def capacity(self, one):
        claim = self.kube.get("PersistentVolumeClaim", names.volume_claim(one.tenant.uuid), one.tenant.namespace)
        return claim["status"]["capacity"]["storage"]

    def is_whole(self, one):
        """Tell whether the file is there, on the volume and through Odoo."""
        told = self.run(one.tenant, "sha1sum", one.path).split()[0]
        digest = hashlib.sha1(one.content).hexdigest()
        return told == digest and test_files.content_of(one.work, one.attachment) == one.content

    def fill(self, one):
        """Take a good part of the room on a volume."""
        self.run(one.tenant, "fallocate", "-l", str(FILLED), test_volumes.FILLER)

    def fill_to_the_last_block(self, one):
        free = int(self.run(one.tenant, "df", "--output=avail", "-B1", "/var/lib/odoo").split()[-1])
        self.run(one.tenant, "fallocate", "-l", str(free - 24 * MI), test_volumes.FILLER)
        self.run(one.tenant, "sh", "-c", f"dd if=/dev/zero of={test_volumes.FILLER}2 bs=4k 2>/dev/null || true")


@pytest.fixture
def place(kube, server, in_pod):
    return Place(kube, server, in_pod)


@dataclass
class Lookout:
    """Asks a neighbour for a page, over and over, until it is told to stop."""

    tenant: Tenant
    answers: list = field(default_factory=list)
    slowest: float = 0.0
    over: threading.Event = field(default_factory=threading.Event)

    def look(self):
        while not self.over.wait(0.5):
            begun = time.monotonic()
            self.answers.append(self.tenant.get("/web/login").status_code)
            self.slowest = max(self.slowest, time.monotonic() - begun)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(MANY) as pool:
        yield pool


@pytest.fixture
def lookout(acme):
    found = Lookout(acme)
    thread = threading.Thread(target=found.look)
    thread.start()
    yield found
    found.over.set()
    thread.join()


@pytest.fixture
def kept(make_tenant, administrator, pool):
    """So many tenants, each with a file of its own."""
    tenants = [make_tenant() for _number in range(MANY)]

    def prepare(tenant):
        tenant.wait(lambda values: values["state"] == "active" and not values["working"], PATIENCE)
        work, content = administrator(tenant), os.urandom(2 * MI)
        number, name = test_files.attach(work, content)
        return Kept(tenant, work, number, content, f"/var/lib/odoo/filestore/{tenant.database}/{name}")

    return list(pool.map(prepare, tenants))


def back(tenant):
    """Wait until a tenant serves again, and its volume has its size."""
    tenant.wait(lambda values: values["state"] == "active" and not values["working"], PATIENCE)
    assert test_volumes.step(tenant)["state"] == "done"
    assert tenant.get("/web/login").status_code == 200


def test_so_many_resized_filled_and_restarted_at_once(kept, acme, lookout, place, pool, administrator):
    full, others = kept[0], kept[1:]
    beside = Kept(acme, administrator(acme), 0, b"", "")
    rows, pods, pods_beside = [*map(place.rows, kept)], [*map(place.pods, kept)], place.pods(beside)
    begun = time.monotonic()

    def storm(one):
        if one is full:
            place.fill_to_the_last_block(one)
        else:
            one.tenant.act("resize_volume", size="6Gi")
            place.fill(one)
        one.tenant.act("action_restart")

    list(pool.map(storm, kept))
    list(pool.map(lambda one: back(one.tenant), kept))
    print(f"{MANY} tenants back after {time.monotonic() - begun:.0f} s")

    assert [*map(place.rows, kept)] == rows
    assert not any(place.pods(one) & before for one, before in zip(kept, pods, strict=True))
    assert all(pool.map(place.is_whole, kept))
    assert [*map(place.capacity, kept)] == ["5Gi"] + ["6Gi"] * len(others)
    assert all(pool.map(lambda one: test_full_volume.store(one.work), others))
    is_revived_by_growth(full, place)

    print(f"the neighbour answered {len(lookout.answers)} times, the slowest after {lookout.slowest:.1f} s")
    assert set(lookout.answers) == {200}
    assert place.pods(beside) == pods_beside
    assert test_full_volume.store(beside.work)


def is_revived_by_growth(full, place):
    """The full one serves, keeps no more files, and does again once it has room, with no restart."""
    with pytest.raises(Refused, match=test_full_volume.TOLD):
        test_full_volume.store(full.work)
    pods = place.pods(full)
    full.tenant.act("resize_volume", size="6Gi")
    full.tenant.wait(lambda values: test_volumes.step(full.tenant)["state"] == "done" and not values["working"])
    assert test_full_volume.store(full.work)
    assert place.is_whole(full)
    assert place.pods(full) == pods

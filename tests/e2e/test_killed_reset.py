"""The control plane killed with SIGKILL at several moments of a reset: the next one ends it, and nothing is lost."""

import hashlib
import os
import time
from dataclasses import dataclass

import pytest
import test_files
import test_reset
from test_ending import rows_of
from test_killed_control_plane import kill, wait_back

over = test_reset.over  # a fixture
RESET = test_reset.RESET
PATIENCE = 300  # seconds until a reset gets to a moment
TABLES = ("res_partner", "ir_attachment")


@pytest.fixture(scope="module")
def tenant(make_tenant):
    tenant = make_tenant()
    tenant.wait_settled("active")
    return tenant


def has_begun(step):
    """Return what tells whether a step of the tenant has been begun, in this reset."""
    return lambda tenant, row: row["state"] == "replacing" and tenant.steps().get(step, {}).get("state") != "pending"


MOMENTS = {
    "odoo_stops": lambda tenant, row: True,
    "is_saving": lambda tenant, row: row["stopped_at"],
    "old_volume_goes": has_begun("fresh_volume"),
    "new_one_is_claimed": has_begun("volume_claim"),
    "files_come_back": has_begun("files"),
    "odoo_starts": has_begun("workload"),
}
AT_LEAST = ("old_volume_goes", "files_come_back")  # of these; all in `make test-long`


def reach(moment, tenant, call, number):
    """Wait for a moment of a reset."""
    end = time.monotonic() + PATIENCE
    while True:
        row = call(RESET, "read", ids=[number], fields=["state", "stopped_at", "waits_for"])[0]
        if MOMENTS[moment](tenant, row):
            return
        assert row["state"] in ("saving", "replacing"), row
        assert time.monotonic() < end, row
        time.sleep(0.02)


@dataclass
class Before:
    """What a tenant had before its reset."""

    path: str
    digest: str
    rows: dict
    claim: str


@pytest.fixture
def before(tenant, administrator, kube, server):
    content = os.urandom(400_000)
    _number, name = test_files.attach(administrator(tenant), content)  # sessions end with a reset: a new one each time
    path = f"/var/lib/odoo/filestore/{tenant.database}/{name}"
    rows = rows_of(server, tenant.database, *TABLES)
    return Before(path, hashlib.sha1(content).hexdigest(), rows, test_reset.uid_of(kube, tenant))


@pytest.fixture
def die(kube, stack):
    def kill_and_wait():
        kill(kube, stack)
        wait_back(stack)

    return kill_and_wait


@pytest.fixture
def stands(kube, server, in_pod):
    """See that a tenant has what it had, on one fresh volume."""

    def look(tenant, before):
        assert tenant.get("/web/login").status_code == 200
        assert rows_of(server, tenant.database, *TABLES) == before.rows
        assert in_pod(tenant, "sha1sum", before.path).split()[0] == before.digest
        assert test_reset.uid_of(kube, tenant) != before.claim
        assert len(list(kube.list("PersistentVolumeClaim", tenant.namespace))) == 1
        assert len(list(kube.list("Deployment", tenant.namespace))) == 1

    return look


def done_once(call, tenant, row):
    """See that everything of this reset was done once, and its snapshot is ready."""
    domain = [["tenant_id", "=", tenant.id], ["started_at", ">=", row["started_at"]]]
    assert call("loomworks.files.backup", "search_count", domain=domain) == 1
    domain = [["record_id", "=", tenant.id], ["action", "like", "reset"], ["date", ">=", row["started_at"]]]
    done = call("loomworks.audit", "search_read", domain=domain, fields=["action"])
    assert sorted(one["action"] for one in done) == ["reset", "reset_done", "reset_replace"]
    assert call("loomworks.snapshot", "read", ids=[row["snapshot_id"][0]], fields=["state"])[0]["state"] == "ready"


@pytest.mark.alone
@pytest.mark.parametrize(
    "moment", [one if one in AT_LEAST else pytest.param(one, marks=pytest.mark.long) for one in MOMENTS]
)
def test_reset_is_finished_by_the_next_control_plane(moment, tenant, before, die, call, over, stands):
    number = tenant.act("action_reset", confirm_name=tenant.read("name")["name"])
    reach(moment, tenant, call, number)
    die()
    row = over(number)
    assert not tenant.wait_settled("active")["error_message"]
    assert row["old_claim"] == before.claim
    stands(tenant, before)
    done_once(call, tenant, row)

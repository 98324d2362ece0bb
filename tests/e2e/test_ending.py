"""The end of a tenant on the running stack: marked, saved once more, and brought back with everything it had."""

import hashlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import test_files
import test_restore
import test_volumes
from addons.loomworks_storage.reconciler.retention import DELETED_AT, RETENTION_DAYS
from addons.loomworks_tenant.kube import names
from conftest import Refused

small = test_volumes.small  # a fixture
row_of, finished = test_files.row_of, test_files.finished  # fixtures

LOOKS = 12  # suspended, told, archived; told, erased; and those that another transaction was in the way of
YESTERDAY = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
TABLES = ("res_partner", "ir_attachment", "res_company")
FINGERPRINT = """
    SELECT md5(string_agg(t::text, '|' ORDER BY id)) AS rows FROM {table} t
"""


@pytest.fixture
def expire(call):
    """Have the cron look for ends now."""
    domain = [["module", "=", "loomworks_tenant"], ["name", "=", "cron_expire"]]
    (found,) = call("ir.model.data", "search_read", domain=domain, fields=["res_id"])
    return lambda: call("ir.cron", "method_direct_trigger", ids=[found["res_id"]])


def rows_of(server, database, *tables):
    """Return a digest of the rows of each table."""
    with server.connect(database) as cr:
        found = {}
        for table in tables:
            cr.execute(FINGERPRINT.format(table=table))
            found[table] = cr.fetchone()["rows"]
        return found


def claim_of(kube, tenant):
    return kube.get("PersistentVolumeClaim", names.volume_claim(tenant.uuid), tenant.namespace)["metadata"]


def test_archived_tenant_comes_back_with_the_same_data(
    make_tenant, call, kube, server, administrator, in_pod, finished
):
    tenant = make_tenant()
    tenant.wait_settled("active")
    work = administrator(tenant)
    content = os.urandom(300_000)
    number, name = test_files.attach(work, content)
    file = f"/var/lib/odoo/filestore/{tenant.database}/{name}"
    before, volume = rows_of(server, tenant.database, *TABLES), claim_of(kube, tenant)["uid"]

    tenant.act("action_archive")
    tenant.wait_settled("archived")
    marks = claim_of(kube, tenant)["annotations"]
    dates = tenant.read("archived_at", "erase_at", "final_snapshot_id", "foreseen_erase_at")
    assert marks[DELETED_AT] == dates["archived_at"].replace(" ", "T") + "Z"
    assert marks[RETENTION_DAYS] == "30"
    assert dates["foreseen_erase_at"] == dates["erase_at"]
    snapshot = dates["final_snapshot_id"][0]
    test_restore.wait_for(
        lambda: call("loomworks.snapshot", "read", ids=[snapshot], fields=["state"])[0]["state"] == "ready"
    )
    backups = call("loomworks.files.backup", "search", domain=[["tenant_id", "=", tenant.id]])
    row = finished(backups[0])
    assert row["files"] >= 1
    assert not row["damaged"]
    state = call("loomworks.snapshot", "read", ids=[snapshot], fields=["files_state"])[0]["files_state"]
    assert state == "whole"
    with pytest.raises(Refused):
        call("loomworks.tenant", "write", ids=[tenant.id], vals={"erase_at": "2020-01-01 00:00:00"})

    tenant.act("restore_archived")
    tenant.wait_settled("active")
    assert rows_of(server, tenant.database, *TABLES) == before
    assert in_pod(tenant, "sha1sum", file).split()[0] == hashlib.sha1(content).hexdigest()
    assert test_files.content_of(work, number) == content
    claim = claim_of(kube, tenant)
    assert claim["uid"] == volume
    assert not {DELETED_AT, RETENTION_DAYS} & set(claim.get("annotations", {}))
    assert tenant.read("erase_at", "archived_at") == {"id": tenant.id, "erase_at": False, "archived_at": False}


@dataclass
class Kept:
    """A tenant with a file, and what it was like."""

    tenant: object
    rows: dict
    volume: str
    path: str
    digest: str


@pytest.fixture
def kept(make_tenant, small, customer, administrator, server, kube):
    """Make such a tenant, of a plan of its own."""
    tenant = make_tenant(plan=small[1], admin_ids=[[6, 0, [customer[0]]]])
    tenant.wait_settled("active")
    content = os.urandom(300_000)
    _number, name = test_files.attach(administrator(tenant), content)
    rows, volume = rows_of(server, tenant.database, *TABLES), claim_of(kube, tenant)["uid"]
    path = f"/var/lib/odoo/filestore/{tenant.database}/{name}"
    return Kept(tenant, rows, volume, path, hashlib.sha1(content).hexdigest())


@pytest.fixture
def ended_in(call, small, expire):
    """Have a tenant's subscription be over since yesterday, look for ends until it is ``reached``, and once more."""

    def end(tenant, ended_days, retention_days, reached, **reason):
        terms = {"ended_days": ended_days, "retention_days": retention_days, "terms_reason": "a test"}
        call("loomworks.plan", "write", ids=[small[0]], vals=terms)
        tenant.act("write", vals={"subscription_expires": YESTERDAY, **reason})
        over = False
        for _look in range(LOOKS):
            expire()
            if over:
                return
            over = reached(tenant.wait(lambda values: not values["working"]))
        raise AssertionError(f"not reached by {LOOKS} looks: {tenant.wait(bool)}")

    return end


def test_ended_tenant_is_suspended_archived_and_comes_back_with_the_same_data(kept, ended_in, kube, server, in_pod):
    tenant = kept.tenant
    ended_in(tenant, 0, 30, lambda values: values["state"] == "archived")
    tenant.wait_settled("archived")
    marks = claim_of(kube, tenant)
    assert (marks["uid"], marks["annotations"][RETENTION_DAYS]) == (kept.volume, "30")
    assert kube.get("Deployment", names.ODOO, tenant.namespace) is None
    assert tenant.read("erase_requested") == {"id": tenant.id, "erase_requested": False}

    with pytest.raises(Refused, match="Extend it first"):
        tenant.act("restore_archived")
    with pytest.raises(Refused, match="Say why"):
        tenant.act("write", vals={"subscription_expires": "2099-01-01"})
    tenant.act("write", vals={"subscription_expires": "2099-01-01", "expires_reason": "they pay again"})
    tenant.act("restore_archived")
    tenant.wait_settled("active")
    assert rows_of(server, tenant.database, *TABLES) == kept.rows
    assert claim_of(kube, tenant)["uid"] == kept.volume
    assert in_pod(tenant, "sha1sum", kept.path).split()[0] == kept.digest


def test_tenant_whose_days_are_over_is_gone_and_its_people_were_told_of_each(kept, ended_in, kube, server, mails):
    tenant = kept.tenant
    ended_in(tenant, 0, 0, lambda values: values["erased_at"])
    assert kube.get("Namespace", tenant.namespace) is None
    assert server.database(tenant.database) is None
    assert kube.get("Secret", f"files-{tenant.uuid}", "lw-keys") is None
    name = tenant.read("name")["name"]
    assert mails(tenant) == [
        f"The subscription of “{name}” has ended",
        f"“{name}” will be archived",
        f"“{name}” has been archived",
        f"All data of “{name}” will be deleted",
        f"All data of “{name}” has been deleted",
    ]


def test_end_that_is_moved_is_marked_on_the_claim(make_tenant, kube):
    tenant = make_tenant()
    tenant.wait_settled("active")
    tenant.act("action_archive")
    tenant.wait_settled("archived")
    tenant.act("action_change_end", moment="2099-01-01 00:00:00", reason="a dispute")
    tenant.wait_settled("archived")
    assert int(claim_of(kube, tenant)["annotations"][RETENTION_DAYS]) > 10_000

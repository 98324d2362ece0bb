"""The end of a tenant on the running stack: marked, saved once more, and brought back with everything it had."""

import hashlib
import os

import pytest
import test_files
import test_restore
from addons.loomworks_storage.reconciler.retention import DELETED_AT, RETENTION_DAYS
from addons.loomworks_tenant.kube import names
from conftest import Refused

in_pod, row_of, finished = test_files.in_pod, test_files.row_of, test_files.finished  # fixtures

FINGERPRINT = """
    SELECT md5(string_agg(t::text, '|' ORDER BY id)) AS rows FROM {table} t
"""


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
    tables = ("res_partner", "ir_attachment", "res_company")
    before, volume = rows_of(server, tenant.database, *tables), claim_of(kube, tenant)["uid"]

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
    assert rows_of(server, tenant.database, *tables) == before
    assert in_pod(tenant, "sha1sum", file).split()[0] == hashlib.sha1(content).hexdigest()
    assert test_files.content_of(work, number) == content
    claim = claim_of(kube, tenant)
    assert claim["uid"] == volume
    assert not {DELETED_AT, RETENTION_DAYS} & set(claim.get("annotations", {}))
    assert tenant.read("erase_at", "archived_at") == {"id": tenant.id, "erase_at": False, "archived_at": False}


def test_end_that_is_moved_is_marked_on_the_claim(make_tenant, kube):
    tenant = make_tenant()
    tenant.wait_settled("active")
    tenant.act("action_archive")
    tenant.wait_settled("archived")
    tenant.act("action_change_end", moment="2099-01-01 00:00:00", reason="a dispute")
    tenant.wait_settled("archived")
    assert int(claim_of(kube, tenant)["annotations"][RETENTION_DAYS]) > 10_000

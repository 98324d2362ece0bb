"""A fresh volume on the running stack: another claim, the same database, every file byte for byte."""

import hashlib
import os

import pytest
import test_files
import test_restore
import test_volumes
from addons.loomworks_tenant.kube import names
from conftest import Refused
from test_ending import rows_of

RESET = "loomworks.reset"

finished, row_of = test_files.finished, test_files.row_of  # fixtures
lose, claim_of = test_volumes.lose, test_volumes.claim_of  # more of them


@pytest.fixture
def over(call):
    """Wait for the end of a reset; return the row."""

    def wait(number):
        def ended():
            row = call(RESET, "read", ids=[number])[0]
            return row["state"] == "done" and row

        return test_restore.wait_for(ended, otherwise=lambda: call(RESET, "read", ids=[number]))

    return wait


def uid_of(kube, tenant):
    return kube.get("PersistentVolumeClaim", names.volume_claim(tenant.uuid), tenant.namespace)["metadata"]["uid"]


@pytest.fixture
def tenant(make_tenant, customer, mails):
    """A tenant that serves; its customer is told of what is done to it."""
    made = make_tenant(admin_ids=[[6, 0, [customer[0]]]])
    made.wait_settled("active")
    made.mails = lambda: mails(made)
    return made


def test_reset_makes_a_fresh_volume_with_the_same_data(tenant, call, kube, server, administrator, in_pod, over):
    work = administrator(tenant)
    content = os.urandom(400_000)
    _number, name = test_files.attach(work, content)
    file = f"/var/lib/odoo/filestore/{tenant.database}/{name}"
    in_pod(tenant, "sh", "-c", "echo garbage > /var/lib/odoo/garbage")
    before, old = rows_of(server, tenant.database, "res_partner", "ir_attachment"), uid_of(kube, tenant)
    with pytest.raises(Refused, match="Type the tenant's name"):
        tenant.act("action_reset", confirm_name="another")

    row = over(tenant.act("action_reset", confirm_name=tenant.read("name")["name"]))
    tenant.wait_settled("active")
    assert uid_of(kube, tenant) != old == row["old_claim"]
    assert row["configuration"]["claim"]["metadata"]["uid"] == old
    assert rows_of(server, tenant.database, "res_partner", "ir_attachment") == before
    assert in_pod(tenant, "sha1sum", file).split()[0] == hashlib.sha1(content).hexdigest()
    assert "garbage" not in in_pod(tenant, "ls", "/var/lib/odoo")
    snapshot = call("loomworks.snapshot", "read", ids=[row["snapshot_id"][0]], fields=["state"])[0]
    assert snapshot["state"] == "ready"
    domain = [["record_id", "=", tenant.id], ["model_name", "=", "loomworks.tenant"], ["action", "=like", "reset%"]]
    actions = [entry["action"] for entry in call("loomworks.audit", "search_read", domain=domain, fields=["action"])]
    assert sorted(actions) == ["reset", "reset_done", "reset_replace"]
    name = tenant.read("name")["name"]
    assert tenant.mails() == [f"“{name}” gets a fresh volume", f"“{name}” has a fresh volume"]


def test_claim_that_somebody_deleted_comes_back_with_the_files_of_the_last_backup(
    tenant, server, administrator, in_pod, over, finished, lose
):
    work = administrator(tenant)
    saved, unsaved = os.urandom(200_000), os.urandom(100_000)
    _number, kept = test_files.attach(work, saved)
    backup = finished(tenant.act("action_back_up_files")[0])["id"]
    _number, lost = test_files.attach(work, unsaved)
    before = rows_of(server, tenant.database, "res_partner", "ir_attachment")
    lose(tenant)
    row = over(tenant.act("action_reset", confirm_name=tenant.read("name")["name"]))
    tenant.wait_settled("active")
    assert (row["old_claim"], row["files_backup_id"][0]) == (False, backup)
    assert rows_of(server, tenant.database, "res_partner", "ir_attachment") == before
    there = in_pod(tenant, "find", f"/var/lib/odoo/filestore/{tenant.database}", "-type", "f")
    assert kept in there
    assert lost not in there
    assert any("fresh volume" in subject for subject in tenant.mails())


def test_cancelled_reset_leaves_the_volume(make_tenant, call, kube):
    tenant = make_tenant()
    tenant.wait_settled("active")
    old = uid_of(kube, tenant)
    number = tenant.act("action_reset", confirm_name=tenant.read("name")["name"])
    call(RESET, "action_cancel", ids=[number])  # at once: Odoo takes its seconds to stop
    tenant.wait_settled("active")
    assert uid_of(kube, tenant) == old
    assert tenant.get("/web/login").status_code == 200

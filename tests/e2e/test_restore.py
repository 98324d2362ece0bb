"""One tenant restored out of a shared server, on the running stack: put in place, and taken back."""

import base64
import subprocess
import time
import xmlrpc.client
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import requests
from conftest import PATIENCE, Refused, business, provisioning_server, repeated
from test_killed_control_plane import kill, wait_back

GOING_ON = ("waiting", "restoring", "placing", "going_back")


def wait_for(reached, seconds=PATIENCE, otherwise=lambda: ""):
    end = time.monotonic() + seconds
    while not (found := reached()):
        assert time.monotonic() < end, f"not reached in {seconds} s: {otherwise()}"
        time.sleep(0.2)
    return found


@pytest.fixture
def snapshot_of(call):
    """Take a snapshot of a tenant and wait until it is ready."""

    def take(tenant):
        (number,) = tenant.act("action_create_snapshot")

        def ready():
            row = call("loomworks.snapshot", "read", ids=[number], fields=["state", "verify_message"])[0]
            assert row["state"] != "failed", row
            return row["state"] == "ready"

        wait_for(ready)
        return number

    return take


@pytest.fixture
def settled(call):
    """Wait until a restore has come to its end; return the row."""

    def wait(number, state="done"):
        def ended():
            (row,) = call("loomworks.restore", "read", ids=[number])
            assert row["state"] in (*GOING_ON, state), (row["error_message"], row)
            return row["state"] == state and row

        def otherwise():
            (row,) = call("loomworks.restore", "read", ids=[number])
            domain = [["tenant_id", "=", row["tenant_id"][0]]]
            return row, call("loomworks.tenant.step", "search_read", domain=domain, fields=["code", "state", "message"])

        return wait_for(ended, 2 * PATIENCE, otherwise)

    return wait


@contextmanager
def watched(tenant):
    """Ask the tenant's login page all the time; offer how long its users were without it, in seconds."""
    gaps, last = [0.0], [time.monotonic()]

    def watch():
        if tenant.get("/web/login").status_code == 200:
            last.append(time.monotonic())
            gaps.append(last[-1] - last[-2])

    with repeated(watch, 0.05):
        yield gaps


def by_xml_rpc(tenant, database, method, *params):
    """Call the service "common" of a tenant, naming a database."""
    body = xmlrpc.client.dumps((database, *params), method)
    url = f"http://{tenant.stack['LOOMWORKS_EDGE']}/xmlrpc/2/common"
    headers = {"Host": tenant.host, "Content-Type": "text/xml"}
    answer = requests.post(url, data=body, headers=headers, timeout=60)
    return xmlrpc.client.loads(answer.text)[0][0]


def test_back_to_a_snapshot_and_back_again(make_tenant, acme, call, server, administrator, snapshot_of, settled):
    tenant = make_tenant()
    tenant.wait_settled("active")
    work = administrator(tenant)
    content = base64.b64encode(b"kept on the volume").decode()
    attachment = work("ir.attachment", "create", [{"name": "kept.txt", "datas": content}])[0]
    partner = work("res.partner", "create", [{"name": "as it was"}])[0]
    before = business(server, tenant.database)
    neighbour = business(server, acme.database)
    snapshot = snapshot_of(tenant)
    work("res.partner", "write", [partner], {"name": "a mistake"})
    work("ir.attachment", "unlink", [attachment])
    mistaken = business(server, tenant.database)
    assert mistaken != before

    with watched(tenant) as gaps:
        number = call("loomworks.snapshot", "action_restore", ids=[snapshot])
        row = settled(number)
    assert row["new_database"] != tenant.database == row["old_database"]
    assert business(server, row["new_database"]) == before
    assert work("res.partner", "read", [partner], ["name"])[0]["name"] == "as it was"
    assert base64.b64decode(work("ir.attachment", "read", [attachment], ["datas"])[0]["datas"]) == b"kept on the volume"
    assert business(server, acme.database) == neighbour
    assert by_xml_rpc(tenant, row["old_database"], "authenticate", "nobody", "wrong", {}) is False  # it has got there
    print(f"changed in {row['switch_seconds']} s, longest gap {max(gaps):.2f} s, {row['report']['seconds']}")

    call("loomworks.restore", "action_go_back", ids=[number])
    settled(number, "gone_back")
    assert work("res.partner", "read", [partner], ["name"])[0]["name"] == "a mistake"
    assert business(server, tenant.database) == mistaken
    with pytest.raises(Refused):
        call("loomworks.restore", "action_go_back", ids=[number])


def test_back_to_a_time(mistaken, settled):
    number = mistaken.take_back()
    with pytest.raises(Refused, match="going on already"):
        mistaken.take_back()
    settled(number)
    assert mistaken.name() == "as it was"


def test_moments_that_cannot_be_restored(acme, call):
    with pytest.raises(Refused, match="in the future"):
        acme.act("restore_to", moment="2099-01-01 00:00:00")
    with pytest.raises(Refused, match="after this moment"):
        acme.act("restore_to", moment="2020-01-01 00:00:00")


@pytest.mark.alone
@pytest.mark.parametrize("state", ["restoring", "placing"])
def test_control_plane_killed_meanwhile(mistaken, call, kube, server, settled, state):
    tenant = mistaken.tenant
    number = mistaken.take_back()
    wait_for(lambda: call("loomworks.restore", "read", ids=[number], fields=["state"])[0]["state"] == state)
    kill(kube, tenant.stack)
    wait_back(tenant.stack)
    row = settled(number)
    assert mistaken.name() == "as it was"
    assert sorted(server.databases_of(tenant.database)) == sorted([row["old_database"], row["new_database"]])


def restart(kube, stack):
    """End the database server, as good as at once, and wait until the control plane has it again."""
    old = kube.get("Pod", "postgres-0", "loomworks")["metadata"]["uid"]
    kubectl = [stack["LOOMWORKS_KUBECTL"], f"--kubeconfig={stack['KUBECONFIG']}", "-n", "loomworks"]
    command = [*kubectl, "delete", "pod", "postgres-0", "--grace-period=1"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)

    def another():
        pod = kube.get("Pod", "postgres-0", "loomworks") or {}
        ready = [one["status"] for one in pod.get("status", {}).get("conditions", []) if one["type"] == "Ready"]
        return pod and pod["metadata"]["uid"] != old and ready == ["True"]

    def served():
        try:
            answer = requests.get(f"{stack['LOOMWORKS_URL']}/web/health?db_server_status=1", timeout=30)
            return answer.status_code == 200
        except requests.RequestException:
            return False

    wait_for(another)
    wait_for(served)


@pytest.fixture
def neighbour(acme, administrator):
    """The administrator of a tenant whose Odoo has been running for long, and goes on."""
    return administrator(acme)


@dataclass
class Due:
    """A scheduled action that is due, and when it ran last."""

    number: int
    last: str


def make_due(work):
    """Have an Odoo's cleaning up be due, which nobody wakes it for."""
    (row,) = work(
        "ir.model.data", "search_read", [["name", "=", "autovacuum_job"], ["module", "=", "base"]], ["res_id"]
    )
    (cron,) = work("ir.cron", "read", [row["res_id"]], ["lastcall"])
    work("ir.cron", "write", [cron["id"]], {"nextcall": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())})
    return Due(cron["id"], cron["lastcall"])


@pytest.mark.alone
@pytest.mark.parametrize("stage", ["replay", "load"])
def test_database_server_restarted_meanwhile(mistaken, neighbour, call, kube, stack, settled, stage):
    tenant = mistaken.tenant
    number = mistaken.take_back()
    at_last = [stage, "restored"]  # a stage can be over before anybody looks
    wait_for(lambda: call("loomworks.restore", "read", ids=[number], fields=["stage"])[0]["stage"] in at_last)
    restart(kube, stack)
    cron = make_due(neighbour)
    row = settled(number)
    assert business(provisioning_server(kube), row["new_database"]) == mistaken.before
    wait_for(lambda: tenant.get("/web/login").status_code == 200)
    assert mistaken.name() == "as it was"
    names = provisioning_server(kube).databases_of(tenant.database)
    assert sorted(names) == sorted([row["old_database"], row["new_database"]])  # nothing half done is left
    wait_for(lambda: neighbour("ir.cron", "read", [cron.number], ["lastcall"])[0]["lastcall"] != cron.last)

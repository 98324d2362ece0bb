"""Copies of a tenant on the running stack: for tests, neutralised; and for good, as of a moment."""

import base64
import time

import pytest
import requests
from conftest import PASSWORD, Administrator, Refused, Tenant, business
from harness import engines
from test_killed_control_plane import kill, wait_back
from test_restore import snapshot_of, wait_for  # noqa: F401 (a fixture)

engines.register()

from addons.loomworks_snapshot.restoring import neutral  # noqa: E402  (only importable once registered)
from addons.loomworks_tenant.kube.names import volume_claim as claim_name  # noqa: E402
from addons.loomworks_tenant.reconciler.spec import first_database  # noqa: E402


@pytest.fixture
def copy_of(call, stack):
    """Make copies; whatever a test leaves is removed at its end."""
    made = []

    def make(model, number, **values):
        copy_id = call(model, "action_clone", ids=[number], **values)
        row = call("loomworks.tenant", "read", ids=[copy_id], fields=["uuid", "database_name"])[0]
        copy = Tenant(call, stack, copy_id, row["uuid"], values["subdomain"], row["database_name"])
        made.append(copy)
        return copy

    yield make
    for copy in made:
        if not copy.read("erased_at")["erased_at"]:
            copy.act("action_archive")
            copy.act("action_erase", confirm_name=copy.read("name")["name"], reason="the test is over")


def log_in(tenant, login, password=PASSWORD):
    """Log in by the tenant's own page; return the administrator at work, or None when it is refused."""
    session = requests.Session()
    session.headers["Host"] = tenant.host
    url = f"http://{tenant.stack['LOOMWORKS_EDGE']}/web/session/authenticate"
    params = {"db": tenant.database, "login": login, "password": password}
    answer = session.post(url, json={"jsonrpc": "2.0", "params": params}, timeout=60).json()
    return Administrator(tenant, session) if answer.get("result", {}).get("uid") else None


def test_copy_for_tests_reaches_nobody_and_leaves_the_original_alone(
    make_tenant,
    call,
    kube,
    server,
    administrator,
    copy_of,
    snapshot_of,  # noqa: F811
):
    tenant = make_tenant()
    tenant.wait_settled("active")
    work = administrator(tenant)
    partner = work("res.partner", "create", [{"name": "as it was"}])[0]
    content = base64.b64encode(b"kept on the volume").decode()
    attachment = work("ir.attachment", "create", [{"name": "kept.txt", "datas": content}])[0]
    work("ir.mail_server", "create", [{"name": "own", "smtp_host": "smtp.example.com", "smtp_port": 25}])
    login = work("res.users", "read", [2], ["login"])[0]["login"]
    snapshot = snapshot_of(tenant)
    work("res.partner", "write", [partner], {"name": "later"})
    work("ir.attachment", "unlink", [attachment])
    before = business(server, tenant.database)

    began = time.monotonic()
    subdomain = f"{tenant.subdomain}-test"
    copy = copy_of("loomworks.snapshot", snapshot, name="For tests", subdomain=subdomain)
    copy.wait_settled("active")
    print(f"a copy for tests served after {time.monotonic() - began:.1f} s")
    steps = call(
        "loomworks.tenant.step", "search_read", domain=[["tenant_id", "=", copy.id]], fields=["code", "seconds"]
    )
    print({step["code"]: step["seconds"] for step in steps})

    with server.connect(copy.database) as cr:
        assert neutral.live(cr) == []
        cr.execute("SELECT count(*) AS count FROM ir_mail_server WHERE active AND smtp_host <> 'invalid'")
        assert cr.fetchone()["count"] == 0
    there = log_in(copy, login)
    assert there, "users log in to a copy as they do to the original"
    assert there("res.partner", "read", [partner], ["name"])[0]["name"] == "as it was"
    assert (
        base64.b64decode(there("ir.attachment", "read", [attachment], ["datas"])[0]["datas"]) == b"kept on the volume"
    )
    page = there.session.get(f"http://{copy.stack['LOOMWORKS_EDGE']}/odoo", timeout=60)
    assert "neutralize" in page.text
    there("res.partner", "write", [partner], {"name": "only in the copy"})

    assert business(server, tenant.database) == before
    with server.connect(tenant.database) as cr:
        assert neutral.live(cr)  # the original goes on
    # A session of the one is nothing to the other.
    work.session.headers["Host"] = copy.host
    with pytest.raises((Refused, KeyError)):
        work("res.partner", "read", [partner], ["name"])
    names = [item["metadata"]["name"] for item in kube.list("Job", copy.namespace)]
    assert not any(name.startswith("neutralise") for name in names)

    copy.act("action_remove_copy", confirm_name="For tests")
    copy.wait(lambda values: values["erased_at"])
    assert server.database(copy.database) is None
    assert kube.get("Namespace", copy.namespace) is None
    assert tenant.get("/web/login").status_code == 200


def test_copy_of_a_tenant_whose_database_somebody_has_dropped(mistaken, server, copy_of):
    tenant = mistaken.tenant
    content = base64.b64encode(b"a file, as every tenant that was used has").decode()
    mistaken.work("ir.attachment", "create", [{"name": "kept.txt", "datas": content}])
    server.drop_database(tenant.database)
    values = {"name": "Back", "subdomain": f"{tenant.subdomain}-back", "neutralise": False, "moment": mistaken.moment}
    copy = copy_of("loomworks.tenant", tenant.id, **values)
    copy.wait_settled("active")
    assert business(server, copy.database)["res_partner"] == mistaken.before["res_partner"]


def test_copy_for_good_of_a_moment_on_another_plan(mistaken, call, kube, server, copy_of):
    tenant, partner = mistaken.tenant, mistaken.partner
    (larger,) = call("loomworks.plan", "search", domain=[["code", "=", "pro"]])
    values = {"name": "Next", "subdomain": f"{tenant.subdomain}-next", "neutralise": False, "moment": mistaken.moment}
    copy = copy_of("loomworks.tenant", tenant.id, plan_id=larger, **values)
    copy.wait_settled("active")
    sizes = [
        kube.get("PersistentVolumeClaim", claim_name(one.uuid), one.namespace)["status"]["capacity"]["storage"]
        for one in (tenant, copy)
    ]
    assert sizes == ["5Gi", "20Gi"]
    there = log_in(copy, mistaken.work("res.users", "read", [2], ["login"])[0]["login"])
    assert there("res.partner", "read", [partner], ["name"])[0]["name"] == "as it was"
    with server.connect(copy.database) as cr:
        cr.execute("SELECT value FROM ir_config_parameter WHERE key = 'database.is_neutralized'")
        assert not cr.fetchone()
    # It is a tenant like any other: it can be brought back, too.
    there("res.partner", "write", [partner], {"name": "a mistake"})
    time.sleep(1.1)
    number = copy.act("restore_to", moment=copy.read("converged_at")["converged_at"])
    wait_for(
        lambda: call("loomworks.restore", "read", ids=[number], fields=["state"])[0]["state"] == "done",
        otherwise=lambda: call("loomworks.restore", "read", ids=[number]),
    )
    assert there("res.partner", "read", [partner], ["name"])[0]["name"] == "as it was"


@pytest.mark.alone
@pytest.mark.parametrize("step", ["neutralise", pytest.param("copy", marks=pytest.mark.long)])
def test_copy_is_finished_by_the_next_control_plane(make_tenant, call, kube, server, administrator, copy_of, step):
    tenant = make_tenant()
    tenant.wait_settled("active")
    work = administrator(tenant)
    partner = work("res.partner", "create", [{"name": "as it was"}])[0]
    work("ir.mail_server", "create", [{"name": "own", "smtp_host": "smtp.example.com", "smtp_port": 25}])
    before = business(server, tenant.database)
    copy = copy_of("loomworks.tenant", tenant.id, name="For tests", subdomain=f"{tenant.subdomain}-test")
    while copy.steps().get(step, {}).get("state") in (None, "pending"):
        time.sleep(0.01)
    kill(kube, tenant.stack)
    wait_back(tenant.stack)
    assert not copy.wait_settled("active")["error_message"]
    with server.connect(copy.database) as cr:
        assert neutral.live(cr) == []
    there = log_in(copy, work("res.users", "read", [2], ["login"])[0]["login"])
    assert there("res.partner", "read", [partner], ["name"])[0]["name"] == "as it was"
    assert server.databases_of(first_database(copy.uuid)) == [copy.database]
    assert business(server, tenant.database) == before

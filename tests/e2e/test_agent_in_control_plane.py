"""An agent at work in the control plane: what it did is undone, and the cluster follows."""

import secrets
import time

import pytest
from conftest import PATIENCE, Json2, Refused
from harness import engines

engines.register()

from addons.loomworks_ai.journal import rules  # noqa: E402  (only importable once registered)
from addons.loomworks_tenant.kube import names  # noqa: E402  (only importable once registered)

LOG = "loomworks.ai.operation.log"
GROUPS = ("group_agent", "group_operator")


@pytest.fixture
def agent(call, stack):
    """The calls of an AI agent who operates the platform."""
    domain = [["name", "in", GROUPS], ["model", "=", "res.groups"]]
    groups = [row["res_id"] for row in call("ir.model.data", "search_read", domain=domain, fields=["res_id"])]
    values = {"name": "Robin", "login": f"agent-{secrets.token_hex(4)}", "group_ids": [[6, 0, groups]]}
    (uid,) = call("res.users", "create", vals_list=[values])
    (wizard,) = call("loomworks.ai.agent.key", "create", vals_list=[{"agent_id": uid, "days": "1"}])
    key = call("loomworks.ai.agent.key", "action_make", ids=[wizard])["context"]["default_key"]
    yield Json2(stack["LOOMWORKS_URL"], key)
    call("res.users", "write", ids=[uid], vals={"active": False})


@pytest.fixture
def bigger_plan(call):
    """A plan like Basic, with more memory and more users; volumes only grow, so theirs is the same."""
    (basic,) = call("loomworks.plan", "search", domain=[["code", "=", "basic"]])
    values = {"name": "Bigger", "code": f"b{secrets.token_hex(4)}", "memory_limit": "1536Mi", "max_users": 77}
    (plan,) = call("loomworks.plan", "copy", ids=[basic], default={**values, "keep_template_ready": False})
    yield plan
    call("loomworks.plan", "write", ids=[plan], vals={"active": False})


def test_a_change_of_plan_is_undone_in_the_cluster_too(call, agent, make_tenant, bigger_plan, kube, server):
    tenant = make_tenant()
    tenant.wait_settled("active")
    before = tenant.read("plan_id", "max_users")
    first = (memory_limit(kube, tenant), user_limit(server, tenant))

    agent("loomworks.tenant", "write", ids=[tenant.id], vals={"plan_id": bigger_plan})
    wait_for(lambda: (memory_limit(kube, tenant), user_limit(server, tenant)) == ("1536Mi", "77"))
    tenant.wait_settled("active")
    last = {"domain": [["method_name", "=", "write"]], "fields": ["state"], "limit": 1}
    (operation,) = agent(LOG, "search_read", **last)
    assert operation["state"] == "done"

    told = call(LOG, "action_undo", ids=[operation["id"]])
    assert told["done"], told
    wait_for(lambda: (memory_limit(kube, tenant), user_limit(server, tenant)) == first)
    tenant.wait_settled("active")
    assert tenant.read("plan_id", "max_users") == before
    entries = call("loomworks.audit", "search_read", domain=[["record_id", "=", tenant.id]], fields=["action"])
    assert {"change", "undo"} <= {entry["action"] for entry in entries}
    with pytest.raises(Refused):  # a person's undo is not the agent's to take back
        agent(LOG, "action_redo", ids=[operation["id"]])


def test_an_agent_takes_a_snapshot_before_it_works_and_no_undo_takes_that_away(call, agent, make_tenant):
    tenant = make_tenant()
    tenant.wait_settled("active")
    (number,) = agent("loomworks.tenant", "action_create_snapshot", ids=[tenant.id], name="Before tidying up")

    def snapshot():
        return call("loomworks.snapshot", "read", ids=[number], fields=["name", "state", "verify_message"])[0]

    wait_for(lambda: snapshot()["state"] == "ready")
    assert snapshot()["name"] == "Before tidying up"
    last = {"domain": [["method_name", "=", "action_create_snapshot"]], "fields": ["state"], "limit": 1}
    (operation,) = agent(LOG, "search_read", **last)
    assert operation["state"] == "done"
    for choice in ("refuse", "ours"):
        told = call(LOG, "action_undo", ids=[operation["id"]], on_conflict=choice)
        assert not told["done"], told
        assert "outside of this database" in told["conflicts"][-1]["message"]
    assert snapshot()["state"] == "ready"


def test_a_tenants_database_captures_every_table(make_tenant, server, acme):
    """But for what is documented as left out, and what dialogs keep for a while."""
    with server.connect(acme.database) as cr:
        cr.execute(
            """
            SELECT c.relname AS name, EXISTS (
                SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = '00_loomworks_capture') AS captured
            FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
            """
        )
        tables = {row["name"]: row["captured"] for row in cr.fetchall()}
        cr.execute(
            """
            SELECT replace(model, '.', '_') AS name FROM ir_model WHERE transient UNION
            SELECT f.relation_table FROM ir_model_fields f JOIN ir_model m ON m.id = f.model_id
            WHERE m.transient AND f.relation_table IS NOT NULL
            """
        )
        dialogs = {row["name"] for row in cr.fetchall()}
        cr.execute("SELECT pg_get_userbyid(nspowner) AS owner FROM pg_namespace WHERE nspname = 'loomworks'")
        assert cr.fetchone() == {"owner": acme.database}
    assert len(tables) > 100
    assert all(tables[name] for name in ("res_partner", "res_users", "ir_attachment", "res_groups_users_rel"))
    others = {name for name, captured in tables.items() if not captured} - rules.LEFT_OUT - rules.SECRET_TABLES
    assert others <= dialogs


def memory_limit(kube, tenant):
    deployment = kube.get("Deployment", names.ODOO, tenant.namespace)
    return deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]


def user_limit(server, tenant):
    with server.connect(tenant.database) as cr:
        cr.execute("SELECT value FROM ir_config_parameter WHERE key = 'loomworks.max_users'")
        return cr.fetchone()["value"]


def wait_for(reached):
    end = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.5)

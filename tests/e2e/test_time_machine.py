"""A tenant's past as its time machine tells it, and the way back to just before an agent's operation."""

import itertools
import secrets
import time
from contextlib import contextmanager, suppress

import pytest
import requests
from conftest import Json2, Refused, business, repeated
from test_restore import settled, wait_for  # noqa: F401 (a fixture)

MADE = "made by the agent "
LOG = "loomworks.ai.operation.log"
GROUPS = ("group_agent", "group_partner_manager")


@pytest.fixture
def hire(stack):
    """Make an agent in a tenant's own Odoo, and return its calls."""

    def hire(tenant, work):
        domain = [["name", "in", GROUPS], ["model", "=", "res.groups"]]
        groups = [row["res_id"] for row in work("ir.model.data", "search_read", domain, ["res_id"])]
        login = f"robin-{secrets.token_hex(4)}"
        (agent,) = work("res.users", "create", [{"name": "Robin", "login": login, "group_ids": [[6, 0, groups]]}])
        (wizard,) = work("loomworks.ai.agent.key", "create", [{"agent_id": agent, "days": "1"}])
        key = work("loomworks.ai.agent.key", "action_make", [wizard])["context"]["default_key"]
        return login, Json2(f"http://{stack['LOOMWORKS_EDGE']}", key, tenant.host)

    return hire


def test_to_just_before_an_agents_operation(make_tenant, call, server, administrator, hire, settled):  # noqa: F811
    tenant = make_tenant()
    tenant.wait_settled("active")
    work = administrator(tenant)
    login, agent = hire(tenant, work)
    (partner,) = work("res.partner", "create", [{"name": "as it was"}])
    agent("res.partner", "write", ids=[partner], vals={"name": "a good change"})
    before = business(server, tenant.database)
    agent("res.partner", "write", ids=[partner], vals={"name": "a mistake"})
    work("res.partner", "create", [{"name": "entered since"}])

    mistake, good = tenant.act("read_operations")[:2]
    assert (mistake["agent"], mistake["model"], mistake["kind"], mistake["state"]) == (
        login,
        "res.partner",
        "write",
        "done",
    )
    assert mistake["changes"] > 0
    assert mistake["number"] > good["number"]
    data = tenant.act("time_machine")
    assert mistake in data["operations"]
    assert (data["notes"], data["progress"]) == ([], False)
    assert data["restorable"][-1]["until"] == data["now"]
    said = tenant.act("time_machine_at", operation_id=mistake["number"])
    assert said["restorable"], said
    assert said["lost"]["operations"] >= 1
    assert call(LOG, "search_count", domain=[["tenant_id", "=", tenant.id]]) == 0

    number = tenant.act("restore_before_operation", operation_id=mistake["number"])
    row = settled(number)
    assert business(server, row["new_database"]) == before
    assert work("res.partner", "read", [partner], ["name"])[0]["name"] == "a good change"
    (log,) = call(LOG, "search_read", domain=[["tenant_id", "=", tenant.id]], fields=["snapshot_id", "agent_name"])
    (snapshot,) = call(
        "loomworks.snapshot", "read", ids=[log["snapshot_id"][0]], fields=["snapshot_type", "state", "ready_seconds"]
    )
    assert (log["agent_name"], snapshot["snapshot_type"], snapshot["state"]) == (login, "pre_ai", "ready")
    took = tenant.act("time_machine_progress")
    assert {stage["state"] for stage in took["stages"]} == {"done"}
    print(f"snapshot proven after {snapshot['ready_seconds']} s, stages {row['total_seconds']} s", said["estimate"])
    print(took["started_at"], took["placed_at"])

    # The restored database lists what came before the mistake, and its agent works on under its key.
    assert [one["number"] for one in tenant.act("read_operations")] == [good["number"]]
    assert tenant.act("time_machine_at", operation_id=good["number"])["note"]
    agent("res.partner", "write", ids=[partner], vals={"name": "better"})
    assert len(tenant.act("read_operations")) == 2
    with pytest.raises(Refused, match="undo or redo it there"):
        call(LOG, "action_undo", ids=[log["id"]])
    with pytest.raises(Refused, match="lists no operation"):
        tenant.act("restore_before_operation", operation_id=10**6)

    call("loomworks.restore", "action_go_back", ids=[number])
    settled(number, "gone_back")
    assert work("res.partner", "read", [partner], ["name"])[0]["name"] == "a mistake"


@contextmanager
def at_work(agent):
    """Have the agent make one partner after another; offer the numbers of those it was told were made."""
    told, numbers = [], itertools.count()

    def work():
        number = next(numbers)
        with suppress(Refused, requests.RequestException):
            agent("res.partner", "create", vals_list=[{"name": f"{MADE}{number:06}"}])
            told.append(number)

    with repeated(work, 0.1):
        yield told


def made_in(server, database):
    """Return the numbers of the agent's partners that a database has."""
    with server.connect(database) as cr:
        cr.execute("SELECT name FROM res_partner WHERE name LIKE %s ORDER BY name", [f"{MADE}%"])
        return {int(row["name"].removeprefix(MADE)) for row in cr.fetchall()}


def test_an_agent_that_works_on_meanwhile_loses_nothing_it_was_told_of(
    make_tenant,
    call,
    server,
    administrator,
    hire,
    settled,  # noqa: F811
):
    tenant = make_tenant()
    tenant.wait_settled("active")
    _login, agent = hire(tenant, administrator(tenant))
    with at_work(agent) as told:
        wait_for(lambda: len(told) > 20)
        time.sleep(2.1)  # moments are given in whole seconds
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        time.sleep(1.1)
        after = len(told)
        row = settled(tenant.act("restore_to", moment=moment))
        reached = len(told)
        wait_for(lambda: len(told) > reached + 20)
    new = made_in(server, row["new_database"])
    listed = [one for one in tenant.act("read_operations", limit=500) if one["state"] == "done"]
    assert len({one["number"] for one in listed}) == len(listed) == len(new)  # the journal goes with its database
    call("loomworks.restore", "action_go_back", ids=[row["id"]])
    settled(row["id"], "gone_back")
    old = made_in(server, row["old_database"])
    assert set(told) <= old | new  # what it was told was made is in the one or the other
    kept, later = old & new, new - old
    assert kept == {number for number in told if number <= max(kept)}  # everything until the moment,
    assert 10 < len(kept) <= after  # nothing that came after it,
    assert later
    assert min(later) > max(old)  # and then what was made in the database that came
    assert set(told[reached:]) <= later
    print(f"{len(kept)} before the moment, {len(old - new)} in the old database only, {len(later)} in the new one")

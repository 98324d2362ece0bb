"""What agents do to a running Odoo through its interfaces, as the log and the journal have it."""

import re
import threading
import xmlrpc.client
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from agent_calls import AgentClient, Refused
from harness import engines
from harness.sinks import web_server
from odoo_server import OdooServer

engines.register()

from addons.loomworks_tenant.postgres.identity import set_parameters  # noqa: E402  (only importable once registered)

LOG = "loomworks.ai.operation.log"
FIELDS = [
    "session_id",
    "agent_id",
    "user_id",
    "tool_name",
    "operation_type",
    "model_name",
    "method_name",
    "record_ids",
    "state",
    "error_message",
    "execution_time_ms",
    "row_changes",
    "lsn",
    "timeline",
    "undone",
]


@pytest.fixture(scope="module")
def hire(odoo, role, session_cookie):
    """Return a function that makes an agent with a key."""

    def hire(login, session="", groups=()):
        names = ["loomworks_ai.group_agent", "base.group_partner_manager", *groups]
        ids = [odoo.call("ir.model.data", "check_object_reference", *name.split("."))[1] for name in names]
        values = {"name": login, "login": login, "group_ids": [[6, 0, ids]]}
        uid = odoo.call("res.users", "create", values)
        wizard = odoo.call("loomworks.ai.agent.key", "create", {"agent_id": uid, "days": "7"})
        key = odoo.call("loomworks.ai.agent.key", "action_make", [wizard])["context"]["default_key"]
        return AgentClient(odoo.port, role.name, uid, key, session)

    return hire


@pytest.fixture(scope="module")
def agent(hire):
    return hire("robin", session="tidy-up")


@pytest.fixture(scope="module")
def other(hire):
    return hire("sam")


@pytest.fixture
def partner(odoo):
    return odoo.call("res.partner", "create", {"name": "Azure", "phone": "1"})


def logs(odoo, domain=()):
    return odoo.call(LOG, "search_read", list(domain), FIELDS, order="id")


def last(odoo):
    return logs(odoo)[-1]


def test_a_writing_request_is_one_row(odoo, agent, partner):
    before = len(logs(odoo))
    agent("res.partner", "write", ids=[partner], vals={"phone": "2"})
    assert len(logs(odoo)) == before + 1
    row = last(odoo)
    assert row["agent_id"][0] == row["user_id"][0] == agent.uid
    assert row["session_id"] == "tidy-up"
    assert row["tool_name"] == "json2"
    assert (row["operation_type"], row["model_name"], row["method_name"]) == ("write", "res.partner", "write")
    assert row["record_ids"] == [partner]
    assert row["state"] == "done"
    assert row["row_changes"] >= 1
    assert row["execution_time_ms"] >= 1
    assert "/" in row["lsn"]
    assert row["timeline"] == 1
    (values,) = odoo.call(LOG, "read", [row["id"]], ["values_before", "values_after"])
    assert values["values_before"]["res.partner"][str(partner)]["phone"] == "1"
    assert values["values_after"]["res.partner"][str(partner)]["phone"] == "2"


def test_what_a_request_on_no_records_has_made_is_listed(odoo, agent):
    made = agent("res.partner", "create", vals_list=[{"name": "One"}, {"name": "Two"}])
    assert last(odoo)["record_ids"] == made
    number = agent.xmlrpc("res.partner", "create", {"name": "Three"})
    assert last(odoo)["record_ids"] == [number]
    named = agent("res.partner", "name_create", name="Four")
    assert last(odoo)["record_ids"] == named[:1]
    (parent,) = agent("res.partner", "create", vals_list=[{"name": "Five", "child_ids": [[0, 0, {"name": "Six"}]]}])
    (child,) = odoo.call("res.partner", "search", [["parent_id", "=", parent]])
    assert last(odoo)["record_ids"] == [parent, child]
    agent("res.partner", "copy", ids=made[:1])
    assert last(odoo)["record_ids"] == made[:1]
    with pytest.raises(Refused):
        agent("res.partner", "create", vals_list=[{"name": False}])
    assert last(odoo)["record_ids"] == []


def test_reading_leaves_no_row(odoo, agent, partner):
    before = len(logs(odoo))
    agent("res.partner", "search_read", domain=[["id", "=", partner]], fields=["name", "phone"])
    agent("res.partner", "read", ids=[partner], fields=["name"])
    agent("res.partner", "name_search", name="Azure")
    agent.xmlrpc("res.partner", "search_count", [])
    with pytest.raises(Refused):
        agent("res.partner", "search_read", domain=[["nothing", "=", 1]])
    assert len(logs(odoo)) == before


def test_what_people_do_leaves_no_row(odoo, agent, partner):
    before = len(logs(odoo))
    odoo.call("res.partner", "write", [partner], {"phone": "3"})
    assert len(logs(odoo)) == before


def test_a_failed_call_leaves_a_failed_row_and_no_changes(odoo, agent, partner):
    with pytest.raises(Refused, match="name"):
        agent("res.partner", "write", ids=[partner], vals={"phone": "4", "is_company": False, "name": False})
    row = last(odoo)
    assert row["state"] == "failed"
    assert row["error_message"]
    assert odoo.call("res.partner", "read", [partner], ["phone"])[0]["phone"] == "1"


def test_a_forbidden_call_leaves_a_failed_row(odoo, agent):
    before = len(logs(odoo))
    with pytest.raises(Refused):
        agent("res.users", "write", ids=[2], vals={"name": "Mallory"})
    assert len(logs(odoo)) == before + 1
    assert last(odoo)["state"] == "failed"


def test_xmlrpc_is_an_operation_too(odoo, agent, partner):
    agent.xmlrpc("res.partner", "write", [partner], {"phone": "5"})
    row = last(odoo)
    assert (row["tool_name"], row["method_name"], row["state"], row["record_ids"], row["session_id"]) == (
        "rpc",
        "write",
        "done",
        [partner],
        "tidy-up",
    )
    with pytest.raises(xmlrpc.client.Fault):
        agent.xmlrpc("res.partner", "write", [partner], {"name": False})
    assert last(odoo)["state"] == "failed"
    assert agent(LOG, "action_undo", ids=[row["id"]])["done"]
    assert odoo.call("res.partner", "read", [partner], ["phone"])[0]["phone"] == "1"


@pytest.mark.parametrize("through", ["json2", "xmlrpc"])
def test_what_leaves_the_system_after_the_commit_of_a_request_is_listed(odoo, agent, partner, through):
    (model,) = odoo.call("ir.model", "search", [["model", "=", "res.partner"]])
    with web_server() as address:
        values = {
            "name": "Tell them",
            "model_id": model,
            "state": "webhook",
            "webhook_url": f"{address}/hook?key=secret",
        }
        action = odoo.call("ir.actions.server", "create", values)
        context = {"active_model": "res.partner", "active_id": partner, "active_ids": [partner]}
        if through == "json2":
            agent("ir.actions.server", "run", ids=[action], context=context)
        else:
            agent.xmlrpc("ir.actions.server", "run", [action], context=context)
    number = last(odoo)["id"]
    effect = {"kind": "request", "method": "POST", "host": "127.0.0.1", "path": "/hook"}
    assert agent(LOG, "preview_undo", ids=[number])["effects"] == [effect]
    (shown,) = odoo.call(LOG, "read", [number], ["effects_html", "effects"])
    assert shown["effects"] == [effect]
    assert "127.0.0.1/hook" in shown["effects_html"]
    assert "secret" not in shown["effects_html"]


def test_an_agent_undoes_and_redoes_its_own_work(odoo, agent, partner):
    agent("res.partner", "write", ids=[partner], vals={"phone": "6", "email": "a@example.test"})
    number = last(odoo)["id"]
    told = agent(LOG, "preview_undo", ids=[number])
    assert not told["done"]
    assert told["refused"] is None
    assert told["rows"]["res_partner"]["restored"] == 1
    assert odoo.call("res.partner", "read", [partner], ["phone"])[0]["phone"] == "6"
    told = agent(LOG, "action_undo", ids=[number])
    assert told["done"]
    undo = last(odoo)
    assert (undo["id"], undo["operation_type"], undo["state"]) == (told["operation"], "undo", "done")
    assert odoo.call("res.partner", "read", [partner], ["phone", "email"])[0] == {
        "id": partner,
        "phone": "1",
        "email": False,
    }
    assert agent(LOG, "read", ids=[number], fields=["state", "undone"])[0] == {
        "id": number,
        "state": "rolled_back",
        "undone": True,
    }
    assert agent(LOG, "action_redo", ids=[number])["done"]
    assert odoo.call("res.partner", "read", [partner], ["phone"])[0]["phone"] == "6"
    told = agent(LOG, "action_undo", ids=[number])
    assert told["done"]
    told = agent(LOG, "action_undo", ids=[number])
    assert not told["done"]
    assert "undone already" in told["refused"]


def test_a_session_is_undone_at_once(odoo, agent):
    first = agent("res.partner", "create", vals_list=[{"name": "One"}, {"name": "Two"}])
    agent("res.partner", "write", ids=first, vals={"phone": "7"})
    agent("res.partner", "unlink", ids=first[:1])
    numbers = [row["id"] for row in logs(odoo)[-3:]]
    assert agent(LOG, "action_undo", ids=numbers)["done"]
    assert odoo.call("res.partner", "search_count", [["id", "in", first]]) == 0
    assert {row["state"] for row in logs(odoo, [["id", "in", numbers]])} == {"rolled_back"}


def test_what_a_person_changed_since_is_not_lost(odoo, agent, partner):
    agent("res.partner", "write", ids=[partner], vals={"phone": "8", "email": "a@example.test"})
    number = last(odoo)["id"]
    odoo.call("res.partner", "write", [partner], {"phone": "9", "street": "Elm"})
    told = agent(LOG, "action_undo", ids=[number])
    assert not told["done"]
    assert len(told["conflicts"]) == 1, told["conflicts"]
    (conflict,) = told["conflicts"]
    assert (conflict["type"], conflict["model"], conflict["id"], conflict["fields"]) == (
        "changed",
        "res.partner",
        str(partner),
        ["phone"],
    )
    assert "“8”" in conflict["message"]
    assert "“9”" in conflict["message"]
    assert odoo.call("res.partner", "read", [partner], ["email"])[0]["email"] == "a@example.test"
    with pytest.raises(Refused, match="Only a person"):
        agent(LOG, "action_undo", ids=[number], on_conflict="ours")
    assert agent(LOG, "action_undo", ids=[number], on_conflict="theirs")["done"]
    read = odoo.call("res.partner", "read", [partner], ["phone", "email", "street"])[0]
    assert read == {"id": partner, "phone": "9", "email": False, "street": "Elm"}
    assert last(odoo)["state"] == "done"
    assert logs(odoo, [["id", "=", number]])[0]["state"] == "partially_rolled_back"


def test_another_agents_work_is_not_seen(odoo, agent, other, partner):
    agent("res.partner", "write", ids=[partner], vals={"phone": "10"})
    number = last(odoo)["id"]
    assert number not in other(LOG, "search", domain=[])
    for method in ("action_undo", "preview_undo", "action_redo"):
        with pytest.raises(Refused):
            other(LOG, method, ids=[number])
    with pytest.raises(Refused):
        other(LOG, "read", ids=[number], fields=["values_before"])
    assert odoo.call("res.partner", "read", [partner], ["phone"])[0]["phone"] == "10"


def test_an_agent_does_not_redo_what_a_person_undid(odoo, agent, partner):
    agent("res.partner", "write", ids=[partner], vals={"phone": "11"})
    number = last(odoo)["id"]
    told = odoo.call(LOG, "action_undo", [number])
    assert told["done"]
    row = last(odoo)
    assert row["agent_id"][0] == agent.uid
    assert row["user_id"][0] != agent.uid
    with pytest.raises(Refused):
        agent(LOG, "action_redo", ids=[number])
    assert odoo.call(LOG, "action_redo", [number])["done"]


@pytest.mark.parametrize(
    ("model", "method", "arguments"),
    [
        (LOG, "write", {"ids": [1], "vals": {"state": "done"}}),
        (LOG, "create", {"vals_list": [{"state": "done"}]}),
        (LOG, "unlink", {"ids": [1]}),
        ("res.users", "write", {"ids": ["me"], "vals": {"group_ids": [[5, 0, 0]]}}),
        ("res.groups", "write", {"ids": [1], "vals": {"user_ids": [[5, 0, 0]]}}),
        ("ir.config_parameter", "set_param", {"key": "loomworks.max_ai_operations_daily", "value": "0"}),
        ("ir.actions.server", "create", {"vals_list": [{"name": "x", "model_id": 1, "state": "code", "code": "pass"}]}),
        ("ir.cron", "method_direct_trigger", {"ids": [1]}),
        ("loomworks.ai.agent.key", "create", {"vals_list": [{"name": "x"}]}),
        ("ir.model.fields", "create", {"vals_list": [{"name": "x_a", "ttype": "char", "model_id": 1}]}),
    ],
)
def test_an_agent_cannot_get_out(odoo, agent, model, method, arguments):
    arguments = {**arguments, **({"ids": [agent.uid]} if arguments.get("ids") == ["me"] else {})}
    with pytest.raises(Refused) as refused:
        agent(model, method, **arguments)
    assert refused.value.status in (403, 422, 404)
    assert odoo.call("res.users", "has_group", [agent.uid], "loomworks_ai.group_agent")


def test_an_agent_is_no_administrator(odoo, agent):
    for name in ("base.group_system", "base.group_erp_manager"):
        group = odoo.call("ir.model.data", "check_object_reference", *name.split("."))[1]
        with pytest.raises(AssertionError, match="AI agent"):
            odoo.call("res.users", "write", [agent.uid], {"group_ids": [[4, group]]})
        with pytest.raises(AssertionError, match="AI agent"):
            odoo.call("res.groups", "write", [group], {"user_ids": [[4, agent.uid]]})


def limit_to(role, value):
    """Write the limit as the control plane does."""
    with closing(role.connect()) as connection, connection, connection.cursor() as cursor:
        set_parameters(cursor, {"loomworks.max_ai_operations_daily": value})


def test_the_days_limit(odoo, role, hire, partner):
    agent = hire("limited")
    agent("res.partner", "write", ids=[partner], vals={"phone": "12"})
    number = last(odoo)["id"]
    limit_to(role, "1")
    try:
        with pytest.raises(Refused, match="used up"):
            agent("res.partner", "write", ids=[partner], vals={"phone": "13"})
        assert last(odoo)["state"] == "failed"
        assert agent("res.partner", "read", ids=[partner], fields=["phone"])[0]["phone"] == "12"
        assert agent(LOG, "action_undo", ids=[number])["done"]
    finally:
        limit_to(role, "0")
    agent("res.partner", "write", ids=[partner], vals={"phone": "14"})


def test_requests_at_once_share_what_is_left_of_the_day(odoo, role, hire):
    agents = [hire(f"limited {number}") for number in range(4)]
    partners = odoo.call("res.partner", "create", [{"name": "Azure", "phone": "1"} for _agent in agents])
    used = odoo.call(LOG, "search_count", [["operation_type", "not in", ["undo", "redo"]], ["state", "!=", "failed"]])
    barrier = threading.Barrier(len(agents))

    def change(agent, partner):
        barrier.wait()
        try:
            return agent("res.partner", "write", ids=[partner], vals={"phone": "2"})
        except Refused as refused:
            return str(refused)

    limit_to(role, str(used + 2))
    try:
        with ThreadPoolExecutor(len(agents)) as pool:
            told = list(pool.map(change, agents, partners))
    finally:
        limit_to(role, "0")
    assert told.count(True) == 2
    assert sum("422: Today's" in str(one) and "used up" in str(one) for one in told) == 2
    phones = [one["phone"] for one in odoo.call("res.partner", "read", partners, ["phone"])]
    assert sorted(phones) == ["1", "1", "2", "2"]
    states = [row["state"] for row in logs(odoo, [["agent_id", "in", [agent.uid for agent in agents]]])]
    assert sorted(states) == ["done", "done", "failed", "failed"]


def test_two_undos_of_one_operation_at_once(odoo, agent, partner):
    for _round in range(5):
        agent("res.partner", "write", ids=[partner], vals={"phone": "15"})
        number = last(odoo)["id"]
        barrier = threading.Barrier(2)

        def undo(_worker, number=number, barrier=barrier):
            barrier.wait()
            return agent(LOG, "action_undo", ids=[number])

        with ThreadPoolExecutor(2) as pool:
            told = list(pool.map(undo, range(2)))
        assert sorted(one["done"] for one in told) == [False, True]
        assert odoo.call("res.partner", "read", [partner], ["phone"])[0]["phone"] == "1"
        assert len(logs(odoo, [["operation_type", "=", "undo"], ["id", ">", number]])) == 1


def test_agents_at_once_on_one_record_are_retried_and_listed_once_each(odoo, agent, partner):
    before = len(logs(odoo))
    with ThreadPoolExecutor(6) as pool:
        list(
            pool.map(
                lambda number: agent("res.partner", "write", ids=[partner], vals={"phone": f"p{number}"}), range(12)
            )
        )
    rows = logs(odoo)[before:]
    assert [row["state"] for row in rows] == ["done"] * 12
    assert agent(LOG, "action_undo", ids=[row["id"] for row in rows])["done"]
    assert odoo.call("res.partner", "read", [partner], ["phone"])[0]["phone"] == "1"


# --- a second server ---

# What servers keep in memory, which an administrator has let an agent change: model -> values now, and the agent's.
KEPT = {
    "ir.config_parameter": ({"key": "test.color", "value": "red"}, {"value": "blue"}),
    "ir.default": ({"json_value": '"Clerk"'}, {"json_value": '"Boss"'}),
    "ir.rule": ({"name": "few", "domain_force": "[('code', '=', 'BE')]"}, {"domain_force": "[(1, '=', 1)]"}),
    "ir.ui.menu": ({"name": "Red"}, {"name": "Blue"}),
    "res.partner.category": ({"name": "Red"}, {"name": "Blue"}),
}


@pytest.fixture
def second(odoo, role, server_url, tmp_path):
    """Another server of the same database, as another worker is."""
    server = OdooServer(role, tmp_path, server_url, data_dir=odoo.data, max_cron_threads=0)
    server.start()
    server.login("admin", "admin", role.name)
    yield server
    server.stop()


@pytest.fixture
def kept(odoo):
    """The numbers of those records, by model."""

    def reference(model, domain):
        return odoo.call(model, "search", domain, limit=1)[0]

    field = reference("ir.model.fields", [["model", "=", "res.partner"], ["name", "=", "function"]])
    country = reference("ir.model", [["model", "=", "res.country"]])
    action = reference("ir.actions.act_window", [["res_model", "=", "res.users"]])
    more = {
        "ir.default": {"field_id": field},
        "ir.rule": {"model_id": country},
        "ir.ui.menu": {"action": f"ir.actions.act_window,{action}"},
    }
    numbers = {
        model: odoo.call(model, "create", {**values, **more.get(model, {})})
        for model, (values, _changed) in KEPT.items()
    }
    yield numbers
    for model, number in numbers.items():
        odoo.call(model, "unlink", [number])


@pytest.fixture
def trusted(odoo, hire):
    """An agent who may change them."""
    agent = hire("trusted")
    group = odoo.call("res.groups", "create", {"name": "Keepers", "user_ids": [[4, agent.uid]]})
    for model in KEPT:
        number = odoo.call("ir.model", "search", [["model", "=", model]])[0]
        rights = {"perm_read": True, "perm_write": True, "perm_create": False, "perm_unlink": False}
        odoo.call("ir.model.access", "create", {"name": model, "model_id": number, "group_id": group, **rights})
    number = odoo.call("ir.model", "search", [["model", "=", "ir.default"]])[0]
    rule = {"name": "all", "model_id": number, "groups": [[4, group]], "domain_force": "[(1, '=', 1)]"}
    odoo.call("ir.rule", "create", rule)
    return agent


def as_seen_by(server, kept):
    """Return what a server makes of those records, mostly without asking the database."""
    category = kept["res.partner.category"]
    menus = server.call("ir.ui.menu", "load_menus", False)
    return {
        "parameter": server.call("ir.config_parameter", "get_param", "test.color"),
        "default": server.call("res.partner", "default_get", ["function"])["function"],
        "countries": server.call("res.country", "search_count", []) > 1,
        "menu": menus[str(kept["ir.ui.menu"])]["name"],
        "words": [
            server.call("res.partner.category", "read", [category], ["name"], context={"lang": lang})[0]["name"]
            for lang in ("en_US", "fr_FR")
        ],
    }


def test_another_server_forgets_what_was_undone(odoo, second, kept, trusted):
    french = odoo.call("res.lang", "search", [["code", "=", "fr_FR"]], context={"active_test": False})
    odoo.call("res.lang", "write", french, {"active": True})
    before = as_seen_by(second, kept)
    for model, (_values, changed) in KEPT.items():
        trusted(model, "write", ids=[kept[model]], vals=changed)
    category = kept["res.partner.category"]
    trusted("res.partner.category", "write", ids=[category], vals={"name": "Bleu"}, context={"lang": "fr_FR"})
    numbers = [row["id"] for row in logs(odoo)[-len(KEPT) - 1 :]]
    after = as_seen_by(second, kept)
    assert all(before[name] != after[name] for name in before), (before, after)
    assert after["words"] == ["Blue", "Bleu"]
    assert trusted(LOG, "action_undo", ids=numbers)["done"]
    assert as_seen_by(second, kept) == before
    assert trusted(LOG, "action_redo", ids=numbers)["done"]
    assert as_seen_by(second, kept) == after
    assert trusted(LOG, "action_undo", ids=numbers)["done"]
    assert as_seen_by(second, kept) == before
    assert second.errors() == []


# What the server logs of calls that it refuses, and of transactions that it tries again.
EXPECTED = re.compile(
    "Exception during request handling|bad query: .*(INSERT|UPDATE|DELETE|SELECT)|XML-RPC|null value in column"
)


def test_nothing_else_has_gone_wrong(odoo):
    wrong = [line for line in odoo.errors() if not EXPECTED.search(line)]
    odoo.forget_errors()
    assert wrong == []

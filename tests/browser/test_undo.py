"""A person looks at what an agent did, and takes it back."""

import secrets

import pytest
import requests

GROUPS = ("group_agent", "group_partner_manager")


@pytest.fixture
def operator(stack):
    """Calls of the operator, by JSON-2."""
    return caller(stack, stack["LOOMWORKS_API_KEY"])


@pytest.fixture
def agent(stack, operator):
    """Calls of an agent."""
    domain = [["name", "in", GROUPS], ["model", "=", "res.groups"]]
    groups = [row["res_id"] for row in operator("ir.model.data", "search_read", domain=domain, fields=["res_id"])]
    values = {"name": "Robin", "login": f"agent-{secrets.token_hex(4)}", "group_ids": [[6, 0, groups]]}
    (uid,) = operator("res.users", "create", vals_list=[values])
    (wizard,) = operator("loomworks.ai.agent.key", "create", vals_list=[{"agent_id": uid, "days": "1"}])
    key = operator("loomworks.ai.agent.key", "action_make", ids=[wizard])["context"]["default_key"]
    call = caller(stack, key)
    call.uid = uid
    yield call
    operator("res.users", "write", ids=[uid], vals={"active": False})


@pytest.fixture
def partner(operator):
    values = {"name": f"Azure {secrets.token_hex(3)}", "phone": "+1 555 0100", "email": "hello@azure.example"}
    (number,) = operator("res.partner", "create", vals_list=[values])
    return number


def caller(stack, key):
    def call(model, method, **arguments):
        headers = {"Authorization": f"bearer {key}", "X-Loomworks-Session": "tidy-up"}
        url = f"{stack['LOOMWORKS_URL']}/json/2/{model}/{method}"
        answer = requests.post(url, json=arguments, headers=headers, timeout=60)
        assert answer.ok, answer.text
        return answer.json()

    return call


def open_newest(page, stack):
    page.goto(f"{stack['LOOMWORKS_URL']}/odoo/action-loomworks_ai.action_operation_log")
    page.click(".o_data_row >> nth=0")
    page.wait_for_selector(".o_form_view .o_field_widget[name=changes_html] table")


def dialog(page, button):
    page.click(f"button[name=action_open_{button}]")
    page.wait_for_selector(".modal .o_form_view")


def apply(page, state):
    page.click(".modal button[name=action_apply]:visible")
    page.wait_for_selector(f".o_statusbar_status button.o_arrow_button_current:text-is('{state}')")


def phone(operator, partner):
    return operator("res.partner", "read", ids=[partner], fields=["phone", "email"])[0]


def test_a_person_undoes_and_redoes_what_an_agent_did(page, picture, log_in, stack, operator, agent, partner):
    agent("res.partner", "write", ids=[partner], vals={"phone": "+1 555 9999", "email": False})
    log_in()
    open_newest(page, stack)
    table = page.locator(".o_field_widget[name=changes_html]")
    assert "+1 555 0100" in table.inner_text()
    assert "+1 555 9999" in table.inner_text()
    picture("operation")

    dialog(page, "undo")
    picture("undo-preview")
    apply(page, "Undone")
    assert phone(operator, partner) == {"id": partner, "phone": "+1 555 0100", "email": "hello@azure.example"}

    dialog(page, "redo")
    apply(page, "Done")
    assert phone(operator, partner) == {"id": partner, "phone": "+1 555 9999", "email": False}


def test_a_person_decides_what_becomes_of_a_conflict(page, picture, log_in, stack, operator, agent, partner):
    agent("res.partner", "write", ids=[partner], vals={"phone": "+1 555 9999", "email": False})
    operator("res.partner", "write", ids=[partner], vals={"phone": "+1 555 7777"})
    log_in()
    open_newest(page, stack)
    dialog(page, "undo")
    line = page.locator(".modal .o_field_widget[name=line_ids] .o_data_row >> nth=0")
    assert "“+1 555 9999” and is “+1 555 7777” now" in line.inner_text()
    assert page.locator(".modal button[name=action_apply]:visible").count() == 0
    picture("undo-conflict")

    line.locator("td[name=choice]").click()
    line.locator(".o_select_menu_toggler").click()
    page.click(".o_select_menu_item:has-text('Keep what was changed since')")
    page.click(".modal button[name=action_look_again]")
    page.wait_for_selector(".modal button[name=action_apply]:visible")
    apply(page, "Partly undone")
    assert phone(operator, partner) == {"id": partner, "phone": "+1 555 7777", "email": "hello@azure.example"}


def test_a_redo_that_others_stand_in_the_way_of_is_decided_by_a_person(
    page, picture, log_in, stack, operator, agent, partner
):
    agent("res.partner", "write", ids=[partner], vals={"phone": "+1 555 9999", "email": False})
    log_in()
    open_newest(page, stack)
    dialog(page, "undo")
    apply(page, "Undone")
    operator("res.partner", "write", ids=[partner], vals={"phone": "+1 555 7777"})
    dialog(page, "redo")
    line = page.locator(".modal .o_field_widget[name=line_ids] .o_data_row >> nth=0")
    assert "is “+1 555 7777” now" in line.inner_text()
    assert page.locator(".modal button[name=action_apply]:visible").count() == 0
    picture("redo-conflict")
    page.locator(".modal .o_field_widget[name=on_conflict] label", has_text="Do it all the same").click()
    page.click(".modal button[name=action_look_again]")
    page.wait_for_selector(".modal button[name=action_apply]:visible")
    apply(page, "Done")
    assert phone(operator, partner) == {"id": partner, "phone": "+1 555 9999", "email": False}


def test_several_operations_are_undone_from_their_list(page, picture, log_in, stack, operator, agent, partner):
    for number in ("+1 555 1111", "+1 555 2222", "+1 555 3333"):
        agent("res.partner", "write", ids=[partner], vals={"phone": number})
    log_in()
    page.goto(f"{stack['LOOMWORKS_URL']}/odoo/action-loomworks_ai.action_operation_log")
    for row in range(3):
        page.locator(f".o_data_row >> nth={row}").locator(".o_list_record_selector input").check()
    page.click(".o_control_panel button[name=action_open_undo]:visible")
    page.wait_for_selector(".modal .o_form_view")
    summary = page.locator(".modal .o_field_widget[name=summary_html]").inner_text()
    assert summary.splitlines()[0] == "Contact 1 restored"
    assert "Phone\t+1 555 3333\t+1 555 0100" in summary
    assert "Message 3 removed" in summary
    assert "Message ID" not in summary
    picture("undo-several")
    page.click(".modal button[name=action_apply]:visible")
    page.wait_for_selector(".modal", state="detached")
    assert phone(operator, partner)["phone"] == "+1 555 0100"
    page.locator(".o_data_row:nth-child(4) >> text=Undone").first.wait_for()
    picture("undone-several")


def test_an_agents_key_is_shown_once_and_works(page, picture, log_in, stack, operator, agent, partner):
    log_in()
    page.goto(f"{stack['LOOMWORKS_URL']}/odoo/action-loomworks_ai.action_agents/{agent.uid}")
    page.click("button[name=action_new_agent_key]")
    page.wait_for_selector(".modal .o_field_widget[name=days]")
    page.click(".modal button[name=action_make]")
    shown = page.locator(".modal .o_field_widget[name=key]")
    shown.wait_for()
    key = shown.inner_text().strip()
    picture("agent-key")
    caller(stack, key)("res.partner", "write", ids=[partner], vals={"phone": "1"})
    (log,) = operator(
        "loomworks.ai.operation.log", "search_read", domain=[["agent_id", "=", agent.uid]], fields=["state"]
    )
    assert log["state"] == "done"
    page.click(".modal button:has-text('Done!')")
    page.wait_for_selector(".modal", state="detached")
    page.reload()
    page.wait_for_selector("button[name=action_new_agent_key]")
    assert key not in page.content()


def test_operations_are_listed(page, picture, log_in, stack, agent, partner):
    agent("res.partner", "write", ids=[partner], vals={"phone": "1"})
    log_in()
    page.goto(f"{stack['LOOMWORKS_URL']}/odoo/action-loomworks_ai.action_operation_log")
    row = page.locator(".o_data_row >> nth=0")
    row.wait_for()
    assert "tidy-up" in row.inner_text()
    assert "Done" in row.inner_text()
    picture("operations")

"""An operator finds an agent's mistake on the time line, goes back to just before it, and takes that back."""

import re

import pytest
from harness.forms import smart_button
from playwright.sync_api import expect
from test_restore import GOING_ON

MARKS = 4  # operations of the agent
# Made by the tenant's own Odoo in its own database, as its administrator would.
WORK = """
    async ([calls]) => {
        const answers = [];
        for (const [model, method, args] of calls) {
            const params = { model, method, args, kwargs: {} };
            const body = JSON.stringify({ jsonrpc: "2.0", method: "call", params });
            const headers = { "Content-Type": "application/json" };
            const answer = await (await fetch("/web/dataset/call_kw", { method: "POST", headers, body })).json();
            if (answer.error) { throw new Error(JSON.stringify(answer.error.data.message)); }
            answers.push(answer.result);
        }
        return answers;
    }
"""
AGENT = """
    async ([key, partner, names]) => {
        for (const name of names) {
            const headers = { "Content-Type": "application/json", Authorization: `bearer ${key}` };
            const body = JSON.stringify({ ids: [partner], vals: { name } });
            const options = { method: "POST", headers, body, credentials: "omit" };
            const answer = await fetch("/json/2/res.partner/write", options);
            if (!answer.ok) { throw new Error(await answer.text()); }
        }
    }
"""


@pytest.fixture
def partner_name(browser, call, tenant):
    """An agent has changed a partner's name; return how to read the name in the tenant's own Odoo."""
    number, _name = tenant
    link = call("loomworks.tenant", "action_first_login_link", ids=[number])["params"]["links"][0]["url"]
    context = browser.new_context()
    page = context.new_page()
    page.goto(link)
    for field in ("password", "confirm_password"):
        page.fill(f"input[name={field}]", "correct horse battery staple")
    page.click("button[type=submit]")
    page.wait_for_selector(".o_main_navbar")

    def work(*calls):
        return page.evaluate(WORK, [calls])

    names = ["group_agent", "group_partner_manager"]
    domain = [["name", "in", names], ["model", "=", "res.groups"]]
    [groups] = work(["ir.model.data", "search_read", [domain, ["res_id"]]])
    values = {"name": "Robin", "login": "robin@example.com", "group_ids": [[6, 0, [one["res_id"] for one in groups]]]}
    [[agent], [partner]] = work(
        ["res.users", "create", [[values]]], ["res.partner", "create", [[{"name": "Azure Interior"}]]]
    )
    [[wizard]] = work(["loomworks.ai.agent.key", "create", [[{"agent_id": agent, "days": "1"}]]])
    [made] = work(["loomworks.ai.agent.key", "action_make", [[wizard]]])
    page.evaluate(AGENT, [made["context"]["default_key"], partner, [f"Azure {i}" for i in range(MARKS)]])
    yield lambda: work(["res.partner", "read", [[partner], ["name"]]])[0][0]["name"]
    context.close()


def test_operator_takes_the_tenant_back_to_before_an_operation(
    page, stack, log_in, picture, tenant, partner_name, call
):
    number, name = tenant
    call("loomworks.tenant", "action_create_snapshot", ids=[number], name="Before the upgrade")
    log_in()
    page.goto(f"{stack['LOOMWORKS_URL']}/odoo/action-loomworks_tenant.action_tenant/{number}")
    smart_button(page, "action_time_machine")
    page.wait_for_selector(".o_time_chart svg")
    page.click("[data-zoom=hour]")
    rows = page.locator(".o_time_journal tbody tr")
    rows.nth(MARKS - 1).wait_for()
    assert rows.count() == MARKS
    assert "robin@example.com" in rows.first.inner_text()
    assert page.locator(".o_time_mark.o_time_operations").count() > 0

    # A moment before the tenant was made cannot be restored, and says why.
    page.mouse.click(*at_share(page, 0.02))
    assert "made later" in page.locator(".o_time_cannot").inner_text()
    assert page.locator(".o_time_restore").count() == 0
    page.focus(".o_time_chart svg")
    page.keyboard.press("End")
    page.wait_for_selector(".o_time_can")
    page.keyboard.press("Shift+ArrowLeft")
    page.wait_for_selector(".o_time_can")

    # The last of the agent's operations.
    rows.first.click()
    page.wait_for_selector(".o_time_moment:has-text('Just before operation') .o_time_can")
    said = page.locator(".o_time_moment").inner_text()
    assert "It takes about" in said
    assert "1 operation(s)" in said
    picture("time-machine")
    page.click(".o_time_restore")
    page.wait_for_selector(f".modal:has-text('{name}')")
    assert page.locator(".modal .btn-danger").is_disabled()
    page.fill(".modal input", name)
    page.click(".modal .btn-danger")
    page.wait_for_selector(".o_time_progress .progress-bar")
    page.wait_for_selector(".o_time_stage_done:has-text('Fetching')", timeout=GOING_ON)
    picture("time-machine-progress")
    page.wait_for_selector(".o_time_go_back", timeout=GOING_ON)
    assert partner_name() == f"Azure {MARKS - 2}"
    expect(rows).to_have_count(MARKS - 1)
    page.wait_for_selector(".o_time_moment:has-text('another database')")
    picture("time-machine-done")

    page.click(".o_time_go_back")
    page.wait_for_selector(".o_time_progress:has-text('was taken back')", timeout=GOING_ON)
    assert partner_name() == f"Azure {MARKS - 1}"
    assert re.search(r"/time-machine$", page.url)
    page.reload()
    page.wait_for_selector(".o_time_chart svg")


def at_share(page, share):
    """Return the point of the chart's ground that lies this far from its left."""
    box = page.locator(".o_time_ground").bounding_box()
    return box["x"] + share * box["width"], box["y"] + box["height"] - 4

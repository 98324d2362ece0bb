"""An operator sees what goes when, moves the day, brings a tenant back, and looks through the orphans."""

import time

PATIENCE = 150  # seconds


def wait_for(call, number, state):
    end = time.monotonic() + PATIENCE
    while True:
        [row] = call("loomworks.tenant", "read", ids=[number], fields=["state", "working"])
        if row["state"] == state and not row["working"]:
            return
        assert time.monotonic() < end, row
        time.sleep(0.5)


def open_tenant(page, stack, number):
    page.goto(f"{stack['LOOMWORKS_URL']}/odoo/action-loomworks_tenant.action_tenant/{number}")
    page.wait_for_selector(".o_form_view")


def test_operator_sees_what_goes_when_and_brings_a_tenant_back(page, picture, log_in, stack, call, tenant):
    number, name = tenant
    log_in()
    open_tenant(page, stack, number)
    page.click("a[name=ending]")
    page.wait_for_selector("text=its subscription has no end")
    page.click("button:has-text('Cancel the subscription'):visible")
    page.fill(".modal div[name=reason] input", "moved away")
    page.click(".modal button[name=action_confirm]:visible")
    page.wait_for_selector(".alert:has-text('Its subscription has ended')")
    page.click("a[name=ending]")
    picture("end-of-life")

    page.click("button:has-text('Move the day')")
    page.fill(".modal div[name=moment] input", "01/31/2031 10:00:00")
    page.keyboard.press("Tab")
    page.fill(".modal div[name=reason] input", "a dispute")
    picture("move-the-day")
    page.click(".modal button[name=action_confirm]")
    page.wait_for_selector(".modal", state="detached")
    assert "2031" in page.locator("div[name=foreseen_archive_at]").last.inner_text()

    page.click("button:has-text('Archive'):visible")
    page.fill(".modal div[name=confirm_name] input", name)
    page.click(".modal button[name=action_confirm]:visible")
    page.wait_for_selector(".modal:has-text('Say why')")
    page.locator(".modal:has-text('Say why') button:has-text('Close')").last.click()
    page.fill(".modal div[name=reason] input", "asked for")
    page.click(".modal button[name=action_confirm]:visible")
    wait_for(call, number, "archived")
    open_tenant(page, stack, number)
    picture("archived")
    page.click("button:has-text('Bring it back')")
    page.click(".modal button[name=action_confirm]:visible")
    page.wait_for_selector(".modal .o_field_invalid[name=reason]")  # nothing is done without one
    page.fill(".modal div[name=reason] input", "they pay again")
    picture("bring-it-back")
    page.click(".modal button[name=action_confirm]:visible")
    page.wait_for_selector(".o_statusbar_status button.o_arrow_button_current:has-text('Active')", timeout=180_000)


def test_open_form_shows_what_others_change_though_nothing_is_in_progress(page, log_in, stack, call, tenant):
    number, name = tenant
    log_in()
    open_tenant(page, stack, number)
    wait_for(call, number, "active")
    call("loomworks.tenant", "action_suspend", ids=[number], reason="not paid")
    page.wait_for_selector(".o_statusbar_status button.o_arrow_button_current:has-text('Suspended')", timeout=60_000)
    wait_for(call, number, "suspended")
    page.wait_for_timeout(3000)  # the page has seen by now that nothing is in progress
    call("loomworks.tenant", "write", ids=[number], vals={"name": "Named by somebody else"})
    page.wait_for_selector(".o_form_view :text('Named by somebody else')", timeout=60_000)
    call("loomworks.tenant", "write", ids=[number], vals={"name": name})


def test_operator_looks_through_the_orphans(page, picture, log_in, stack):
    log_in()
    page.goto(f"{stack['LOOMWORKS_URL']}/odoo/action-loomworks_storage.action_orphan")
    page.wait_for_selector(".o_list_view")
    page.click("button[name=action_sweep]")
    page.wait_for_selector(".o_notification:has-text('within a minute')")
    picture("orphans")

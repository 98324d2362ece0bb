"""Volumes, as a person sees them: how full, since when, until when, and how to get more."""

import time


def read(call, number, *fields):
    return call("loomworks.tenant", "read", ids=[number], fields=list(fields))[0]


def wait_measured(call, number):
    end = time.monotonic() + 150
    while not read(call, number, "volume_read_at")["volume_read_at"]:
        assert time.monotonic() < end
        time.sleep(1)


def test_volume_of_a_tenant_is_shown_and_grown(page, picture, log_in, stack, call, tenant):
    number, _name = tenant
    wait_measured(call, number)
    log_in()
    page.goto(f"{stack['LOOMWORKS_URL']}/odoo/action-loomworks_tenant.action_tenant/{number}")
    page.click(".o_notebook .nav-link:has-text('Volume')")
    page.wait_for_selector(".o_loomworks_volume_chart canvas")
    assert "5Gi" in page.locator(".tab-pane.active div[name=volume_used]").inner_text()
    page.locator(".o_loomworks_volume_chart").scroll_into_view_if_needed()
    picture("tenant-volume")

    page.click("button:has-text('Resize volume')")
    page.wait_for_selector(".modal .o_loomworks_volume_bar")
    page.fill(".modal div[name=size] input", "6G")
    page.keyboard.press("Tab")
    page.wait_for_selector(".modal div[name=reading]:has-text('That is 6Gi.')")
    picture("volume-resize")
    page.click(".modal button:has-text('Let it grow')")
    page.wait_for_selector(".modal", state="detached")
    end = time.monotonic() + 60
    while read(call, number, "volume_capacity")["volume_capacity"] != "6Gi":
        assert time.monotonic() < end
        time.sleep(1)

    page.click("button:has-text('Resize volume')")
    page.fill(".modal div[name=size] input", "2Gi")
    page.click(".modal button:has-text('Let it grow')")
    page.wait_for_selector(".modal:has-text('a volume only grows')")
    picture("volume-shrink-refused")


def test_volumes_are_listed_with_their_usage(page, picture, log_in, stack, call, tenant):
    number, name = tenant
    wait_measured(call, number)
    log_in()
    page.goto(f"{stack['LOOMWORKS_URL']}/odoo/action-loomworks_storage.action_volume")
    row = page.locator(f".o_data_row:has-text('{name}')")
    row.locator(".o_loomworks_volume_bar .progress-bar").wait_for()
    picture("volumes")
    row.locator("td[name=tenant_id]").click()
    page.wait_for_selector(".o_form_view .o_loomworks_volume_chart canvas")
    assert "Too little is known yet" in page.locator("div[name=forecast]").inner_text()
    picture("volume")


def test_tenants_list_has_a_bar_and_unknown_is_said_to_be(page, picture, log_in, stack, call, tenant):
    number, name = tenant
    wait_measured(call, number)
    (draft,) = call(
        "loomworks.tenant",
        "create",
        vals_list=[{"name": f"{name} draft", "subdomain": f"{name.lower()}-draft", "plan_id": 1}],
    )
    try:
        log_in()
        page.goto(f"{stack['LOOMWORKS_URL']}/odoo/action-loomworks_tenant.action_tenant")
        page.click(".o_switch_view.o_list")
        known, unknown = (page.locator(f".o_data_row:has-text('{one}')") for one in (f"{name.lower()}.", "draft"))
        known.first.locator(".o_loomworks_volume_bar").wait_for()
        assert "unknown" in unknown.first.locator("td[name=volume_used]").inner_text()
        picture("tenants-volumes")
    finally:
        call("loomworks.tenant", "unlink", ids=[draft])

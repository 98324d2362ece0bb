"""Volumes, as a person sees them: how full, since when, until when, and how to get more."""

import time
from datetime import datetime

import pytest

MI = 1024**2
FILLER = "/var/lib/odoo/filler"
# What a volume of 2.5 GiB would have been used by in two weeks, were it 100 MiB a day; and see anew when it is full.
HISTORY = """
    DELETE FROM loomworks_volume_usage WHERE tenant_id = {tenant};
    INSERT INTO loomworks_volume_usage
           (volume_id, tenant_id, read_at, used_bytes, size_bytes, used_gib, size_gib)
    SELECT id, tenant_id, now() at time zone 'UTC' - day * interval '1 day', bytes, size_bytes,
           bytes / 1024 ^ 3, size_bytes / 1024 ^ 3
      FROM loomworks_volume, generate_series(1, 14) AS day, LATERAL (SELECT (2560 - 100 * day) * 1024 ^ 2 AS bytes) AS b
     WHERE tenant_id = {tenant};
    UPDATE loomworks_volume SET forecast_at = NULL WHERE tenant_id = {tenant};
"""
CHART = "Chart.getChart(document.querySelector('.o_loomworks_volume_chart canvas'))"
LINE = "({ label, data }) => [label, data.map(({ x, y }) => [x, y])]"
STORE = """
    async () => {
        const { rpc } = odoo.loader.modules.get("@web/core/network/rpc");
        const args = [[{ name: "file", datas: "A".repeat(4096) }]];
        const params = { model: "ir.attachment", method: "create", args, kwargs: {} };
        try {
            await rpc("/web/dataset/call_kw", params);
        } catch (error) {
            return error.data.message;
        }
    }
"""


def read(call, number, *fields):
    return call("loomworks.tenant", "read", ids=[number], fields=list(fields))[0]


def wait_until(reached, pause=1):
    end = time.monotonic() + 150
    while not reached():
        assert time.monotonic() < end
        time.sleep(pause)


def wait_measured(call, number):
    wait_until(lambda: read(call, number, "volume_read_at")["volume_read_at"])


def drawn(page):
    """The lines of the volume's chart by what they are called: moments (ms) and GiB."""
    page.wait_for_function(f"() => Boolean(window.Chart && {CHART})")
    return page.evaluate(f"() => Object.fromEntries({CHART}.data.datasets.map({LINE}))")


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
    wait_until(lambda: read(call, number, "volume_capacity")["volume_capacity"] == "6Gi")

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


@pytest.fixture
def filling(call, tenant, in_pod, kubectl):
    """The tenant, when its volume is half full and the day is known on which it will be."""
    number, _name = tenant
    wait_measured(call, number)
    in_pod(number, "fallocate", "-l", "2560M", FILLER)
    sql = HISTORY.format(tenant=number)
    kubectl("-n", "loomworks", "exec", "postgres-0", "-c", "postgres", "--", "psql", "-d", "loomworks", "-c", sql)
    clusters = call("loomworks.cluster", "search", domain=[])

    def foretold():
        call("loomworks.cluster", "action_look_at_volumes", ids=clusters)
        return "Full about" in read(call, number, "volume_forecast")["volume_forecast"]

    wait_until(foretold, pause=3)
    return tenant


def test_volume_that_fills_is_foretold_and_says_when_it_is_deleted(page, picture, log_in, stack, call, filling):
    number, name = filling
    call("loomworks.tenant", "action_cancel_subscription", ids=[number], reason="moved away")
    log_in()
    page.goto(f"{stack['LOOMWORKS_URL']}/odoo/action-loomworks_storage.action_volume")
    page.locator(f".o_data_row:has-text('{name}') td[name=tenant_id]").click()
    page.wait_for_selector(".o_form_view .o_loomworks_volume_chart canvas")
    assert "a day" in page.locator("div[name=forecast]").inner_text()
    lines = drawn(page)
    assert [round(1024 * used) for _at, used in lines["Used"][:14]] == [2560 - 100 * day for day in range(14, 0, -1)]
    (volume,) = call("loomworks.volume", "search_read", domain=[["tenant_id", "=", number]], fields=["chart"])
    readings = {(at, used / 1024**3) for at, used, _size in volume["chart"]["readings"]}
    assert readings.issuperset(map(tuple, lines["Used"]))
    assert lines["Forecast"][-1][1] == lines["Room"][-1][1], "it leads to the day on which there is no room left"
    deleted = datetime.fromisoformat(read(call, number, "foreseen_erase_at")["foreseen_erase_at"])
    day = f"{deleted:%b} {deleted.day}, {deleted.year}"
    assert day in page.locator("div[name=deleted_on]").inner_text()
    picture("volume-foretold")
    page.goto(f"{stack['LOOMWORKS_URL']}/odoo/action-loomworks_tenant.action_tenant/{number}")
    page.click(".o_notebook .nav-link:has-text('Volume')")
    assert day in page.locator("div[name=volume_deleted]").inner_text()
    page.locator(".o_loomworks_volume_chart").scroll_into_view_if_needed()
    picture("tenant-volume-foretold")


def test_page_that_is_open_says_that_the_volume_is_full_and_that_it_is_no_longer(page, picture, call, tenant, in_pod):
    number, _name = tenant
    link = call("loomworks.tenant", "action_first_login_link", ids=[number])["params"]["links"][0]["url"]
    page.clock.install()
    page.goto(link)
    for field in ("password", "confirm_password"):
        page.fill(f"input[name={field}]", "correct horse battery staple")
    page.click("button[type=submit]")
    page.wait_for_selector(".o_main_navbar")
    banner = page.locator(".o_loomworks_volume_banner")
    assert banner.count() == 0
    free = int(in_pod(number, "df", "--output=avail", "-B1", "/var/lib/odoo").split()[-1])
    in_pod(number, "fallocate", "-l", str(free - 4 * MI), FILLER)
    page.clock.fast_forward(50_000)
    assert banner.count() == 0, "it is asked for once a minute"
    page.clock.fast_forward(20_000)
    page.wait_for_selector(".o_loomworks_volume_banner:has-text('files cannot be kept')")
    picture("full-volume")

    call("loomworks.tenant", "resize_volume", ids=[number], size="6Gi")
    wait_until(lambda: int(in_pod(number, "df", "--output=avail", "-B1", "/var/lib/odoo").split()[-1]) > 512 * MI)
    page.clock.fast_forward(70_000)
    banner.wait_for(state="detached")

    free = int(in_pod(number, "df", "--output=avail", "-B1", "/var/lib/odoo").split()[-1])
    in_pod(number, "fallocate", "-l", str(free - 4 * MI), f"{FILLER}2")
    refused = page.evaluate(STORE)  # whoever meets the full volume first is told in the same moment
    assert "storage of this Odoo is full" in refused
    banner.wait_for(timeout=10_000)


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

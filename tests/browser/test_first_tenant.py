"""The main job, as a person does it: log in, create a tenant, watch it become active, open its site, log in there."""

import secrets
from urllib.parse import urlsplit

import pytest

PASSWORD = "correct horse battery staple"


@pytest.fixture
def name():
    return f"Browser {secrets.token_hex(3)}"


def open_tenants(page, stack):
    page.goto(f"{stack['LOOMWORKS_URL']}/odoo/action-loomworks_tenant.action_tenant")
    page.wait_for_selector(".o_kanban_view")


def create(page, name):
    page.click(".o-kanban-button-new, .o_list_button_add")
    page.fill("div[name=name] input", name)
    page.keyboard.press("Tab")
    page.fill("div[name=plan_id] input", "Basic")
    page.click(".o-autocomplete--dropdown-item:has-text('Basic')")
    page.click("button[name=action_provision]")


def wait_active(page):
    page.wait_for_selector(".o_statusbar_status button.o_arrow_button_current:has-text('Active')", timeout=180_000)


def test_person_creates_a_tenant_and_its_administrator_logs_in(page, picture, log_in, stack, name):
    log_in()
    open_tenants(page, stack)
    create(page, name)
    page.wait_for_selector(".o_loomworks_step")
    picture("tenant-provisioning")
    wait_active(page)
    assert page.locator(".o_loomworks_step.o_loomworks_done").count() == page.locator(".o_loomworks_step").count()
    picture("tenant-active")

    page.click("button[name=action_first_login_link]")
    link = page.locator(".o_notification a[href*='first-login']").get_attribute("href")
    picture("first-login-link")

    page.goto(link)
    page.fill("input[name=password]", PASSWORD)
    page.fill("input[name=confirm_password]", PASSWORD)
    picture("first-login")
    page.click("button[type=submit]")
    page.wait_for_selector(".o_main_navbar")
    assert urlsplit(page.url).netloc == urlsplit(link).netloc
    picture("tenant-own-site")

    archive(page, stack, name, picture)


def archive(page, stack, name, picture):
    open_tenants(page, stack)
    page.locator(".o_kanban_record").get_by_text(name, exact=True).click()
    page.click("button:has-text('Archive')")
    page.fill(".modal div[name=confirm_name] input", "not the name")
    page.click(".modal button:has-text('Archive')")
    page.wait_for_selector(".modal:has-text('nothing has been done')")
    picture("archive-wrong-name")
    page.locator(".modal:has-text('nothing has been done') button:has-text('Close')").click()
    page.fill(".modal div[name=confirm_name] input", name)
    page.click(".modal button:has-text('Archive')")
    page.wait_for_selector(".o_statusbar_status button.o_arrow_button_current:has-text('Archived')")
    picture("tenant-archived")


def test_list_and_board_show_tenants_without_an_error(page, picture, log_in, stack):
    log_in()
    open_tenants(page, stack)
    picture("tenants-board")
    page.click(".o_switch_view.o_list")
    page.wait_for_selector(".o_list_view")
    picture("tenants-list")


@pytest.mark.parametrize("menu", ["plan", "cluster", "database_server", "template", "audit"])
def test_every_other_page_opens(page, picture, log_in, stack, menu):
    log_in()
    page.goto(f"{stack['LOOMWORKS_URL']}/odoo/action-loomworks_tenant.action_{menu}")
    page.wait_for_selector(".o_list_view")
    picture(f"list-{menu}")
    rows = page.locator(".o_data_row")
    if rows.count() and menu not in ("template", "audit"):
        rows.first.locator("td.o_data_cell").nth(1).click()
        page.wait_for_selector(".o_form_view")
        picture(f"form-{menu}")
    assert not page.locator(".o_error_dialog").count()


def test_unknown_address_gets_a_page_that_says_so(page, picture, stack):
    port = urlsplit(stack["LOOMWORKS_URL"]).port
    answer = page.goto(f"http://nobody-here.{stack['LOOMWORKS_DOMAIN']}:{port}/")
    assert answer.status == 404
    picture("page-unknown")

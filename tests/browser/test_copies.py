"""An operator makes a file of a tenant, and a copy for tests, which says of itself that it is one; and removes it."""

import json
import zipfile
from urllib.parse import urlsplit

import pytest
from test_restore import GOING_ON


@pytest.fixture
def tenants_form(page, stack, log_in, tenant):
    """Open the tenant's form."""
    log_in()
    page.goto(f"{stack['LOOMWORKS_URL']}/odoo/action-loomworks_tenant.action_tenant/{tenant[0]}")
    page.wait_for_selector(".o_statusbar_status button.o_arrow_button_current:has-text('Active')")
    return page


def button(page, name):
    return page.locator(".o_form_statusbar").get_by_role("button", name=name, exact=True)


def press(page, name):
    button(page, name).click()


def test_operator_downloads_a_tenant(tenants_form, picture, tenant):
    page, (_number, name) = tenants_form, tenant
    press(page, "Download")
    page.wait_for_selector(f".modal:has-text('Make a file with all data of {name}')")
    picture("download-asked")
    page.click(".modal footer button:has-text('Make the file')")
    page.wait_for_selector(".alert-success:has-text('The file is ready')", timeout=GOING_ON)
    picture("download-ready")
    with page.expect_download() as coming:
        press(page, "Download")
    with zipfile.ZipFile(coming.value.path()) as archive:
        assert archive.testzip() is None
        assert json.loads(archive.read("manifest.json"))["major_version"] == "19.0"
        assert b"CREATE TABLE public.res_partner" in archive.read("dump.sql")
    press(page, "Delete the file")
    page.click(".modal footer button:has-text('Ok')")
    page.wait_for_selector(".alert-info:has-text('The file has been deleted')")


def test_operator_makes_a_copy_for_tests_and_removes_it(tenants_form, picture, tenant, stack, browser):
    page, (_number, name) = tenants_form, tenant
    press(page, "Copy")
    page.wait_for_selector(f".modal:has-text('with the data of {name}')")
    assert page.locator(".modal div[name=neutralise] input").is_checked()
    page.wait_for_selector(".modal li:has-text('It is neutralised: it sends no mail')")
    subdomain = page.input_value(".modal div[name=subdomain] input")
    picture("copy-asked")
    page.click(".modal footer button:has-text('Copy')")
    page.wait_for_selector(".alert-info:has-text(', for tests: nothing leaves it')", timeout=GOING_ON)
    button(page, "Copy").wait_for(timeout=2 * GOING_ON)  # of what serves; the states do not fit beside its buttons
    picture("copy-done")

    port = urlsplit(stack["LOOMWORKS_URL"]).port
    visitor = browser.new_page()
    visitor.goto(f"http://{subdomain}.{stack['LOOMWORKS_DOMAIN']}:{port}/web/login")
    visitor.wait_for_selector("#oe_neutralize_banner:has-text('neutralized for testing')")
    visitor.close()

    press(page, "Remove this copy")
    page.fill(".modal div[name=confirm_name] input", f"{name} (test)")
    page.click(".modal footer button:has-text('Remove')")
    page.wait_for_selector(".o_field_widget[name=erased_at]", timeout=GOING_ON)

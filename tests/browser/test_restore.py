"""An operator takes a snapshot of a tenant, has it proven again, brings the tenant back to it, and takes that back."""

import datetime as dt

from harness.forms import smart_button
from playwright.sync_api import expect

GOING_ON = 180_000  # milliseconds


def test_operator_restores_a_snapshot_and_goes_back(page, stack, log_in, picture, tenant):
    number, name = tenant
    log_in()
    page.goto(f"{stack['LOOMWORKS_URL']}/odoo/action-loomworks_tenant.action_tenant/{number}")
    page.click("button[name=action_create_snapshot]")
    smart_button(page, "action_snapshots")
    page.click(".o_data_row >> nth=0")
    page.wait_for_selector(".o_statusbar_status button.o_arrow_button_current:has-text('Ready')", timeout=GOING_ON)
    picture("snapshot-ready")

    proven = page.inner_text("div[name=verified_at]")
    page.wait_for_timeout(1100)  # the moment has whole seconds
    page.click("button[name=action_verify]")
    expect(page.locator("div[name=verified_at]")).not_to_have_text(proven, timeout=GOING_ON)
    page.wait_for_selector(".o_statusbar_status button.o_arrow_button_current:has-text('Ready')", timeout=GOING_ON)

    page.click(".o_form_statusbar button:has-text('Restore') >> nth=0")
    page.wait_for_selector(".modal:has-text('earlier moment')")
    picture("restore-asked")
    page.fill(".modal div[name=confirm_name] input", name)
    page.click(".modal footer button:has-text('Restore')")
    page.wait_for_selector(".o_statusbar_status button.o_arrow_button_current:has-text('Restoring')", timeout=GOING_ON)
    picture("restore-progress")
    page.wait_for_selector(".o_statusbar_status button.o_arrow_button_current:has-text('Done')", timeout=GOING_ON)
    page.wait_for_selector(".alert-success:has-text('Go back')")
    picture("restore-done")

    page.click("button[name=action_go_back]")
    page.click(".modal footer button:has-text('Ok')")
    page.wait_for_selector(".o_field_widget[name=gone_back_at]", timeout=GOING_ON)
    picture("restore-gone-back")


def test_operator_types_the_moment_to_which_a_tenant_is_restored(page, stack, log_in, picture, tenant):
    number, name = tenant
    log_in()
    page.goto(f"{stack['LOOMWORKS_URL']}/odoo/action-loomworks_tenant.action_tenant/{number}")
    page.wait_for_timeout(1500)  # a moment at which the tenant has served for whole seconds
    moment = dt.datetime.now(dt.UTC)
    page.wait_for_timeout(1500)
    for typed, said in (
        (moment + dt.timedelta(hours=1), "future"),
        (moment - dt.timedelta(days=400), "was made at"),
    ):
        ask(page, typed, name)
        page.wait_for_selector(f".o_error_dialog:has-text('{said}'), .modal:has-text('Invalid Operation')")
        assert said in page.locator(".modal").last.inner_text()
        picture(f"restore-refused-{said.split()[-1]}")
        leave(page)

    ask(page, moment, "Somebody else's")
    page.wait_for_selector(".modal:has-text('nothing has been done')")
    leave(page)

    ask(page, moment, name)
    page.wait_for_selector(".o_statusbar_status button.o_arrow_button_current:has-text('Done')", timeout=GOING_ON)
    assert f"{moment:%b} {moment.day}, {moment:%-I:%M:%S %p}" in page.inner_text("h3:has-text('as of')")
    picture("restored-to-a-typed-moment")


def ask(page, moment, name):
    """Ask for a moment, as somebody types it in."""
    page.click("button:has-text('Restore'):visible >> nth=0")
    page.wait_for_selector(".modal:has-text('earlier moment')")
    page.locator(".modal div[name=moment] :is(button, input)").first.click()
    field = page.locator(".modal div[name=moment] input")
    field.fill(f"{moment:%m/%d/%Y %H:%M:%S}")
    field.press("Tab")
    page.fill(".modal div[name=confirm_name] input", name)
    page.click(".modal footer button:has-text('Restore')")


def leave(page):
    """Close what was refused, and the dialog."""
    page.keyboard.press("Escape")
    page.click(".modal button:has-text('Leave it as it is')")
    page.wait_for_selector(".modal", state="detached")

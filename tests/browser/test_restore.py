"""An operator takes a snapshot of a tenant, has it proven again, brings the tenant back to it, and takes that back."""

from playwright.sync_api import expect

GOING_ON = 180_000  # milliseconds


def test_operator_restores_a_snapshot_and_goes_back(page, stack, log_in, picture, tenant):
    number, name = tenant
    log_in()
    page.goto(f"{stack['LOOMWORKS_URL']}/odoo/action-loomworks_tenant.action_tenant/{number}")
    page.click("button[name=action_create_snapshot]")
    page.click("button[name=action_snapshots]")
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

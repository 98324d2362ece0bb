"""An operator takes a snapshot of a tenant, brings the tenant back to it, and takes that back."""

import json
import secrets
import time
import urllib.request

import pytest

GOING_ON = 180_000  # milliseconds


@pytest.fixture
def call(stack):
    """Call a method of the control plane by JSON-2."""

    def call(model, method, **arguments):
        headers = {"Authorization": f"bearer {stack['LOOMWORKS_API_KEY']}", "Content-Type": "application/json"}
        url = f"{stack['LOOMWORKS_URL']}/json/2/{model}/{method}"
        request = urllib.request.Request(url, json.dumps(arguments).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    return call


@pytest.fixture
def tenant(call):
    """A tenant that serves; erased in the end. Its row's id and name."""
    subdomain = f"ui-{secrets.token_hex(4)}"
    (plan,) = call("loomworks.plan", "search", domain=[["code", "=", "basic"]])
    values = {"name": subdomain.title(), "subdomain": subdomain, "plan_id": plan}
    (number,) = call("loomworks.tenant", "create", vals_list=[values])
    call("loomworks.tenant", "action_provision", ids=[number])
    end = time.monotonic() + 150
    while call("loomworks.tenant", "read", ids=[number], fields=["state"])[0]["state"] != "active":
        assert time.monotonic() < end
        time.sleep(0.3)
    yield number, values["name"]
    call("loomworks.tenant", "action_archive", ids=[number])
    call("loomworks.tenant", "action_erase", ids=[number], confirm_name=values["name"])


def test_operator_restores_a_snapshot_and_goes_back(page, stack, log_in, picture, tenant):
    number, name = tenant
    log_in()
    page.goto(f"{stack['LOOMWORKS_URL']}/odoo/action-loomworks_tenant.action_tenant/{number}")
    page.click("button[name=action_create_snapshot]")
    page.click("button[name=action_snapshots]")
    page.click(".o_data_row >> nth=0")
    page.wait_for_selector(".o_statusbar_status button.o_arrow_button_current:has-text('Ready')", timeout=GOING_ON)
    picture("snapshot-ready")

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

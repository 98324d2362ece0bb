"""A list of tenants of another platform, as an operator brings it in: looked at, corrected, imported, and checked."""

import base64
import secrets
import time

import pytest
from harness.other_platform import other_platform
from harness.sources import Sources, client_of

PATIENCE = 240  # seconds


@pytest.fixture
def account(kubectl):
    """Read a value of the Secret of the owner of the buckets."""

    def read(key):
        path = "{.data." + key.replace(".", "\\.") + "}"
        encoded = kubectl("-n", "loomworks", "get", "secret", "pgbackrest-s3", "-o", f"jsonpath={path}")
        return base64.b64decode(encoded).decode()

    return read


@pytest.fixture
def source(account, tmp_path):
    """A tenant of another platform in the bucket of sources."""
    sources = Sources(client_of(account, tmp_path))
    with other_platform() as platform:
        yield sources.put("acme.zip", platform.packed())
    sources.clear()


@pytest.fixture
def subdomain(call):
    """A subdomain whose tenant is removed at the end."""
    name = f"ui-{secrets.token_hex(4)}"
    yield name
    fields = ["name", "state", "erased_at"]
    for one in call("loomworks.tenant", "search_read", domain=[["subdomain", "=", name]], fields=fields):
        if one["state"] != "archived":
            call("loomworks.tenant", "action_archive", ids=[one["id"]])
        call("loomworks.tenant", "action_erase", ids=[one["id"]], confirm_name=one["name"], reason="the test is over")


def upload(page, text):
    name = f"{secrets.token_hex(4)}.csv"
    files = [{"name": name, "mimeType": "text/csv", "buffer": text.encode()}]
    page.set_input_files(".modal .o_field_binary input[type=file]", files=files)
    page.wait_for_function(
        "name => [...document.querySelectorAll('.modal .o_field_binary, .modal .o_field_binary input')]"
        ".some(one => (one.value || one.textContent).includes(name))",
        arg=name,
    )


def test_list_is_looked_at_corrected_and_brought_in(page, picture, log_in, stack, call, source, subdomain):
    lines = f"name,subdomain,plan,source\nAcme Ltd,{subdomain},Basic,{source}\n"
    log_in()
    page.goto(f"{stack['LOOMWORKS_URL']}/odoo/action-loomworks_storage.action_import")
    page.click("button:has-text('Import a list')")
    page.wait_for_selector(".modal a[download]")
    upload(page, f"{lines}Globex,admin,Gold,nowhere.zip\n")
    page.click(".modal button:has-text('Look at the list')")
    page.wait_for_selector(".modal .o_data_row:has-text('there is no plan “Gold”')")
    assert "reserved" in page.locator(".modal .o_data_row").nth(1).inner_text()
    page.check(".modal div[name=source_off] input")
    picture("import-list")
    page.click(".modal button:has-text('Import them')")
    page.wait_for_selector(".modal:has-text('1 line(s) are wrong; nothing was made')")
    page.click(".modal:has-text('nothing was made') button:has-text('Close')")
    assert call("loomworks.import", "search_count", domain=[["source", "=", source]]) == 0

    upload(page, lines)
    page.click(".modal button:has-text('Look at the list')")
    page.wait_for_function("document.querySelectorAll('.modal .o_data_row').length == 1")
    assert "Right" in page.locator(".modal .o_data_row").inner_text()
    page.check(".modal div[name=source_off] input")
    page.click(".modal button:has-text('Import them')")
    page.wait_for_selector(".modal", state="detached")
    page.click(f".o_data_row:has-text('{subdomain}') td[name=name]")
    page.wait_for_selector(".o_form_view .o_arrow_button_current")
    picture("import-running")
    end = time.monotonic() + PATIENCE
    domain = [["source", "=", source]]
    while (row := call("loomworks.import", "search_read", domain=domain)[0])["state"] != "done":
        assert row["state"] != "failed", row["error_message"]
        assert time.monotonic() < end, row
        time.sleep(0.5)
    page.wait_for_selector(".alert-success:has-text('all digests equal')")
    page.wait_for_selector(".o_statusbar_status .o_arrow_button_current:has-text('Done')")
    picture("import-done")

    page.goto(f"{stack['LOOMWORKS_URL']}/odoo/action-loomworks_storage.action_import")
    page.click("button:has-text('Import a list')")
    upload(page, lines)
    page.click(".modal button:has-text('Look at the list')")
    page.wait_for_selector(".modal .o_data_row:has-text('It is among the imports already: Done.')")

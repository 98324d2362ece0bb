"""An operator gives a tenant a fresh volume, watches its files being backed up, and clears away what nobody names."""

import json
import time
import uuid

import pytest
from harness.forms import smart_button

GOING_ON = 300_000  # milliseconds
PATIENCE = 120  # seconds
OURS = "app.kubernetes.io/managed-by"


@pytest.fixture
def lost(kubectl):
    """The namespace and the claim of a tenant that no row names; the tenant's uuid."""
    number = str(uuid.uuid4())
    labels = {OURS: "loomworks", "loomworks.io/tenant": number}
    home = f"lw-{number}"
    namespace = {"kind": "Namespace", "metadata": {"name": home, "labels": labels}}
    meta = {"name": f"odoo-instance-{number}", "namespace": home, "labels": labels}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "64Mi"}}}
    claim = {"kind": "PersistentVolumeClaim", "metadata": meta, "spec": {**spec, "storageClassName": "nobodys"}}
    items = [{"apiVersion": "v1", **one} for one in (namespace, claim)]
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    yield number
    kubectl("delete", "namespace", home, "--ignore-not-found", "--wait=false")


@pytest.fixture
def no_grace(call):
    """Let orphans be deleted at once."""
    clusters = call("loomworks.cluster", "search", domain=[])
    days = call("loomworks.cluster", "read", ids=clusters, fields=["orphan_grace_days"])[0]["orphan_grace_days"]
    call("loomworks.cluster", "write", ids=clusters, vals={"orphan_grace_days": 0})
    yield
    call("loomworks.cluster", "write", ids=clusters, vals={"orphan_grace_days": days})


def wait_for(reached):
    end = time.monotonic() + PATIENCE
    while not (found := reached()):
        assert time.monotonic() < end
        time.sleep(1)
    return found


@pytest.mark.usefixtures("no_grace")
def test_orphans_are_shown_by_a_dry_run_and_deleted_once_confirmed(page, picture, log_in, stack, call, lost, kubectl):
    call("loomworks.orphan", "action_sweep")
    domain = [["tenant_uuid", "=", lost], ["state", "=", "open"]]
    wait_for(lambda: call("loomworks.orphan", "search_count", domain=domain) == 2)
    log_in()
    page.goto(f"{stack['LOOMWORKS_URL']}/odoo/action-loomworks_storage.action_orphan")
    page.fill(".o_searchview_input", lost)
    page.keyboard.press("Enter")
    rows = page.locator(f".o_data_row:has-text('{lost}')")
    rows.nth(1).wait_for()
    assert rows.count() == 2
    for row in range(2):
        rows.nth(row).locator(".o_list_record_selector input").click()
    page.click("button:has-text('Delete...')")
    page.wait_for_selector(".modal:has-text('Nothing has been deleted yet')")
    assert page.locator(f".modal .o_data_row:has-text('{lost}')").count() == 2
    picture("orphans-dry-run")

    page.fill(".modal div[name=confirm_count] input", "7")
    page.click(".modal button:has-text('Delete them')")
    page.wait_for_selector(".modal:has-text('Type how many objects are to be deleted: 2')")
    assert kubectl("get", "namespace", f"lw-{lost}")
    page.locator(".modal:has-text('Type how many objects') button:has-text('Close')").last.click()
    page.fill(".modal div[name=confirm_count] input", "2")
    page.click(".modal button:has-text('Delete them')")
    page.wait_for_selector(".modal", state="detached")
    domain = [["tenant_uuid", "=", lost], ["state", "=", "deleted"]]
    wait_for(lambda: call("loomworks.orphan", "search_count", domain=domain) == 2)
    assert not kubectl("get", "namespace", f"lw-{lost}", "--ignore-not-found")


def test_fresh_volume_asks_for_the_name_and_shows_how_far_it_is(page, picture, log_in, stack, call, tenant):
    number, name = tenant
    log_in()
    page.goto(f"{stack['LOOMWORKS_URL']}/odoo/action-loomworks_tenant.action_tenant/{number}")
    page.click(".o_notebook .nav-link:has-text('Volume')")
    page.click("[name=volume_buttons] button:has-text('Fresh volume')")
    page.wait_for_selector(".modal:has-text('a fresh volume?')")
    page.fill(".modal div[name=confirm_name] input", "not the name")
    page.click(".modal footer button:has-text('Fresh volume')")
    page.wait_for_selector(".modal:has-text('nothing has been done')")
    picture("reset-wrong-name")
    assert not call("loomworks.reset", "search_count", domain=[["tenant_id", "=", number]])
    page.locator(".modal:has-text('nothing has been done') button:has-text('Close')").last.click()
    page.fill(".modal div[name=confirm_name] input", name)
    picture("reset-asked")
    page.click(".modal footer button:has-text('Fresh volume')")
    page.wait_for_selector(".alert:has-text('It gets a fresh volume')")
    picture("reset-tenant")

    smart_button(page, "action_resets")
    page.click(".o_data_row >> nth=0")
    page.wait_for_selector(".o_statusbar_status button.o_arrow_button_current:has-text('Done')", timeout=GOING_ON)
    page.wait_for_selector(".o_field_widget[name=files_backup_id]:has-text('Files of')")
    picture("reset-done")


# Files as Odoo keeps them, so many that their backup takes a while.
MANY_FILES = """
import hashlib, os, pathlib, sys
root = pathlib.Path("/var/lib/odoo/filestore", sys.argv[1])
for _file in range(int(sys.argv[2])):
    content = os.urandom(100_000)
    digest = hashlib.sha1(content).hexdigest()
    (root / digest[:2]).mkdir(parents=True, exist_ok=True)
    (root / digest[:2] / digest).write_bytes(content)
"""
COUNTS = (5_000, 10_000, 20_000)  # a fast machine has backed up the first before anybody looks
# The progress of a tenant's row while it runs, in a list that nobody reloads; 100 once one more is done; null: neither.
PROGRESS = """
    ([name, done]) => {
        const rows = [...document.querySelectorAll(".o_data_row")].filter((one) => one.innerText.includes(name));
        const running = rows.find((one) => one.innerText.includes("Running"));
        const share = parseFloat(running?.querySelector("td[name=progress]").innerText);
        if (share > 0 && share < 100) {
            return share;
        }
        const states = rows.map((one) => one.querySelector("td[name=state]").innerText.trim());
        return states.filter((state) => state === "Done").length > done ? 100 : null;
    }
"""


def test_backups_of_files_are_watched_in_the_list_on_the_board_and_on_their_page(
    page, picture, log_in, stack, call, in_pod, tenant
):
    number, name = tenant
    database = call("loomworks.tenant", "read", ids=[number], fields=["database_name"])[0]["database_name"]
    log_in()
    page.goto(f"{stack['LOOMWORKS_URL']}/odoo/action-loomworks_storage.action_files_backup")
    page.wait_for_selector(".o_list_view")
    for done, count in enumerate(COUNTS):
        in_pod(number, "python3", "-c", MANY_FILES, database, str(count))
        call("loomworks.tenant", "action_back_up_files", ids=[number])
        seen = page.wait_for_function(PROGRESS, arg=[name, done], timeout=GOING_ON, polling=100).json_value()
        if seen < 100:
            break
    assert 0 < seen < 100
    picture("files-backup-running")
    row = page.locator(f".o_data_row:has-text('{name}')").first
    row.locator("td[name=state]:has-text('Done')").wait_for(timeout=GOING_ON)  # by itself: nobody reloads the page
    assert "100" in row.locator("td[name=progress]").inner_text()
    picture("files-backups")
    page.click(".o_switch_view.o_kanban")
    page.wait_for_selector(f".o_kanban_group:has-text('Done') .o_kanban_record:has-text('{name}')")
    picture("files-backups-board")
    page.click(".o_switch_view.o_graph")
    page.wait_for_selector(".o_graph_view canvas")
    picture("files-backups-graph")
    page.click(".o_switch_view.o_list")
    page.click(f".o_data_row:has-text('{name}') >> nth=0")
    page.wait_for_selector(".o_form_view .o_field_widget[name=new_size]")
    picture("files-backup")


def test_how_a_bucket_is_set_is_told_on_the_clusters_page(page, picture, log_in, stack):
    log_in()
    page.goto(f"{stack['LOOMWORKS_URL']}/odoo/action-loomworks_tenant.action_cluster")
    page.click(".o_data_row >> nth=0")
    page.click(".o_notebook .nav-link:has-text('Files in S3')")
    page.click("button[name=action_check_bucket]")
    page.wait_for_selector("[name=bucket_findings_html] tr:has-text('Deletion by the store')")
    picture("bucket-settings")

"""Tenants of another platform, brought in on the running stack: one, with a file missing, and killed on the way."""

import base64
import secrets
import time

import conftest
import pytest
from botocore.exceptions import ClientError
from conftest import Refused, Tenant
from harness import engines
from harness.other_platform import CONTENTS, LOGIN, LOGIN_PASSWORD, other_platform
from harness.sources import Sources, client_of
from stack import s3
from test_copies import log_in
from test_killed_control_plane import kill, wait_back

engines.register()

from addons.loomworks_storage.imports.job import LABELS  # noqa: E402  (only importable once registered)

IMPORT = "loomworks.import"
PATIENCE = 2 * conftest.PATIENCE  # seconds: modules are installed on the way


@pytest.fixture(scope="module")
def platform():
    """A tenant of another platform, who has worked there."""
    with other_platform() as one:
        yield one


@pytest.fixture
def sources(secret, tmp_path):
    """A folder for sources."""
    made = Sources(client_of(lambda key: secret("loomworks", "pgbackrest-s3", key), tmp_path))
    yield made
    made.clear()


@pytest.fixture
def begun(call, stack):
    """Take the ids of tenants that imports make, and return these; they are removed at the test's end."""
    tenants = []

    def take(*ids):
        for row in call("loomworks.tenant", "read", ids=ids, fields=["uuid", "database_name", "subdomain"]):
            made = Tenant(call, stack, row["id"], row["uuid"], row["subdomain"], row["database_name"])
            tenants.append(made)
        return tenants[-len(ids) :]

    yield take
    for tenant in tenants:
        if not tenant.read("erased_at")["erased_at"]:
            if tenant.read("state")["state"] != "archived":
                tenant.act("action_archive")
            tenant.act("action_erase", confirm_name=tenant.read("name")["name"], reason="the test is over")


@pytest.fixture
def bring_in(call, begun):
    """Begin imports; whatever a test leaves of their tenants is removed at its end."""

    def begin(source, **values):
        subdomain = f"old-{secrets.token_hex(4)}"
        (plan,) = call("loomworks.plan", "search", domain=[["code", "=", "basic"]])
        values = {"name": subdomain.title(), "subdomain": subdomain, "plan_id": plan, "source": source, **values}
        (number,) = call(IMPORT, "create", vals_list=[{"source_off": True, **values}])
        (tenant,) = call(IMPORT, "action_import", ids=[number])
        return number, begun(tenant)[0]

    return begin


@pytest.fixture
def row_of(call):
    return lambda number: call(IMPORT, "read", ids=[number])[0]


@pytest.fixture
def reach(row_of):
    """Wait until an import is in a state; return its row."""

    def wait(number, *states, seconds=PATIENCE):
        end = time.monotonic() + seconds
        while (row := row_of(number))["state"] not in states:
            assert row["state"] != "failed", row["error_message"]
            assert time.monotonic() < end, row
            time.sleep(0.2)
        return row

    return wait


def serves_what_it_had(tenant):
    """Log in as somebody did there, and see that her data and files are here."""
    work = log_in(tenant, LOGIN, LOGIN_PASSWORD)
    assert work, "users log in as they did on the other platform"
    assert work("res.partner", "search_count", [["name", "=", "An old customer"]]) == 1
    for name, content in CONTENTS.items():
        domain = [["name", "=", name], ["res_model", "=", "res.partner"]]
        (found,) = work("ir.attachment", "search_read", domain, ["datas"])
        assert base64.b64decode(found["datas"] or b"") == content
    return work


def left_in_cluster(kube, tenant):
    names = [item["metadata"]["name"] for kind in ("Job", "Secret") for item in kube.list(kind, tenant.namespace)]
    return [name for name in names if name.startswith("import-")]


def test_tenant_of_another_platform_serves_with_an_identity_of_its_own(
    platform, sources, bring_in, reach, kube, server, call
):
    files = platform.files()
    source = sources.put("acme.zip", platform.packed(files))
    before = sources.listed()
    began = time.monotonic()
    values = {"expected_files": len(files), "expected_bytes": sum(map(len, files.values()))}
    number, tenant = bring_in(source, **values)
    row = reach(number, "done")
    print(f"an import served after {time.monotonic() - began:.1f} s: {row['result']}")
    steps = call(
        "loomworks.tenant.step", "search_read", domain=[["tenant_id", "=", tenant.id]], fields=["code", "seconds"]
    )
    print({step["code"]: step["seconds"] for step in steps})
    assert tenant.wait_settled("active")["error_message"] is False
    assert sources.listed() == before, "a source is only read"

    assert (row["files"], row["bytes"]) == (len(files), sum(map(len, files.values())))
    assert "all digests equal" in row["result"]
    serves_what_it_had(tenant)
    with server.connect(tenant.database) as cr:
        cr.execute("SELECT key, value FROM ir_config_parameter")
        parameters = {one["key"]: one["value"] for one in cr.fetchall()}
        cr.execute("SELECT name FROM ir_module_module WHERE state = 'installed' AND name LIKE 'loomworks%'")
        modules = {one["name"] for one in cr.fetchall()}
        cr.execute("SELECT count(*) AS count FROM res_users_apikeys WHERE name = 'a program'")
        keys = cr.fetchone()["count"]
    assert parameters["database.uuid"] == parameters["loomworks.tenant_uuid"] == tenant.uuid
    assert parameters["web.base.url"] == tenant.read("public_url")["public_url"]
    assert "report.url" not in parameters
    assert (modules, keys) == ({"loomworks_client", "loomworks_ai"}, 0)
    assert server.foreign_objects(tenant.database, f"t_{tenant.uuid.replace('-', '')}") == 0
    assert left_in_cluster(kube, tenant) == []
    link = tenant.act("action_first_login_link")["params"]["links"][0]["url"]
    assert tenant.host in link, "the control plane is let in"


def test_file_that_is_missing_is_named_and_nothing_half_done_is_served(
    platform, sources, bring_in, reach, row_of, kube, call
):
    """Served without them, attachments would be empty, and nobody would have been told."""
    files = platform.files()
    gone = next(name for name, content in files.items() if content == CONTENTS["photograph"])
    spoilt = next(name for name, content in files.items() if content == CONTENTS["letter"])
    some = {name: content for name, content in files.items() if name != gone}
    source = sources.put_folder("acme", {**some, spoilt: b"something else"})
    dump = sources.put("dumps/acme.dump", platform.dump("--format=custom"))
    before = sources.listed()
    number, tenant = bring_in(source, dump=dump)
    end = time.monotonic() + PATIENCE
    while (row := row_of(number))["state"] != "failed":
        assert time.monotonic() < end, row
        time.sleep(0.2)
    assert row["error_code"] == "import_not_whole"
    assert {gone[3:], spoilt[3:]} <= set(row["problems_text"].replace(":", " ").split())
    values = tenant.wait(lambda values: values["error_code"] == "import_failed")
    assert values["state"] == "provisioning"
    assert tenant.get("/web/login").status_code == 503
    assert kube.get("Deployment", "odoo", tenant.namespace) is None
    assert sources.listed() == before

    sources.put_folder("acme", {gone: files[gone], spoilt: files[spoilt]})
    call(IMPORT, "action_retry", ids=[number])
    row = reach(number, "done")
    assert (row["files"], row["problem_files"]) == (len(files), 0)
    serves_what_it_had(tenant)


@pytest.fixture
def look_at_list(call):
    """Upload a list of tenants to import, and look at it; return the batch's id and its lines by number."""

    def look(*lines, **values):
        text = "\n".join(["name,subdomain,plan,source,dump", *lines, ""])
        values = {"file": base64.b64encode(text.encode()).decode(), "source_off": True, **values}
        (batch,) = call(f"{IMPORT}.batch", "create", vals_list=[values])
        call(f"{IMPORT}.batch", "action_preview", ids=[batch])
        domain, fields = [["batch_id", "=", batch]], ["number", "state", "problems"]
        return batch, {
            row["number"]: row for row in call(f"{IMPORT}.batch.line", "search_read", domain=domain, fields=fields)
        }

    return look


def test_right_lines_of_a_list_come_in_and_the_wrong_ones_say_why(platform, sources, look_at_list, begun, reach, call):
    archive = sources.put("acme.zip", platform.packed())
    folder = sources.put_folder("globex", platform.files())
    dump = sources.put("dumps/globex.dump", platform.dump("--format=custom"))
    before, one, two = sources.listed(), *(f"old-{secrets.token_hex(4)}" for _line in range(2))
    lines = [f"Acme,{one},Basic,{archive},", f"Gone,{one}x,Basic,{sources.prefix}/nowhere.zip,"]
    lines += [f"Globex,{two},Basic,{folder},{dump}", f"Gold,{two}x,Gold,x.zip,", "Admin,admin,Basic,y.zip,"]
    batch, found = look_at_list(*lines)
    assert [found[number]["state"] for number in range(2, 7)] == ["good", "bad", "good", "bad", "bad"]
    assert "nowhere.zip" in found[3]["problems"]
    assert "there is no plan “Gold”" in found[5]["problems"]
    assert "reserved" in found[6]["problems"]
    with pytest.raises(Refused, match=r"3 line\(s\) are wrong; nothing was made"):
        call(f"{IMPORT}.batch", "action_confirm", ids=[batch])

    call(f"{IMPORT}.batch", "write", ids=[batch], vals={"whole": False})
    ((_id, _in, numbers),) = call(f"{IMPORT}.batch", "action_confirm", ids=[batch])["domain"]
    rows = call(IMPORT, "read", ids=numbers, fields=["source", "tenant_id"])
    assert {row["source"] for row in rows} == {archive, folder}
    tenants = begun(*(row["tenant_id"][0] for row in rows))
    assert {tenant.subdomain for tenant in tenants} == {one, two}
    for number, tenant in zip(numbers, tenants, strict=True):
        assert "all digests equal" in reach(number, "done")["result"]
        serves_what_it_had(tenant)
    assert sources.listed() == before


def given_up(source, bring_in, row_of, call):
    """Bring a source in and give it up meanwhile; return number and tenant, or None where it was brought in faster."""
    number, tenant = bring_in(source)
    end = time.monotonic() + PATIENCE
    while row_of(number)["state"] == "waiting":
        assert time.monotonic() < end
        time.sleep(0.05)
    try:
        call(IMPORT, "action_cancel", ids=[number])
    except Refused as refused:
        if "too late" not in str(refused):
            raise
        return None
    return number, tenant


def test_source_that_is_given_up_leaves_nothing(platform, sources, bring_in, row_of, call, kube, server):
    packed, found = platform.packed(), None
    for name in ("acme.zip", "again.zip", "once-more.zip"):
        source = sources.put(name, packed)
        if found := given_up(source, bring_in, row_of, call):
            break
    number, tenant = found
    before = sources.listed()
    tenant.wait(lambda values: values["erased_at"])
    assert row_of(number)["state"] == "cancelled"
    assert server.database(tenant.database) is None
    assert kube.get("Namespace", tenant.namespace) is None
    assert sources.listed() == before


def test_account_of_imports_only_reads_its_own_bucket(sources, secret, tmp_path):
    name = sources.put("x/readme.txt", b"something")
    client = client_of(lambda key: secret("loomworks", "imports-s3", key), tmp_path)
    assert client.get_object(Bucket=s3.IMPORTS_BUCKET, Key=name)["Body"].read() == b"something"
    for refused in (
        lambda: client.put_object(Bucket=s3.IMPORTS_BUCKET, Key=name, Body=b"other"),
        lambda: client.delete_object(Bucket=s3.IMPORTS_BUCKET, Key=name),
        lambda: client.list_objects_v2(Bucket=s3.FILES_BUCKET),
        lambda: client.list_objects_v2(Bucket=s3.BUCKET),
    ):
        with pytest.raises(ClientError):
            refused()


@pytest.mark.alone
@pytest.mark.parametrize("state", ["loading", pytest.param("installing", marks=pytest.mark.long)])
def test_import_is_finished_after_its_pod_and_the_control_plane_are_killed(
    platform, sources, bring_in, reach, kube, server, state
):
    """What a Job has half done is begun again, and what it has done is not lost."""
    source = sources.put("acme.zip", platform.packed())
    before = sources.listed()
    number, tenant = bring_in(source)
    reach(number, state)
    end = time.monotonic() + PATIENCE
    while not (pods := _running(kube, tenant)):
        assert time.monotonic() < end
        time.sleep(0.02)
    kube.delete("Pod", pods[0], tenant.namespace)
    kill(kube, tenant.stack)
    wait_back(tenant.stack)
    row = reach(number, "done")
    assert "all digests equal" in row["result"]
    serves_what_it_had(tenant)
    assert server.databases_of(f"t_{tenant.uuid.replace('-', '')}") == [tenant.database]
    assert sources.listed() == before


def _running(kube, tenant):
    selector = ",".join(f"{key}={value}" for key, value in LABELS.items())
    pods = kube.list("Pod", tenant.namespace, label_selector=selector)
    return [pod["metadata"]["name"] for pod in pods if pod["status"].get("phase") == "Running"]

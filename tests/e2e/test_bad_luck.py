"""Bad input and bad luck: a clear message on step and form, nothing left over, and healed where that makes sense."""

import contextlib
import secrets
import subprocess
import time

import pytest
from addons.loomworks_tenant.errors import RetryableError
from conftest import Refused
from harness.cluster import PLATFORM, argv

NO_SUCH_CLASS = "loomworks-no-such-class"


@pytest.fixture
def make_plan(call):
    """Make plans like "basic" with other values; removed at the end."""
    made = []

    def make(**values):
        code = f"e2e_{secrets.token_hex(4)}"
        basic = call("loomworks.plan", "search_read", domain=[["code", "=", "basic"]], fields=["module_names"])[0]
        values = {"name": code, "code": code, "keep_template_ready": False, "volume_size": "1Gi", **values}
        made.extend(call("loomworks.plan", "create", vals_list=[{"module_names": basic["module_names"], **values}]))
        return code

    yield make
    with contextlib.suppress(Refused):
        call("loomworks.plan", "write", ids=made, vals={"active": False})


@pytest.fixture
def own_cluster(call):
    """A second row for the same cluster and server, so that a test may spoil it."""
    own = call("loomworks.cluster", "search_read", domain=[], fields=[])[0]
    copied = ("kubeconfig", "domain", "public_url", "image", "storage_class", "cpu_request", "memory_request")
    values = {key: own[key] for key in copied} | {"name": f"e2e {secrets.token_hex(4)}", "sequence": 99}
    cluster = call("loomworks.cluster", "create", vals_list=[values])[0]
    server = call("loomworks.database.server", "search_read", domain=[], fields=["host", "port", "password_reference"])
    values = {key: server[0][key] for key in ("host", "port", "password_reference")}
    values |= {"name": f"e2e {secrets.token_hex(4)}", "cluster_id": cluster}
    server = call("loomworks.database.server", "create", vals_list=[values])[0]
    yield {"id": cluster, "server": server, "image": own["image"]}
    call("loomworks.cluster", "write", ids=[cluster], vals={"image": own["image"]})
    call("loomworks.database.server", "write", ids=[server], vals={"active": False})


@pytest.mark.parametrize(
    ("subdomain", "message"),
    [("ab", "3 to 63"), ("Acme", "3 to 63"), ("acme-", "3 to 63"), ("console", "reserved")],
)
def test_bad_subdomain_is_refused_with_the_reason(make_tenant, subdomain, message):
    with pytest.raises(Refused, match=message):
        make_tenant(subdomain=subdomain)


def test_taken_subdomain_is_refused_with_the_reason(make_tenant, acme):
    with pytest.raises(Refused, match="taken"):
        make_tenant(subdomain=acme.subdomain)


def test_missing_storage_class_is_said_and_retry_heals(make_tenant, own_cluster, call, kube):
    call("loomworks.cluster", "write", ids=[own_cluster["id"]], vals={"storage_class": NO_SUCH_CLASS})
    tenant = make_tenant(cluster_id=own_cluster["id"])
    values = tenant.wait(lambda values: values["error_code"] == "storage_class_missing")
    assert NO_SUCH_CLASS in values["error_message"]
    assert tenant.steps()["volume_claim"]["state"] == "failed"
    assert list(kube.list("PersistentVolumeClaim", tenant.namespace)) == []
    call("loomworks.cluster", "write", ids=[own_cluster["id"]], vals={"storage_class": False})
    tenant.act("action_retry")
    tenant.wait_settled("active")
    assert not tenant.read("error_message")["error_message"]


def test_pending_volume_says_so_and_the_site_has_an_honest_page(make_tenant, own_cluster, call, kube):
    """A class whose provisioner does not exist: the claim stays pending until somebody gives it a volume."""
    name = f"e2e-{secrets.token_hex(4)}"
    provisioner = {"provisioner": "e2e.loomworks.io/nobody"}
    kube.create({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}, **provisioner})
    try:
        call("loomworks.cluster", "write", ids=[own_cluster["id"]], vals={"storage_class": name})
        tenant = make_tenant(cluster_id=own_cluster["id"])
        tenant.wait(lambda values: tenant.steps().get("volume", {}).get("state") in ("waiting", "failed"))
        assert "volume" in tenant.steps()["volume"]["message"]
        assert tenant.read("state")["state"] == "provisioning"
        assert tenant.get("/web/login").status_code == 503
    finally:
        kube.delete("StorageClass", name)


def test_exceeded_quota_is_said_and_heals_when_it_is_raised(make_tenant, kube):
    tenant = make_tenant()
    tenant.wait_settled("active")
    tenant.act("action_suspend")
    tenant.wait_settled("suspended")
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "e2e", "namespace": tenant.namespace},
        "spec": {"hard": {"pods": "0"}},
    }
    kube.create(quota)
    tenant.act("action_resume")
    values = tenant.wait(lambda values: values["error_code"] == "quota_exceeded")
    assert "exceeded quota" in values["error_message"]
    kube.delete("ResourceQuota", "e2e", tenant.namespace)
    tenant.act("action_restart") if tenant.read("state")["state"] == "active" else tenant.act("action_retry")
    tenant.wait_settled("active")


def test_missing_image_is_said_and_heals_when_it_is_corrected(make_tenant, own_cluster, call):
    tenant = make_tenant(cluster_id=own_cluster["id"])
    tenant.wait_settled("active")
    call("loomworks.cluster", "write", ids=[own_cluster["id"]], vals={"image": own_cluster["image"] + "-no-such"})
    values = tenant.wait(lambda values: values["error_code"] == "image_unavailable")
    assert "no-such" in values["error_message"]
    call("loomworks.cluster", "write", ids=[own_cluster["id"]], vals={"image": own_cluster["image"]})
    tenant.wait_settled("active")
    tenant.wait(lambda values: not values["error_message"])


def test_crash_loop_is_said_with_the_last_words_and_heals(make_tenant, server):
    """A tenant's Odoo that cannot read its database ends at once: the kubelet's crash loop, for real."""
    tenant = make_tenant()
    tenant.wait_settled("active")
    server.close_database(tenant.database)
    tenant.act("action_restart")
    values = tenant.wait(lambda values: values["error_code"] == "crash_loop")
    assert "exit code" in values["error_message"]
    server.open_database(tenant.database)
    tenant.act("action_retry")
    tenant.wait_settled("active")


def test_unreachable_database_server_is_said_and_the_tenant_waits(make_tenant, own_cluster, call):
    call("loomworks.database.server", "write", ids=[own_cluster["server"]], vals={"port": 1})
    tenant = make_tenant(cluster_id=own_cluster["id"])
    tenant.wait(lambda values: tenant.steps().get("database_role", {}).get("error_code") == "server_unreachable")
    assert "cannot be reached" in tenant.steps()["database_role"]["message"]
    call("loomworks.database.server", "write", ids=[own_cluster["server"]], vals={"port": 5432})
    tenant.wait_settled("active")


def test_full_database_server_refuses_before_anything_is_made(make_tenant, own_cluster, call, kube):
    call("loomworks.database.server", "write", ids=[own_cluster["server"]], vals={"capacity": 0})
    tenant = make_tenant(cluster_id=own_cluster["id"], provision=False)
    with pytest.raises(Refused, match="full"):
        tenant.act("action_provision")
    assert tenant.read("state")["state"] == "draft"
    assert kube.get("Namespace", tenant.namespace) is None


def test_missing_template_is_built_while_the_tenant_waits(make_tenant, make_plan):
    tenant = make_tenant(plan=make_plan(module_names=False))
    tenant.wait(lambda values: tenant.steps().get("database", {}).get("state") in ("waiting", "done"))
    assert tenant.get("/web/login").status_code == 503
    tenant.wait_settled("active")


def test_template_that_cannot_be_built_says_so(make_tenant, make_plan):
    tenant = make_tenant(plan=make_plan(module_names="no_such_module"))
    values = tenant.wait(lambda values: values["error_code"] == "template_missing")
    assert "no_such_module" in values["error_message"]


def test_database_that_a_superuser_looks_at_is_dropped_once_he_is_gone(server, stack):
    name = f"t_{secrets.token_hex(16)}"
    with server.connect(autocommit=True) as cr:
        cr.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    psql = ("psql", "-XU", "postgres", "-d", name, "-c", "SELECT pg_sleep(12)")
    command = argv(stack, "-n", PLATFORM, "exec", "postgres-0", "-c", "steward", "--", *psql)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as superuser:
        with server.connect() as cr:
            wait_for(lambda: connected(cr, name))
        with pytest.raises(RetryableError):
            server.drop_database(name)
        assert superuser.wait(60) == 0
    server.drop_database(name)
    assert server.database(name) is None


def connected(cr, name):
    cr.execute("SELECT pg_stat_clear_snapshot(), count(*) AS sessions FROM pg_stat_activity WHERE datname = %s", [name])
    return cr.fetchone()["sessions"]


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_namespace_of_somebody_else_is_left_alone(make_tenant, kube):
    tenant = make_tenant(provision=False)
    kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": tenant.namespace}})
    try:
        tenant.act("action_provision")
        values = tenant.wait(lambda values: values["error_code"] == "foreign_object")
        assert tenant.namespace in values["error_message"]
        assert "labels" not in kube.get("Namespace", tenant.namespace)[
            "metadata"
        ] or "loomworks.io/tenant" not in kube.get("Namespace", tenant.namespace)["metadata"].get("labels", {})
    finally:
        kube.delete("Namespace", tenant.namespace)
    tenant.act("action_retry")
    tenant.wait_settled("active")

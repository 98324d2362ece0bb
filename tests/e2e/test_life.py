"""One tenant from its creation to its end, seen from outside."""

import base64

import psycopg2
import pytest
import requests
from addons.loomworks_tenant.kube import names, tenant_pods


def pods(kube, tenant):
    return list(kube.list("Pod", tenant.namespace))


def test_new_tenant_answers_under_its_own_name(acme):
    page = acme.get("/web/login")
    assert page.status_code == 200
    assert 'name="login"' in page.text
    assert set(acme.steps()) >= {"namespace", "database", "identity", "volume", "workload", "health", "route"}
    assert {row["state"] for row in acme.steps().values()} == {"done"}


def test_first_page_is_whole_on_a_fresh_volume(acme):
    """Bundles of the template would be files that the clone does not have; they have to be in rows."""
    page = acme.get("/web/login").text
    bundles = [part.split('"')[0] for part in page.split('="/web/assets/')[1:]]
    assert bundles
    for bundle in bundles:
        assert acme.get(f"/web/assets/{bundle}").status_code == 200, bundle


def test_volume_is_bound_in_the_size_of_the_plan(acme, kube):
    claim = kube.get("PersistentVolumeClaim", f"odoo-instance-{acme.uuid}", acme.namespace)
    assert claim["status"]["phase"] == "Bound"
    assert claim["status"]["capacity"]["storage"] == acme.read("volume_size")["volume_size"]


def test_database_belongs_to_its_own_role_and_admits_nobody_else(acme, globex, server, secret):
    assert server.database(acme.database)["owner"] == acme.database
    assert server.foreign_objects(acme.database, acme.database) == 0
    password = secret(globex.namespace, names.DATABASE_SECRET, "password")
    for database in (acme.database, "loomworks", "postgres", "template1"):
        with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
            psycopg2.connect(
                host=server.spec.host, user=globex.database, password=password, dbname=database, sslmode="require"
            )


def test_role_of_a_tenant_has_no_power_but_over_its_own(acme, server):
    with server.connect() as cr:
        cr.execute(
            "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolconnlimit "
            "FROM pg_roles WHERE rolname = %s",
            [acme.database],
        )
        row = cr.fetchone()
    limit = row.pop("rolconnlimit")
    assert not any(row.values())
    assert limit > 0


def test_pod_is_confined(acme, kube):
    pod = pods(kube, acme)[0]
    assert (
        kube.get("Namespace", acme.namespace)["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        == "restricted"
    )
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert not [mount for volume in pod["spec"]["volumes"] for mount in [volume.get("hostPath")] if mount]
    secrets_seen = {volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if "secret" in volume}
    assert secrets_seen == {names.CONFIG_SECRET}  # not the control plane's key
    assert len(list(kube.list("NetworkPolicy", acme.namespace))) == 2


def test_suspend_keeps_everything_and_resume_brings_it_back(make_tenant, kube, server, administrator):
    tenant = make_tenant()
    tenant.wait_settled("active")
    work = administrator(tenant)
    content = base64.b64encode(b"kept on the volume").decode()
    attachment = work("ir.attachment", "create", [{"name": "kept.txt", "datas": content}])[0]
    with server.connect(tenant.database) as cr:
        cr.execute("SELECT store_fname FROM ir_attachment WHERE id = %s", [attachment])
        assert cr.fetchone()["store_fname"]  # a file of the tenant's volume, not a row
    tenant.act("action_suspend", reason="not paid")
    tenant.wait_settled("suspended")
    assert tenant_pods.living(kube, tenant.uuid) == []
    assert kube.get("PersistentVolumeClaim", f"odoo-instance-{tenant.uuid}", tenant.namespace)
    page = tenant.get("/web/login")
    assert page.status_code == 503
    assert "suspended" in page.text.lower()
    assert page.headers["Retry-After"]
    tenant.act("action_resume")
    tenant.wait_settled("active")
    assert work("ir.attachment", "read", [attachment], fields=["datas"])[0]["datas"] == content
    assert tenant.get("/web/login").status_code == 200


def test_restart_makes_a_new_pod_and_keeps_the_volume(make_tenant, kube, administrator):
    tenant = make_tenant()
    tenant.wait_settled("active")
    work = administrator(tenant)
    content = base64.b64encode(b"kept on the volume").decode()
    (attachment,) = work("ir.attachment", "create", [{"name": "kept.txt", "datas": content}])
    claim = kube.get("PersistentVolumeClaim", names.volume_claim(tenant.uuid), tenant.namespace)
    before = pods(kube, tenant)[0]
    tenant.act("action_restart")
    tenant.wait_settled("active")
    after = [pod for pod in pods(kube, tenant) if not pod["metadata"].get("deletionTimestamp")]
    assert [pod["metadata"]["uid"] for pod in after] != [before["metadata"]["uid"]]
    assert len(after) == 1
    assert tenant.get("/web/login").status_code == 200
    same = kube.get("PersistentVolumeClaim", names.volume_claim(tenant.uuid), tenant.namespace)
    assert same["metadata"]["uid"] == claim["metadata"]["uid"]
    assert work("ir.attachment", "read", [attachment], fields=["datas"])[0]["datas"] == content


def test_archive_closes_and_keeps_and_erase_leaves_nothing(make_tenant, kube, server):
    tenant = make_tenant()
    tenant.wait_settled("active")
    tenant.act("action_archive")
    tenant.wait_settled("archived")
    assert tenant.get("/web/login").status_code == 404
    assert tenant_pods.living(kube, tenant.uuid) == []
    assert kube.get("PersistentVolumeClaim", f"odoo-instance-{tenant.uuid}", tenant.namespace)
    assert server.database(tenant.database)["datallowconn"] is False
    tenant.act("action_erase", confirm_name=tenant.read("name")["name"], reason="the test is over")
    tenant.wait(lambda values: values["erased_at"])
    assert kube.get("Namespace", tenant.namespace) is None
    assert server.database(tenant.database) is None
    with server.connect() as cr:
        cr.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [tenant.database])
        assert cr.fetchone() is None
    routes = list(kube.list("Service", "loomworks-routes", label_selector=names.selector(tenant.uuid)))
    assert routes == []


def test_unknown_name_gets_an_honest_page(stack):
    headers = {"Host": f"nobody-here.{stack['LOOMWORKS_DOMAIN']}"}
    page = requests.get(f"http://{stack['LOOMWORKS_EDGE']}/web/login", headers=headers, timeout=30)
    assert page.status_code == 404
    assert "text/html" in page.headers["Content-Type"]


def test_subdomain_can_be_changed_while_it_serves(make_tenant):
    tenant = make_tenant()
    tenant.wait_settled("active")
    old, tenant.subdomain = tenant.subdomain, f"{tenant.subdomain}-new"
    tenant.call("loomworks.tenant", "write", ids=[tenant.id], vals={"subdomain": tenant.subdomain})
    tenant.wait_settled("active")
    assert tenant.get("/web/login").status_code == 200
    tenant.subdomain = old
    tenant.wait(lambda values: tenant.get("/web/login").status_code == 404, 30)

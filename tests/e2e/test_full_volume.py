"""A tenant whose volume is full: its users are told, read on and log in; nobody else notices; more room revives it."""

import base64
import os
import re

import pytest
import requests
import test_volumes
from conftest import PASSWORD, Refused

FILLER = test_volumes.FILLER
MI = 1024**2
TOLD = "storage of this Odoo is full"


def store(work, count=3 * MI):
    """Store a file of so many bytes as an attachment; return its id."""
    content = base64.b64encode(os.urandom(count)).decode()
    return work("ir.attachment", "create", [{"name": "file", "datas": content}])[0]


def store_several(work):
    for _file in range(8):
        store(work)


def log_in(tenant):
    """Log in anew, as a person does; return the page that this leads to."""
    session = requests.Session()
    session.headers["Host"] = tenant.host
    url = f"http://{tenant.stack['LOOMWORKS_EDGE']}/web/login"
    token = re.search(r'name="csrf_token" value="([^"]+)"', session.get(url, timeout=60).text)[1]
    fields = {"csrf_token": token, "login": "admin", "password": PASSWORD}
    done = session.post(url, data=fields, timeout=60, allow_redirects=False)
    assert done.status_code in (302, 303), done.text[:500]
    return session.get(f"http://{tenant.stack['LOOMWORKS_EDGE']}/odoo", timeout=60)


def told(tenant):
    """Log in anew, and return what the page knows of the volume."""
    page = log_in(tenant)
    assert page.status_code == 200
    return state_in(page.text)


def work_page(work):
    """Return what a page knows of the volume to somebody who is logged in already."""
    url = f"http://{work.tenant.stack['LOOMWORKS_EDGE']}/odoo"
    return state_in(work.session.get(url, timeout=60).text)


def state_in(page):
    return re.search(r'"loomworks_volume": ?"(\w+)"', page)[1]


def test_full_tenant_tells_and_reads_on_and_is_revived_by_more_room(make_tenant, kube, in_pod, administrator, acme):
    tenant = make_tenant()
    tenant.wait_settled("active")
    pods = test_volumes.pod_ids(kube, tenant)
    work, neighbour = administrator(tenant), administrator(acme)
    kept = store(work)
    free = int(in_pod(tenant, "df", "--output=avail", "-B1", "/var/lib/odoo").split()[-1])
    in_pod(tenant, "fallocate", "-l", str(free - 24 * MI), FILLER)

    with pytest.raises(Refused, match=TOLD):  # the last 16 MiB are not for files
        store_several(work)
    assert told(tenant) in ("nearly", "full")

    in_pod(tenant, "sh", "-c", f"dd if=/dev/zero of={FILLER}2 bs=64k 2>/dev/null || true")  # and now to the last block
    assert int(in_pod(tenant, "df", "--output=avail", "-B1", "/var/lib/odoo").split()[-1]) < 64 * 1024
    with pytest.raises(Refused, match=TOLD):
        store(work)
    assert work_page(work) == "full"
    assert len(base64.b64decode(work("ir.attachment", "read", [kept], fields=["datas"])[0]["datas"])) == 3 * MI
    partner = work("res.partner", "create", [{"name": "written on a full volume"}])[0]
    assert work("res.partner", "read", [partner], fields=["name"])[0]["name"] == "written on a full volume"
    assert tenant.get("/web/login").status_code == 200
    assert tenant.get("/web/health").status_code == 200
    assert store(neighbour)
    assert log_in(acme).status_code == 200

    tenant.act("resize_volume", size="6Gi")
    tenant.wait(lambda values: test_volumes.step(tenant)["state"] == "done" and not values["working"])
    assert store(work)
    assert told(tenant) == work_page(work) == "fine"
    assert test_volumes.pod_ids(kube, tenant) == pods

"""Nothing of one tenant opens another one, or the control plane."""

import pytest
import requests
from addons.loomworks_tenant.kube import names
from conftest import first_login


def whoami(session, host, stack):
    """Return the user id that a session has at ``host``, or None."""
    url = f"http://{stack['LOOMWORKS_EDGE']}/web/session/get_session_info"
    cookies = {"session_id": session.cookies["session_id"]}
    body = {"jsonrpc": "2.0", "method": "call", "params": {}}
    answer = requests.post(url, json=body, headers={"Host": host}, cookies=cookies, timeout=60).json()
    return answer.get("result", {}).get("uid")


@pytest.fixture(scope="module")
def logged_in(acme, stack):
    return first_login(acme)


def test_first_login_link_works_once(logged_in, acme, stack):
    session, path = logged_in
    assert whoami(session, acme.host, stack)
    again = acme.get(path)
    assert 'name="password"' not in again.text


def test_session_of_one_tenant_is_nobodys_in_another(logged_in, acme, globex, stack):
    session, _path = logged_in
    assert whoami(session, acme.host, stack)
    assert whoami(session, globex.host, stack) is None
    assert whoami(session, stack["LOOMWORKS_DOMAIN"], stack) is None


def test_first_login_link_of_one_tenant_opens_no_other(globex, acme, stack):
    link = globex.act("action_first_login_link")["params"]["links"][0]["url"]
    path = "/" + link.split("/", 3)[3]
    assert 'name="password"' in globex.get(path).text
    assert 'name="password"' not in acme.get(path).text


def test_key_of_one_tenant_opens_no_other_and_not_the_control_plane(acme, globex, stack, secret):
    key = secret(acme.namespace, names.SERVICE_KEY_SECRET, "api-key")
    for host, expected in ((acme.host, 200), (globex.host, 401), (stack["LOOMWORKS_DOMAIN"], 401)):
        answer = requests.post(
            f"http://{stack['LOOMWORKS_EDGE']}/json/2/res.users/context_get",
            json={},
            headers={"Host": host, "Authorization": f"bearer {key}"},
            timeout=60,
        )
        assert answer.status_code == expected, host


def test_operators_key_opens_no_tenant(acme, stack):
    answer = requests.post(
        f"http://{stack['LOOMWORKS_EDGE']}/json/2/res.users/context_get",
        json={},
        headers={"Host": acme.host, "Authorization": f"bearer {stack['LOOMWORKS_API_KEY']}"},
        timeout=60,
    )
    assert answer.status_code == 401


def test_every_clone_has_a_secret_and_uuid_of_its_own(acme, globex, server):
    found = []
    for tenant in (acme, globex):
        with server.connect(tenant.database) as cr:
            cr.execute("SELECT key, value FROM ir_config_parameter WHERE key IN ('database.secret', 'database.uuid')")
            found.append({row["key"]: row["value"] for row in cr.fetchall()})
    assert found[0]["database.uuid"] == acme.uuid
    assert not set(found[0].values()) & set(found[1].values())


def test_no_password_of_the_template_is_left(globex, server):
    with server.connect(globex.database) as cr:
        cr.execute("SELECT count(*) AS known FROM res_users WHERE password IS NOT NULL")
        assert cr.fetchone()["known"] == 0
        cr.execute("SELECT count(*) AS keys FROM res_users_apikeys")
        assert cr.fetchone()["keys"] == 1  # the control plane's


def test_control_plane_keeps_no_secret_in_a_row(acme, call, secret):
    password = secret(acme.namespace, names.DATABASE_SECRET, "password")
    key = secret(acme.namespace, names.SERVICE_KEY_SECRET, "api-key")
    rows = call("loomworks.tenant", "search_read", domain=[["id", "=", acme.id]], fields=[])
    steps = call("loomworks.tenant.step", "search_read", domain=[["tenant_id", "=", acme.id]], fields=[])
    text = str(rows) + str(steps)
    assert password not in text
    assert key not in text


def test_logs_keep_no_secret(acme, kube, secret):
    password = secret(acme.namespace, names.DATABASE_SECRET, "password")
    key = secret(acme.namespace, names.SERVICE_KEY_SECRET, "api-key")
    for namespace in ("loomworks", acme.namespace):
        for pod in kube.list("Pod", namespace):
            for container in pod["spec"]["containers"]:
                log = kube.pod_log(namespace, pod["metadata"]["name"], container["name"], 100_000)
                assert password not in log
                assert key not in log

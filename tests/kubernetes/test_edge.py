"""The edge of the running stack: every kind of name, and what reaches a tenant and comes back."""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from api_server import Kubectl, wait_until

pytestmark = pytest.mark.cluster

ROUTES = "loomworks-routes"
SOURCE = Path(__file__).with_name("echo_server.py")
USER = 10001  # of the loomworks-odoo image
Get = Callable[..., requests.Response]


@pytest.fixture(scope="module")
def get(stack: dict[str, str]) -> Get:
    """Ask the edge as a browser would, for a subdomain or for a whole host name."""

    def ask(name: str, path: str = "/", method: str = "GET", **options: Any) -> requests.Response:
        host = name if "." in name or name == "localhost" else f"{name}.{stack['LOOMWORKS_DOMAIN']}"
        headers = {"Host": host, **options.pop("headers", {})}
        url = f"http://{stack['LOOMWORKS_EDGE']}{path}"
        return requests.request(method, url, headers=headers, timeout=30, allow_redirects=False, **options)

    return ask


@pytest.fixture
def route(kubectl: Kubectl, get: Get) -> Iterator[Callable[[str], str]]:
    """Make a name that leads to a Service; return the subdomain once the DNS knows it."""
    made: list[str] = []

    def make(target: str) -> str:
        name = f"probe-{uuid4().hex[:8]}"
        kubectl.apply(alias(name, target))
        made.append(name)
        wait_until(lambda: get(name).status_code != 404)
        return name

    yield make
    if made:
        kubectl("delete", "service", *made, "--namespace", ROUTES)


def alias(name: str, target: str) -> dict[str, Any]:
    spec = {"type": "ExternalName", "externalName": f"{target}.svc.cluster.local"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": ROUTES}, "spec": spec}


def page_of(answer: requests.Response) -> tuple[int, str]:
    """The status and the heading of a page of the edge's own."""
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.status_code, answer.text.partition("<h1>")[2].partition("</h1>")[0]


# --- the pages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nobody-has-this", "deeper.than.loomworks.localhost", "www.example.com", "ab"])
def test_an_unknown_name_is_said_to_be_unknown(get: Get, name: str) -> None:
    answer = get(name)
    assert page_of(answer) == (404, "No such address")
    assert "Retry-After" not in answer.headers


def test_a_name_is_shown_as_text_whatever_it_is(get: Get) -> None:
    answer = get("www.example.com", headers={"Host": "<script>.example.com"})
    assert "<script>" not in answer.text


def test_a_tenant_in_the_making_is_asked_for_again(get: Get, route: Callable[[str], str]) -> None:
    answer = get(route("edge-provisioning.loomworks"))
    assert page_of(answer) == (503, "Your site is being prepared")
    assert answer.headers["Retry-After"] == "3"
    assert '<meta http-equiv="refresh" content="3">' in answer.text


def test_a_suspended_tenant_is_said_to_be_suspended(get: Get, route: Callable[[str], str]) -> None:
    answer = get(route("edge-suspended.loomworks"), "/web/login")
    assert page_of(answer) == (503, "This site is suspended")
    assert answer.headers["Retry-After"] == "3600"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("state", ["edge-provisioning", "edge-suspended"])
def test_a_page_answers_every_method(get: Get, route: Callable[[str], str], state: str, method: str) -> None:
    assert get(route(f"{state}.loomworks"), "/json/2/res.users/read", method, data="{}").status_code == 503


def test_an_unknown_name_answers_a_post(get: Get) -> None:
    assert page_of(get("nobody-has-this", "/json/2/x/y", "POST", data="x" * 100_000)) == (404, "No such address")


def test_a_websocket_of_a_tenant_in_the_making_is_refused(get: Get, route: Callable[[str], str]) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    assert get(route("edge-provisioning.loomworks"), "/websocket", headers=upgrade).status_code == 503


def test_a_tenant_without_a_ready_pod_is_said_not_to_answer(
    kubectl: Kubectl, get: Get, route: Callable[[str], str], tenant_namespace: str
) -> None:
    """Its name is in the DNS: this is not "unknown"."""
    kubectl.apply(tenant_service(tenant_namespace, {"nobody": "here"}))
    answer = get(route(f"odoo.{tenant_namespace}"))
    assert page_of(answer) == (503, "This site does not answer yet")
    assert answer.headers["Retry-After"] == "3"


def test_pages_load_nothing_from_elsewhere(get: Get, route: Callable[[str], str]) -> None:
    for name in ("nobody-has-this", route("edge-provisioning.loomworks"), route("edge-suspended.loomworks")):
        assert "default-src 'none'" in get(name).headers["Content-Security-Policy"]


def test_a_change_of_state_is_seen_within_two_seconds(get: Get, kubectl: Kubectl, route: Callable[[str], str]) -> None:
    name = route("edge-provisioning.loomworks")
    assert page_of(get(name))[1] == "Your site is being prepared"
    kubectl.apply(alias(name, "edge-suspended.loomworks"))
    wait_until(lambda: page_of(get(name))[1] == "This site is suspended", seconds=2)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "console"])
def test_the_control_plane_answers_by_its_names(get: Get, name: str) -> None:
    answer = get(name, "/web/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "pass"}


@pytest.fixture
def deaf_edge(kubectl: Kubectl, tenant_namespace: str) -> Iterator[str]:
    """The address of an edge whose DNS server is not there."""
    pod = kubectl.get("deployment", "edge", "--namespace", "loomworks")["spec"]["template"]["spec"]
    container = pod["containers"][0]
    container["env"] = [{"name": "DOMAIN", "value": "example.test"}, {"name": "RESOLVER", "value": "127.0.0.1"}]
    metadata = {"name": "deaf-edge", "namespace": tenant_namespace}
    kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod})
    where = ("pod/deaf-edge", "--namespace", tenant_namespace)
    kubectl("wait", "--for=condition=Ready", *where, "--timeout=60s")
    yield kubectl.get(*where)["status"]["podIP"]
    kubectl("delete", *where, "--grace-period=0", "--force")


def test_a_dead_dns_is_not_taken_for_an_unknown_name(deaf_edge: str) -> None:
    answer = requests.get(f"http://{deaf_edge}:8080/", headers={"Host": "acme.example.test"}, timeout=30)
    assert page_of(answer) == (503, "This site does not answer yet")


# --- a tenant that answers -----------------------------------------------------------------------


def tenant_service(where: str, selector: dict[str, str]) -> dict[str, Any]:
    ports = [{"name": name, "port": port, "targetPort": 8069} for name, port in (("http", 8069), ("websocket", 8072))]
    metadata = {"name": "odoo", "namespace": where}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": selector, "ports": ports}}


def echo_pod(where: str, image: str) -> dict[str, Any]:
    locked = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    container = {
        "name": "echo",
        "image": image,
        "command": ["python", "-c", SOURCE.read_text()],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8069}, "periodSeconds": 1},
        "securityContext": locked,
    }
    security = {"runAsNonRoot": True, "runAsUser": USER, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "echo", "namespace": where, "labels": {"app": "echo"}},
        "spec": {"containers": [container], "securityContext": security, "automountServiceAccountToken": False},
    }


@pytest.fixture
def echo(kubectl: Kubectl, route: Callable[[str], str], tenant_namespace: str) -> str:
    """The subdomain of a stand-in for a tenant."""
    image = kubectl.get("deployment", "control-plane", "--namespace", "loomworks")["spec"]["template"]["spec"]
    kubectl.apply(
        tenant_service(tenant_namespace, {"app": "echo"}), echo_pod(tenant_namespace, image["containers"][0]["image"])
    )
    kubectl("wait", "--for=condition=Ready", "pod/echo", "--namespace", tenant_namespace, "--timeout=60s")
    return route(f"odoo.{tenant_namespace}")


def test_a_tenant_is_told_who_asks_and_how(get: Get, echo: str, stack: dict[str, str]) -> None:
    heard = get(echo, "/web?debug=1").json()
    headers = heard["headers"]
    assert heard["path"] == "/web?debug=1"
    assert headers["Host"] == headers["X-Forwarded-Host"] == f"{echo}.{stack['LOOMWORKS_DOMAIN']}"
    assert headers["X-Forwarded-Proto"] == "http"
    assert headers["X-Forwarded-For"].count(".") == 3


def test_a_visitor_cannot_pretend_to_be_somebody_else(get: Get, echo: str) -> None:
    """Nobody in front of the development edge is trusted: what it says of the client is dropped."""
    claims = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example.com"}
    headers = get(echo, headers=claims).json()["headers"]
    assert "192.0.2.7" not in headers["X-Forwarded-For"]
    assert headers["X-Forwarded-Proto"] == "http"
    assert headers["X-Forwarded-Host"] != "evil.example.com"


def test_a_body_of_a_hundred_megabytes_arrives_whole(get: Get, echo: str) -> None:
    size = 100 * 1024 * 1024
    assert get(echo, "/upload", "POST", data=b"\0" * size).json()["size"] == size


def test_a_larger_body_is_refused(get: Get, echo: str) -> None:
    assert get(echo, "/upload", "POST", data=b"\0" * (129 * 1024 * 1024)).status_code == 413


def test_an_error_of_the_tenants_own_is_passed_on(get: Get, echo: str) -> None:
    answer = get(echo, "/broken")
    assert (answer.status_code, answer.text) == (502, "the tenant's own words")


def test_text_is_compressed(get: Get, echo: str) -> None:
    answer = get(echo, "/large", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(answer.json()) == 50_001


def test_a_websocket_carries_bytes_both_ways(stack: dict[str, str], echo: str) -> None:
    host, _, port = stack["LOOMWORKS_EDGE"].partition(":")
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        "GET /websocket HTTP/1.1",
        f"Host: {echo}.{stack['LOOMWORKS_DOMAIN']}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
    ]
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 101 ")
        connection.sendall(b"\x82\x03abc")
        assert connection.recv(4096) == b"\x82\x03abc"


def test_a_tenant_that_goes_away_is_said_not_to_answer(
    kubectl: Kubectl, get: Get, echo: str, tenant_namespace: str
) -> None:
    assert get(echo).status_code == 200
    kubectl("delete", "pod", "echo", "--namespace", tenant_namespace, "--grace-period=0", "--force")
    wait_until(lambda: get(echo).status_code == 503)
    assert page_of(get(echo)) == (503, "This site does not answer yet")

"""What the control plane makes of a tenant's answers; the tenant is a real HTTP server on this machine."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from addons.loomworks_tenant.errors import TenantUnreachable
from addons.loomworks_tenant.tenant_http import TenantHttp


class Tenant(BaseHTTPRequestHandler):
    """Answers by its address, and remembers what it was asked."""

    asked = []

    def do_GET(self):
        self.answer({"/ok": 200, "/starting": 503, "/moved": 303}.get(self.path, 404))

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append((self.path, self.headers["Authorization"], json.loads(body)))
        good = self.path == "/json/2/loomworks.client/health"
        self.answer(200 if good else 500, b'{"users": 4}' if good else b"Traceback")

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("Location", "/ok")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Keep quiet."""


@pytest.fixture
def tenant():
    """The address of a tenant that answers."""
    server = HTTPServer(("127.0.0.1", 0), Tenant)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Tenant.asked.clear()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("path", "status"), [("/ok", 200), ("/starting", 503), ("/missing", 404)])
def test_status_is_told_whatever_it_is(tenant, path, status):
    assert TenantHttp().get_status(tenant + path) == status


def test_redirect_is_not_followed(tenant):
    assert TenantHttp().get_status(f"{tenant}/moved") == 303


def test_no_proxy_comes_between(tenant, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert TenantHttp().get_status(f"{tenant}/ok") == 200


def test_call_carries_key_and_arguments(tenant):
    assert TenantHttp().call(tenant, "k3y", "loomworks.client", "health", limit=1) == {"users": 4}
    assert Tenant.asked == [("/json/2/loomworks.client/health", "bearer k3y", {"limit": 1})]


def test_error_of_the_tenant_names_status_and_method(tenant):
    with pytest.raises(TenantUnreachable, match=r"answered 500 to res\.users\.boom"):
        TenantHttp().call(tenant, "k3y", "res.users", "boom")


def test_silence_is_unreachable_and_soon_tried_again():
    with pytest.raises(TenantUnreachable, match="does not answer") as caught:
        TenantHttp().get_status("http://127.0.0.1:1/")
    assert caught.value.retry_after == 0.5
    with pytest.raises(TenantUnreachable, match="does not answer"):
        TenantHttp().call("http://127.0.0.1:1", "k3y", "res.users", "read")

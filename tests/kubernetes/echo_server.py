"""Stands in for a tenant's Odoo behind the edge: tells what reached it. Runs in a pod, by the image's Python.

``/websocket`` accepts an upgrade and sends back what it gets; ``/large`` is a page worth compressing; ``/broken``
answers 502 by itself; everything else answers the request's own line, headers and size as JSON.
"""

import base64
import hashlib
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ACCEPT = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Handler(BaseHTTPRequestHandler):
    """Answer with what was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a request without a body."""
        pages = {"/websocket": self.upgrade, "/large": self.large, "/broken": self.broken}
        pages.get(self.path, self.echo)()

    def do_POST(self) -> None:
        """Answer a request with one."""
        self.echo()

    def echo(self) -> None:
        """Say what came."""
        left = size = int(self.headers.get("Content-Length", 0))
        while left:
            left -= len(self.rfile.read(min(left, 1 << 16)))
        heard = {"path": self.path, "method": self.command, "headers": dict(self.headers), "size": size}
        self.answer(200, json.dumps(heard).encode())

    def large(self) -> None:
        """A text of 100 kB."""
        self.answer(200, b"[" + b"1," * 50_000 + b"1]")

    def broken(self) -> None:
        """An error of the tenant's own."""
        self.answer(502, b"the tenant's own words")

    def answer(self, status: int, body: bytes) -> None:
        """Send a whole answer."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def upgrade(self) -> None:
        """Become a websocket that sends back every frame's bytes as they are."""
        key = base64.b64encode(hashlib.sha1((self.headers["Sec-WebSocket-Key"] + ACCEPT).encode()).digest())
        self.send_response(101)
        for name, value in (
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", key.decode()),
        ):
            self.send_header(name, value)
        self.end_headers()
        while data := self.connection.recv(4096):
            self.connection.sendall(data)
        self.close_connection = True


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", 8069), Handler).serve_forever()

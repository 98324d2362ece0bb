"""A proxy before the real S3 server that answers in its place, or late, where a test says so."""

import http.client
import ssl
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HOP = {"connection", "transfer-encoding", "content-length"}  # headers that each hop has its own of


class Trouble:
    """What happens to requests; ``seen`` are those that came: method and path."""

    def __init__(self):
        self.seen = []
        self.delay = 0.0  # seconds before each answer
        self.answer = lambda method, path, number: None  # (status, code) instead of the server's; number from 0 on
        self._counting = threading.Lock()

    def meet(self, method, path):
        """Note a request and return what is answered instead of the server's answer, if anything is."""
        time.sleep(self.delay)
        with self._counting:
            number = len(self.seen)
            self.seen.append((method, path))
        return self.answer(method, path, number)


@contextmanager
def before(s3):
    """Offer the address of a proxy before an S3 server, and its trouble: none, to begin with."""
    trouble, target = Trouble(), urlsplit(s3.endpoint)
    context = ssl.create_default_context(cafile=str(s3.ca_file))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = trouble.meet(self.command, self.path)
            if answer:
                status, code = answer
                return self.reply(status, {}, f"<Error><Code>{code}</Code></Error>".encode())
            connection = http.client.HTTPSConnection(target.hostname, target.port, context=context)
            try:  # the signature is of the header Host, which stays
                connection.request(self.command, self.path, body, dict(self.headers))
                found = connection.getresponse()
                headers = {name: value for name, value in found.getheaders() if name.lower() not in HOP}
                size = found.getheader("Content-Length") if self.command == "HEAD" else None
                return self.reply(found.status, headers, found.read(), size)
            finally:
                connection.close()

        def reply(self, status, headers, body, size=None):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", size or str(len(body)))
            self.end_headers()
            self.wfile.write(body if self.command != "HEAD" else b"")

        def __getattr__(self, name):
            if name.startswith("do_"):
                return self.pass_on
            raise AttributeError(name)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", trouble
        server.shutdown()

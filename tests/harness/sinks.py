"""Servers for tests that take whatever is sent to them."""

import http.server
import socketserver
import threading
from contextlib import contextmanager


@contextmanager
def mail_sink():
    """Offer the port of a mail server that takes everything, and what it has taken."""
    taken = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"220 sink\r\n")
            for line in self.rfile:
                word = line.split()[0].upper() if line.split() else b""
                self.wfile.write({b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}.get(word, b"250 ok\r\n"))
                if word == b"DATA":
                    taken.append(b"".join(iter(self.rfile.readline, b".\r\n")))
                    self.wfile.write(b"250 taken\r\n")
                if word == b"QUIT":
                    return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], taken
        server.shutdown()


@contextmanager
def web_server():
    """A server that takes whatever is sent."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(204)
            self.end_headers()

        do_GET = do_PUT = do_POST  # noqa: N815  (the library's names)

        def do_CONNECT(self):
            self.send_response(200)
            self.end_headers()
            self.close_connection = False  # what comes through the tunnel is for this server, too

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()

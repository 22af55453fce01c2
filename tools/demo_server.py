"""The demo's backend: says who answers and which client address it sees, one line per request."""

import http.server
import socket
import sys


class Hello(http.server.BaseHTTPRequestHandler):
    """GET anything → one line of text."""

    def do_GET(self) -> None:
        client = self.client_address[0].removeprefix("::ffff:")  # an IPv4 client on our IPv6 socket
        body = f"hello from {sys.argv[1]}, you are {client}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Quiet: the demo's own output is the show."""


class Server(http.server.ThreadingHTTPServer):
    """Listens on port 80 of its namespace, v4 and v6."""

    address_family = socket.AF_INET6
    daemon_threads = True
    request_queue_size = 128  # of 5, the kernel drops what comes while a busy machine lets us wait


Server(("::", 80), Hello).serve_forever()

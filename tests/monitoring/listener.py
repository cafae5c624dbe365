"""Whoever listens at ALERT_URL: an HTTP server that keeps what it is sent."""

import base64
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook

SECRET = "whsec_" + base64.b64encode(b"a secret of at least 24 bytes").decode()


@dataclass
class Listener:
    """What came, and what is answered."""

    url: str = ""
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    connections: int = 0  # that were opened so far
    received: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    may_answer: threading.Event = field(default_factory=threading.Event)
    refuses: Callable[[bytes], bool] = lambda body: False  # answered 500

    def messages(self) -> list[dict[str, Any]]:
        """Return what was sent, verified by a library that is not ours."""
        return [Webhook(SECRET).verify(body, headers) for _, headers, body in self.received]

    def types(self) -> list[str]:
        """Return the type of each message."""
        return [message["type"] for message in self.messages()]

    def ids(self) -> list[str]:
        """Return the id of each message."""
        return [headers["webhook-id"] for _, headers, _ in self.received]


@contextmanager
def listening() -> Iterator[Listener]:
    """Listen on a free port of this machine for as long as the block runs."""
    listener = Listener()
    listener.may_answer.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # which keeps connections open

        def setup(self) -> None:
            super().setup()
            listener.connections += 1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            listener.received.append((self.path, headers, body))
            listener.may_answer.wait(30)
            self.send_response(500 if listener.refuses(body) else listener.status)
            for name, value in listener.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(listener.body)))
            self.end_headers()
            self.wfile.write(listener.body)

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.url = f"http://127.0.0.1:{server.server_port}/alerts?key=a-key-in-the-address"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield listener
    finally:
        listener.may_answer.set()
        server.shutdown()
        thread.join()
        server.server_close()

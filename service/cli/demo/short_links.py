"""Addresses that fit into a terminal's line, for links that carry a token of 300 letters."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def short_links(links: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Give each name an address on this machine that redirects to its link, during the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _redirecting(links))
    thread = threading.Thread(target=server.serve_forever, name="links", daemon=True)
    thread.start()
    try:
        yield {name: f"http://127.0.0.1:{server.server_port}/{name}" for name in links}
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _redirecting(links: Mapping[str, str]) -> type[BaseHTTPRequestHandler]:
    class Redirect(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            link = links.get(self.path.strip("/"))
            if link is None:
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            self.send_response(HTTPStatus.FOUND)
            self.send_header("Location", link)
            self.send_header("Referrer-Policy", "no-referrer")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the terminal is the demo's."""

    return Redirect

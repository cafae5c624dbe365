"""The simulator as an ASGI application, the guard of its requests, and the server that runs it."""

import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.simulator.api import endpoints
from service.simulator.books.book import Book
from service.simulator.clock import Clock
from service.simulator.config import SimulatorConfig, is_loopback
from service.simulator.control import companies, settings, webhooks
from service.simulator.generate.companies import generated_book, with_vast_company
from service.simulator.oauth import consent
from service.simulator.oauth import endpoints as oauth
from service.simulator.oauth import endpoints as openid
from service.simulator.pages import companies as pages
from service.simulator.pages import misbehaviour
from service.simulator.responses import Dropper
from service.simulator.state import Simulator, trace_id

_OWN_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE)
_SAFE = ("GET", "HEAD", "OPTIONS")
# Clients of Intuit's protocol are programs, not browsers.
_PROTOCOL = ("/v1/", "/v2/", "/v3/", "/oauth2/")


def create_simulator(
    config: SimulatorConfig, book: Book | None = None, clock: Clock | None = None
) -> Starlette:
    """Return an app with its `state.simulator`; without a book, two generated companies."""
    clock = clock or Clock()
    content = generated_book(clock.now()) if book is None else book
    if config.generate:
        content = with_vast_company(content, config.generate)
    simulator = Simulator(config, content, clock)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        simulator.sender.start()
        yield
        simulator.sender.stop()

    routes = [
        *endpoints.routes,
        *oauth.routes,
        *openid.openid_routes,
        *consent.routes,
        *companies.routes,
        *settings.routes,
        *webhooks.routes,
        *pages.routes,
        *misbehaviour.routes,
    ]
    app = Starlette(routes=routes, middleware=[Middleware(Guard)], lifespan=lifespan)
    app.state.simulator = simulator
    return app


class Guard:
    """Refuses other machines and other sites' pages, and adds `intuit_tid` to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def traced(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["intuit_tid"] = scope["intuit_tid"]
            await send(message)

        scope["intuit_tid"] = trace_id()
        refusal = _refusal(Headers(scope=scope), scope["method"], scope["path"])
        await (refusal or self._app)(scope, receive, traced)


def _refusal(headers: Headers, method: str, path: str) -> PlainTextResponse | None:
    host = headers.get("host", "")
    if not _OWN_HOST.fullmatch(host):
        text = "This QuickBooks simulator answers only to localhost, 127.0.0.1 and [::1].\n"
        return PlainTextResponse(text, 421)
    if method in _SAFE or path.startswith(_PROTOCOL) or not _is_cross_site(headers, host):
        return None
    return PlainTextResponse("Refused: this request came from another site's page.\n", 403)


def _is_cross_site(headers: Headers, host: str) -> bool:
    site = headers.get("sec-fetch-site")
    if site:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != host


START_TIME_OUT = 10.0


@dataclass(frozen=True)
class RunningSimulator:
    url: str
    simulator: Simulator


def run(
    config: SimulatorConfig, *, book: Book | None = None, host: str = "127.0.0.1", port: int = 8700
) -> None:
    """Serve until SIGINT or SIGTERM; raises ValueError unless `host` is loopback."""
    if not is_loopback(host):
        raise ValueError("the simulator listens on loopback only")
    _server(create_simulator(config, book), host, port).run()


@contextmanager
def running(
    config: SimulatorConfig,
    book: Book | None = None,
    port: int = 0,
    *,
    clock: Clock | None = None,
) -> Iterator[RunningSimulator]:
    """Serve on 127.0.0.1 (on a free port for 0) during the block."""
    app = create_simulator(config, book, clock)
    with serving(app, port) as url:
        yield RunningSimulator(url, app.state.simulator)


@contextmanager
def serving(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """Give the address on 127.0.0.1 (a free port for 0) where the app serves in a thread."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    server = _server(app, "127.0.0.1", port)
    thread = threading.Thread(
        target=server.run, args=([listener],), name="quickbooks-simulator", daemon=True
    )
    thread.start()
    try:
        _wait_until_started(server, thread)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(START_TIME_OUT)
        listener.close()


def _server(app: ASGIApp, host: str, port: int) -> uvicorn.Server:
    # The access log would print codes and tokens; the logging of a test's process is not ours.
    return uvicorn.Server(
        uvicorn.Config(
            Dropper(app),
            host=host,
            port=port,
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
    )


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START_TIME_OUT
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the simulator did not start")
        time.sleep(0.005)

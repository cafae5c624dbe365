"""What the simulator's tests use at the wire: a client of it, and an app that it notifies."""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from service.simulator.app import RunningSimulator
from service.simulator.clock import Clock
from service.simulator.config import SimulatorConfig
from tests.servers import PATIENCE

REALM = "9341455000000001"
OTHER_REALM = "9341455000000002"
REDIRECT = "http://localhost:3000/quickbook/connect"
ACCOUNTING = "com.intuit.quickbooks.accounting"
KEYS = ("the-client-id", "the-client-secret")
DEADLINE = 60.0


def a_config(**changes: Any) -> SimulatorConfig:
    """Return the configuration of the tests' app."""
    return SimulatorConfig(
        client_id=KEYS[0],
        client_secret=KEYS[1],
        verifier_token="sim-verifier-token-0001",
        redirect_uri=REDIRECT,
        **changes,
    )


def wait_until(true: Callable[[], Any]) -> Any:
    """Return the first truthy result; fail after the deadline."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if result := true():
            return result
        time.sleep(0.005)
    raise AssertionError("it did not happen in time")


class StoppedClock(Clock):
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        super().__init__()
        self.moved = timedelta(0)

    def now(self) -> datetime:
        return datetime(2026, 11, 10, 12, 0, tzinfo=UTC) + self.moved

    def advance(self, seconds: float) -> None:
        self.moved += timedelta(seconds=seconds)
        super().advance(0)


class Wire:
    """A client that knows only the simulator's address."""

    def __init__(self, running: RunningSimulator) -> None:
        self.url = running.url
        self.simulator = running.simulator
        self.http = httpx.Client(
            base_url=running.url, verify=False, trust_env=False, timeout=PATIENCE
        )
        self.token = ""

    def authorise(self, **changes: str) -> httpx.Response:
        """Open the consent address as a browser would be sent there."""
        params = {
            "client_id": KEYS[0],
            "redirect_uri": REDIRECT,
            "response_type": "code",
            "scope": ACCOUNTING,
            "state": "the-state",
        }
        return self.http.get("/connect/oauth2", params=params | changes)

    def code(self, realm: str = REALM) -> str:
        """Return a fresh code for a company whose user approved."""
        self.http.post("/_sim/consent", json={"approve": True, "realmId": realm})
        return returned(self.authorise())["code"]

    def tokens(self, realm: str = REALM) -> dict[str, Any]:
        """Return the tokens of a new connection."""
        answer = self.exchange(self.code(realm))
        assert answer.status_code == 200
        return answer.json()

    def exchange(self, code: str, redirect_uri: str = REDIRECT, **more: str) -> httpx.Response:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        return self.http.post("/oauth2/v1/tokens/bearer", data=form | more, auth=KEYS)

    def refresh(self, token: str, **headers: str) -> httpx.Response:
        form = {"grant_type": "refresh_token", "refresh_token": token}
        return self.http.post("/oauth2/v1/tokens/bearer", data=form, auth=KEYS, headers=headers)

    def connect(self, realm: str = REALM) -> "Wire":
        """This client holds a live access token of that company."""
        self.token = self.tokens(realm)["access_token"]
        return self

    def get(self, path: str, realm: str = REALM, **params: str) -> httpx.Response:
        return self.http.get(self._path(realm, path), params=params, headers=self._headers())

    def query(self, text: str, realm: str = REALM) -> httpx.Response:
        headers = self._headers() | {"Content-Type": "application/text"}
        return self.http.post(self._path(realm, "query"), content=text, headers=headers)

    def write(self, path: str, data: Any, realm: str = REALM, **params: str) -> httpx.Response:
        """Post JSON to the accounting API."""
        return self.http.post(
            self._path(realm, path), json=data, params=params, headers=self._headers()
        )

    def rows(self, text: str) -> dict[str, Any]:
        """Return the inside of a query's answer."""
        answer = self.query(text)
        assert answer.status_code == 200, answer.text
        return answer.json()["QueryResponse"]

    def ids(self, text: str, entity: str = "Invoice") -> list[str]:
        return [row["Id"] for row in self.rows(text).get(entity, [])]

    def put(self, entity: str, data: Any, realm: str = REALM) -> Any:
        answer = self.http.put(f"/_sim/companies/{realm}/{entity}", json=data)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def _path(self, realm: str, path: str) -> str:
        return f"/v3/company/{realm}/{path}"

    def _headers(self) -> dict[str, str]:
        bearer = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return {"Accept": "application/json", **bearer}


def returned(response: httpx.Response) -> dict[str, str]:
    """Return what a redirect brings back to the app."""
    assert response.status_code == 302, response.text
    location = response.headers["location"]
    assert location.startswith(f"{REDIRECT}?")
    return dict(parse_qsl(urlsplit(location).query))


@dataclass
class Heard:
    """One webhook as the app received it."""

    headers: dict[str, str]
    body: bytes


@dataclass
class App:
    """The app at the other end: notes what it hears, answers as told, then 200."""

    url: str = ""
    heard: list[Heard] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    visited: list[str] = field(default_factory=list)
    ready: Event = field(default_factory=Event)


@contextmanager
def listening() -> Iterator[App]:
    """An app listens for webhooks on a free port of this machine."""
    app = App()
    app.ready.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            app.heard.append(Heard({k.lower(): v for k, v in self.headers.items()}, body))
            app.ready.wait(DEADLINE)
            self.send_response(app.answers.pop(0) if app.answers else 200)
            self.send_header("content-length", "2")
            with contextlib.suppress(ConnectionError):
                self.end_headers()
                self.wfile.write(b"ok")

        def do_GET(self) -> None:
            app.visited.append(self.path)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    app.url = f"http://127.0.0.1:{server.server_address[1]}/quickbook/webhook"
    try:
        yield app
    finally:
        app.ready.set()
        server.shutdown()
        server.server_close()
        thread.join()

"""The limits of the server itself, at its socket: as a client meets them that means no good."""

import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog
import uvicorn
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from service.kit.logs import OnceAMinute
from service.kit.metrics import AnswerCounter
from service.quickbooks.webhooks import sign
from service.web.connection_limits import LimitedProtocol, limited_protocol
from service.web.middleware.page_limit import PageLimit
from tests.servers import wait_until
from tests.web.conftest import CONFIG, Place

MOST = 5
START = b"POST /quickbook/webhook HTTP/1.1\r\nhost: x\r\n"


@dataclass
class Server:
    """A server whose application reads the body and answers; `/slow` does so when it may."""

    port: int = 0
    may_answer: threading.Event = field(default_factory=threading.Event)
    answers: AnswerCounter = field(default_factory=AnswerCounter)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["answers"] = self.answers
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await Request(scope, receive).body()
        if scope["path"] == "/slow":
            from anyio.to_thread import run_sync

            await run_sync(self.may_answer.wait, 10)
        start = {"type": "http.response.start", "status": 200}
        await send({**start, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def counted(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for (_, outcome), count in self.answers.take().items():
            counts[outcome] = counts.get(outcome, 0) + count
        return counts


@contextmanager
def serving(patience: float = 20.0, most: int = MOST) -> Iterator[Server]:
    made = Server()
    listener = socket.create_server(("127.0.0.1", 0))
    made.port = listener.getsockname()[1]
    config = uvicorn.Config(
        PageLimit(made.app, most=2),
        log_config=None,
        ws="none",
        http=limited_protocol(most, patience),
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    try:
        yield made
    finally:
        made.may_answer.set()
        server.should_exit = True
        thread.join(10)
        listener.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


def status_of(client: socket.socket) -> int:
    """Return the status of the answer; 0 where the connection ended without one."""
    try:
        line = client.recv(1000).split(b" ")
    except ConnectionError:
        return 0
    return int(line[1]) if len(line) > 1 else 0


def send_for_ever(client: socket.socket, piece: bytes, most: int) -> int:
    """Send a piece again and again; return how many bytes were taken before nobody read on."""
    sent = 0
    while sent < most:
        try:
            client.sendall(piece)
        except (ConnectionError, TimeoutError):
            break
        sent += len(piece)
    return sent


ENDLESS = {
    "a header": (START + b"x: ", b"x" * 60_000),
    "the name of a header": (START, b"x" * 60_000),
    "headers": (START, b"x: y\r\n" * 10_000),
    "the target": (b"GET /", b"x" * 60_000),
    "the query": (b"GET /?", b"x" * 60_000),
    "the method": (b"", b"X" * 60_000),
    "the size of a chunk": (START + b"transfer-encoding: chunked\r\n\r\n5;", b"x" * 60_000),
    "trailers": (START + b"transfer-encoding: chunked\r\n\r\n0\r\n", b"x: y\r\n" * 10_000),
    "one trailer": (START + b"transfer-encoding: chunked\r\n\r\n0\r\nx: ", b"x" * 60_000),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_what_has_no_end_is_not_read_for_long(server: Server, what: str) -> None:
    begin, piece = ENDLESS[what]
    with server.connect() as client:
        client.sendall(begin)
        # Buffers of both kernels take some megabytes that nobody reads.
        assert send_for_ever(client, piece, 64_000_000) < 32_000_000


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"x: y\r\n" * 90, 200),
        (b"x: y\r\n" * 100, 431),
        (b"cookie: " + b"x" * 60_000 + b"\r\n", 200),
        (b"cookie: " + b"x" * 70_000 + b"\r\n", 431),
        (b"".join(b"x%d: %b\r\n" % (n, b"y" * 1000) for n in range(80)), 431),
    ],
)
def test_how_large_a_head_may_be(server: Server, head: bytes, status: int) -> None:
    server.counted()
    with server.connect() as client:
        client.sendall(START + head + b"content-length: 0\r\n\r\n")
        assert status_of(client) == status
    assert server.counted() == ({} if status == 200 else {"head_too_large": 1})


def test_a_long_body_is_no_long_head(server: Server) -> None:
    with server.connect() as client:
        for _ in range(2):  # and the next head is counted by itself
            client.sendall(START + b"content-length: 1000000\r\n\r\n" + b"x" * 1_000_000)
            assert status_of(client) == 200


SLOW = {
    "nothing": b"",
    "half a head": START,
    "a head without its body": START + b"content-length: 10\r\n\r\n",
    "half a body": START + b"content-length: 10\r\n\r\n12345",
    "half a chunk": START + b"transfer-encoding: chunked\r\n\r\n5\r\n12",
    "an answer, and then empty lines": START + b"content-length: 0\r\n\r\n\r\n\r\n",
    "an answer, and then half a head": START + b"content-length: 0\r\n\r\n" + START,
}


@pytest.mark.parametrize("what", SLOW)
def test_whoever_says_no_more_is_left(what: str) -> None:
    with serving(patience=0.3) as server, server.connect() as client:
        client.sendall(SLOW[what])
        while client.recv(1000):  # until the connection ends
            pass


def test_whoever_says_a_byte_now_and_then_is_left() -> None:
    with serving(patience=0.3) as server, server.connect() as client:
        dripped = threading.Event()

        def drip() -> None:
            while not dripped.wait(0.05):
                try:
                    client.sendall(b"x")
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        client.sendall(START)
        thread.start()
        try:
            assert status_of(client) == 0
        finally:
            dripped.set()
            thread.join()


def test_what_is_worked_on_for_long_is_not_left() -> None:
    with serving(patience=0.2) as server, server.connect() as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        threading.Timer(0.6, server.may_answer.set).start()
        assert status_of(client) == 200


UNREADABLE = {
    "Invalid HTTP request received.": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",  # TLS
    "Unsupported upgrade request.": b"GET / HTTP/1.1\r\nhost: x\r\n"
    b"connection: upgrade\r\nupgrade: websocket\r\n\r\n",
}


@pytest.mark.parametrize("said", UNREADABLE)
def test_requests_that_cannot_be_read_fill_no_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    # In place of one that an earlier test has set, which may have let the same warning pass.
    monkeypatch.setattr(logging.getLogger("uvicorn.error"), "filters", [OnceAMinute()])
    with serving() as server:
        for _ in range(5):
            with server.connect() as client:
                client.sendall(UNREADABLE[said])
                assert status_of(client) in (200, 400)
    assert caplog.messages.count(said) == 1


def asked(server: Server, path: str = "/quickbook/webhook") -> int:
    with server.connect() as client:
        client.sendall(f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".encode())
        return status_of(client)


def test_idle_connections_keep_no_webhook_out() -> None:
    with serving() as server, ExitStack() as stack, structlog.testing.capture_logs() as events:
        idle = [stack.enter_context(server.connect()) for _ in range(MOST)]
        assert [asked(server) for _ in range(3)] == [200, 200, 200]
        assert idle[0].recv(1) == b""  # the one that had waited longest, and no more than needed
        idle[-1].sendall(START + b"content-length: 0\r\n\r\n")
        assert status_of(idle[-1]) == 200
        assert server.counted()["crowded_out"] >= 1
    told = [event for event in events if event["event"] == "connection.refused"]
    assert [(line["why"], line["connections"]) for line in told] == [("crowded_out", MOST)]


def test_connections_that_are_worked_on_make_no_room() -> None:
    with serving() as server, ExitStack() as stack:
        busy = stack.enter_context(server.connect())
        busy.sendall(b"POST /slow HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
        idle = [stack.enter_context(server.connect()) for _ in range(2 * MOST)]
        assert idle[0].recv(1) == b""
        server.may_answer.set()
        assert status_of(busy) == 200


def test_pages_leave_a_share_of_the_work_to_others() -> None:
    with serving() as server, ExitStack() as stack:
        busy = [stack.enter_context(server.connect()) for _ in range(2)]
        for client in busy:
            client.sendall(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        wait_until(lambda: asked(server, "/page") == 503)
        assert asked(server, "/livez") == 200
        assert server.counted()["page_crowded_out"] >= 1
        server.may_answer.set()
        assert [status_of(client) for client in busy] == [200, 200]
        assert asked(server, "/page") == 200


def test_no_more_connections_than_files_may_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    def most(files: int) -> Any:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
        made = limited_protocol()
        assert issubclass(made, LimitedProtocol)
        return made.shared._most

    assert [most(files) for files in (64, 256, 1024, 1_048_576, resource.RLIM_INFINITY)] == [
        10,
        156,
        924,
        1000,
        1000,
    ]


MANY: dict[str, Callable[[int], bytes]] = {
    "numbers": lambda count: b"[" + b",".join([b"1"] * count) + b"]",
    "objects": lambda count: b"[" + b",".join([b"{}"] * count) + b"]",
    "fields": lambda count: b"{" + b",".join(b'"%d":1' % n for n in range(count)) + b"}",
    "companies": lambda count: json.dumps({"eventNotifications": [{}] * count}).encode(),
    "entities": lambda count: json.dumps(
        {"eventNotifications": [{"dataChangeEvent": {"entities": [{}] * count}}]}
    ).encode(),
    "a few of each company": lambda count: json.dumps(
        {"eventNotifications": [{"dataChangeEvent": {"entities": [{}] * 100}}] * (count // 100)}
    ).encode(),
}


@pytest.mark.parametrize("what", MANY)
@pytest.mark.parametrize("count", [10_100, 1_000_000])
def test_more_events_than_can_be_stored_are_refused(place: Place, what: str, count: int) -> None:
    if what == "fields" and count < 1_000_000:
        return  # they are no events
    body = MANY[what](count)
    signed = {"intuit-signature": sign(body, CONFIG.verifier_token)}
    answer = place.browser().post("/quickbook/webhook", content=body, headers=signed)
    assert (answer.status_code, answer.text) == (413, "more than 10,000 events in one body")
    assert place.rows("notices") == 0


def test_ten_thousand_events_are_stored(place: Place) -> None:
    body = json.dumps([{"id": str(n)} for n in range(10_000)]).encode()
    signed = {"intuit-signature": sign(body, CONFIG.verifier_token)}
    place.client.app_state["intake"]._timeout_seconds = 60.0  # of a machine as slow as may be
    answer = place.browser().post("/quickbook/webhook", content=body, headers=signed)
    assert answer.status_code == 200
    assert place.rows("notices") == 10_000

"""Answers without end, over real sockets: in bytes, in gzip, in headers, in time."""

import gzip
import socket
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from itertools import repeat

import httpx
import pytest

from service.errors import SyncError, TransientError
from service.kit.bounded_http import AnswerTooLong, BoundedTransport
from service.kit.signed_post import NotSent
from service.monitoring.alert_sender import AlertSender
from service.quickbooks.client import BearerAuth, CompanyClient, http_client
from service.quickbooks.endpoints import endpoints
from service.quickbooks.faults import TIMED_OUT, TOO_LONG
from service.quickbooks.oauth import OAuth
from service.quickbooks.queries import count, page_by_time

MIB = 2**20
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n"
ZEROS = bytes(MIB)


@dataclass
class Endless:
    """A server whose every answer is what a function yields, for as long as somebody listens."""

    url: str = ""
    answer: Callable[[], Iterator[bytes]] = lambda: iter(())
    pause: float = 0.0
    ended: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65_536)
            for part in self.answer():
                connection.sendall(part)
                if self.ended.wait(self.pause):
                    return


@contextmanager
def listening(server: Endless) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    thread = threading.Thread(target=server.serve, args=(connection,), daemon=True)
                    server.threads.append(thread)
                    thread.start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        yield
        server.ended.set()
        listener.shutdown(socket.SHUT_RDWR)
    accepting.join(5)
    for thread in server.threads:
        thread.join(5)
        assert not thread.is_alive()


@pytest.fixture
def server() -> Iterator[Endless]:
    made = Endless()
    with listening(made):
        yield made


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    # The server closes after each answer, perhaps when the next request is under way.
    alone = {"Connection": "close"}
    with httpx.Client(transport=BoundedTransport(MIB), timeout=60, headers=alone) as client:
        yield client


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def packed_without_end() -> Iterator[bytes]:
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    yield CHUNKED + b"Content-Encoding: gzip\r\n\r\n"
    while True:
        if part := packer.compress(ZEROS):
            yield chunk(part)


@cache
def bomb() -> bytes:
    """Return 64 MiB as 64 KiB."""
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    return b"".join([*(packer.compress(ZEROS) for _ in range(64)), packer.flush()])


def one_bomb() -> Iterator[bytes]:
    body = bomb()
    yield OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def after(head: bytes, *parts: bytes) -> Callable[[], Iterator[bytes]]:
    """Return the answer of a beginning and then these parts for ever."""

    def answer() -> Iterator[bytes]:
        yield head
        for _ in repeat(None):
            yield from parts

    return answer


WITHOUT_END = {
    "body": after(OK + b"Content-Length: 999999999999\r\n\r\n", ZEROS),
    "body until closed": after(OK + b"\r\n", ZEROS),
    "chunks": after(CHUNKED + b"\r\n", chunk(ZEROS)),
    "small chunks": after(CHUNKED + b"\r\n", chunk(bytes(400)) * 100),
    "a chunk's size": after(CHUNKED + b"\r\n", b"0" * 1000),
    "gzip": packed_without_end,
    "bomb": one_bomb,
    "a header": after(OK + b"X-Long: ", b"x" * 1000),
    "headers": after(OK, b"X-Many: x\r\n" * 100),
    "a status line": after(b"HTTP/1.1 200 ", b"x" * 1000),
    "promises": after(b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 10),
    "trailers": after(CHUNKED + b"\r\n0\r\n", b"X-Many: x\r\n" * 100),
}


@pytest.mark.parametrize("what", WITHOUT_END)
def test_an_answer_without_end_is_not_read_to_its_end(
    server: Endless, http: httpx.Client, what: str
) -> None:
    server.answer = WITHOUT_END[what]
    tracemalloc.start()
    with pytest.raises((AnswerTooLong, httpx.RemoteProtocolError)) as caught:
        http.get(server.url)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    by_h11 = ("a chunk's size", "a header", "headers", "a status line", "trailers")
    assert isinstance(caught.value, AnswerTooLong) is (what not in by_h11)
    assert most < 16 * MIB


@pytest.mark.parametrize(
    "parts",
    [
        [b"HTTP", b"/1.1 200 OK\r\n"],
        [OK, b"X", b": y\r\n"],
        [OK + b"Content-Length: 999\r\n\r\n", b"x"],
        [CHUNKED + b"\r\n", b"1\r\n", b"x\r\n"],
        [CHUNKED + b"\r\n0\r\n", b"X: y\r\n"],
        [b"HTTP/1.1 103 Early Hints\r\n\r\n"],
        # Blocks of one byte each, stored as it is.
        [OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"")[:10], b"\0\1\0", b"\xfe\xffx"],
        [b""],
    ],
    ids=["start", "headers", "body", "chunks", "trailers", "promises", "gzip", "silence"],
)
def test_a_server_that_drips_holds_nobody_longer_than_the_whole_time_out(
    server: Endless, http: httpx.Client, parts: list[bytes]
) -> None:
    """Each byte comes long before the time-out; together they never end."""
    head, *rest = parts
    server.answer, server.pause = after(head, *(rest or parts)), 0.02
    with pytest.raises(httpx.ReadTimeout):
        http.get(server.url, timeout=0.3)


def reply(*parts: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: iter(parts)


@pytest.mark.parametrize("size", [0, 5, MIB])
def test_an_answer_within_the_limits_is_read_packed_or_not(
    server: Endless, http: httpx.Client, size: int
) -> None:
    body, packed = b"x" * size, gzip.compress(b"x" * size)
    server.answer = reply(OK + b"Content-Length: %d\r\n\r\n" % size, body)
    assert http.get(server.url).content == body
    head = OK + b"Content-Encoding: GZIP\r\nContent-Length: %d\r\n\r\n" % len(packed)
    server.answer = reply(head, *(packed[n : n + 1] for n in range(len(packed))))
    assert http.get(server.url).content == body


@pytest.mark.parametrize("size", [MIB + 1, 3 * MIB])
def test_one_byte_too_many_is_too_many(server: Endless, http: httpx.Client, size: int) -> None:
    packed = gzip.compress(b"x" * size)
    for head, body in ((b"", b"x" * size), (b"Content-Encoding: gzip\r\n", packed)):
        server.answer = reply(OK + head + b"Content-Length: %d\r\n\r\n" % len(body), body)
        with pytest.raises(AnswerTooLong, match="1,048,576 bytes"):
            http.get(server.url)


@pytest.mark.parametrize(
    ("packing", "body"),
    [
        pytest.param(b"gzip", b"{}", id="not packed"),
        pytest.param(b"gzip", gzip.compress(b"{}")[:-9], id="cut off"),
        pytest.param(b"gzip, gzip", gzip.compress(gzip.compress(b"{}")), id="packed twice"),
        pytest.param(b"deflate", zlib.compress(b"{}"), id="deflate"),
        pytest.param(b"br", b"x", id="br"),
        pytest.param(b"zstd", b"x", id="zstd"),
    ],
)
def test_what_is_packed_otherwise_or_badly_is_refused(
    server: Endless, http: httpx.Client, packing: bytes, body: bytes
) -> None:
    head = OK + b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (packing, len(body))
    server.answer = reply(head, body)
    with pytest.raises(httpx.DecodingError):
        http.get(server.url)


def test_only_gzip_is_asked_for_and_a_connection_is_used_again() -> None:
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_twice() -> None:
            connection, _ = listener.accept()
            with connection:
                for _ in range(2):
                    asked.append(connection.recv(65_536))
                    connection.sendall(OK + b"Content-Length: 2\r\n\r\n{}")

        thread = threading.Thread(target=answer_twice)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with httpx.Client(transport=BoundedTransport(MIB)) as http:
            assert [http.get(url).json(), http.get(url).json()] == [{}, {}]
        thread.join(5)
    assert [b"Accept-Encoding: gzip\r\n" in one for one in asked] == [True, True]


# Every client of the service.

SINCE = datetime(2026, 10, 1, tzinfo=UTC)
API: dict[str, Callable[[CompanyClient], object]] = {
    "companyinfo": lambda api: api.company_info(),
    "read": lambda api: api.read("Invoice", "1"),
    "query": lambda api: api.query(page_by_time("Invoice", None)),
    "count": lambda api: api.count(count("Invoice")),
    "cdc": lambda api: api.cdc(["Invoice"], SINCE),
}
OAUTH: dict[str, Callable[[OAuth], object]] = {
    "exchange": lambda oauth: oauth.exchange("code", "state"),
    "refresh": lambda oauth: oauth.refresh("token"),
    "revoke": lambda oauth: oauth.revoke("token"),
    "discovery": lambda oauth: oauth.discovery(),
}


@pytest.mark.parametrize("call", [*API, *OAUTH])
@pytest.mark.parametrize("what", ["body", "bomb", "promises"])
def test_no_call_of_intuit_reads_without_end(server: Endless, what: str, call: str) -> None:
    server.answer = WITHOUT_END[what]
    with http_client() as http, closing(OAuth(endpoints("simulator", server.url), *"iss")) as oauth:
        api = CompanyClient(http, server.url, "1", BearerAuth(lambda _: "t"), lambda kind: None)
        with pytest.raises(SyncError) as caught:
            API[call](api) if call in API else OAUTH[call](oauth)
    limit = 16 if call in API else 1
    assert (type(caught.value), caught.value.code) == (TransientError, TOO_LONG)
    assert str(caught.value) == (
        f"QuickBooks' answer is longer than {limit} MiB; the rest was not read"
    )
    assert (api.slowest > 0) is (call in API)


@pytest.mark.parametrize("call", OAUTH)
def test_a_token_service_that_drips_is_left_in_time(server: Endless, call: str) -> None:
    server.answer, server.pause = after(OK, b"X: y\r\n"), 0.02
    with closing(OAuth(endpoints("simulator", server.url), *"iss")) as oauth:
        oauth._client.timeout = httpx.Timeout(0.2)
        with pytest.raises(TransientError) as caught:
            OAUTH[call](oauth)
    assert caught.value.code == TIMED_OUT


@pytest.mark.parametrize("what", ["headers", "promises"])
def test_a_listener_to_alerts_without_end_is_left(server: Endless, what: str) -> None:
    server.answer = WITHOUT_END[what]
    sender = AlertSender(server.url, "whsec_" + "c2VjcmV0" * 4)
    with closing(sender), pytest.raises(NotSent):
        sender.send("1", "x", SINCE, {})

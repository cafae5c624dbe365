"""What the server takes from clients: so much of a head, for so long, on so many connections.

uvicorn 0.54 limits none of it where httptools reads: neither a head's size nor the silence of who
has just connected. Its `limit_concurrency` counts idle connections, and refuses Intuit with the
rest, and its other parser, h11, whose heads are limited, is the slower one.
"""

import asyncio
import resource
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

log = structlog.get_logger(__name__)

MOST_HEAD_BYTES = 64 * 1024
MOST_HEADERS = 100
# Of the files that a process may open, so many are for its own: the database, Redis, logs.
_OWN_FILES = 100
_MOST_CONNECTIONS = 1000
# So long a request may take to come in whole, and a client to take a piece of the answer.
_PATIENCE_SECONDS = 20.0
_LOG_EVERY_SECONDS = 60.0
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class Connections:
    """All connections of one server.

    Those that wait for their client are kept in the order in which they began to: where there are
    too many connections, the one that has waited longest makes room for the new one.
    """

    def __init__(self, most: int, patience_seconds: float) -> None:
        self._most = most
        self._patience_seconds = patience_seconds
        self._open: set[LimitedProtocol] = set()
        self._waiting: dict[LimitedProtocol, float] = {}
        self._sweeps = False
        self._logged_at: dict[str, float] = {}

    def opened(self, connection: "LimitedProtocol") -> None:
        """Count a connection that has just come."""
        self._open.add(connection)
        self.waits(connection)
        if len(self._open) > self._most:
            longest = next(iter(self._waiting))
            longest.tell("crowded_out", connections=self._most)
            self._drop(longest)

    def waits(self, connection: "LimitedProtocol") -> None:
        """Note that it is its client's turn, from now on."""
        self._waiting.pop(connection, None)
        self._waiting[connection] = connection.loop.time()
        if not self._sweeps:
            self._sweeps = True
            self._sweep_later(connection.loop)

    def works(self, connection: "LimitedProtocol") -> None:
        """Note that it is our turn."""
        self._waiting.pop(connection, None)

    def closed(self, connection: "LimitedProtocol") -> None:
        """Forget it."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)

    def may_log(self, what: str, now: float) -> bool:
        """Return whether this was not logged within the last minute: attackers fill no log."""
        if now - self._logged_at.get(what, -_LOG_EVERY_SECONDS) < _LOG_EVERY_SECONDS:
            return False
        self._logged_at[what] = now
        return True

    def _drop(self, connection: "LimitedProtocol") -> None:
        self.closed(connection)
        connection.transport.abort()

    def _sweep_later(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_later(self._patience_seconds / 10, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        latest = loop.time() - self._patience_seconds
        for connection, since in list(self._waiting.items()):
            if since > latest:
                break
            self._drop(connection)
        self._sweeps = bool(self._waiting)
        if self._sweeps:
            self._sweep_later(loop)


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's protocol within limits, which `connections` shares among all of one server."""

    shared: Connections
    _unread = 0  # bytes since the last head or piece of a body: of an endless line, in the end
    _too_large = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, at the cost of the longest idle one where there are too many."""
        super().connection_made(transport)
        self.shared.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.shared.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless this request's head is too large by now."""
        self._unread += len(data)
        super().data_received(data)
        if self._unread > MOST_HEAD_BYTES and not self.transport.is_closing():
            self._refuse()

    def on_headers_complete(self) -> None:
        """Begin to answer, unless there is too much of a head."""
        if len(self.headers) > MOST_HEADERS or (
            self._unread > MOST_HEAD_BYTES and self._head_bytes() > MOST_HEAD_BYTES
        ):
            self._too_large = True
            # Which stops the parser, and has uvicorn answer by `send_400_response`.
            raise ValueError("the head is too large")
        self._unread = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here: it is our turn, if it was not answered before."""
        self._unread = 0
        super().on_message_complete()
        if not self.cycle.response_complete:
            self.shared.works(self)

    def on_response_complete(self) -> None:
        """The answer is out: it is the client's turn, unless it has asked again already."""
        super().on_response_complete()
        if self.cycle.response_complete:
            self.shared.waits(self)

    def pause_writing(self) -> None:
        """The client does not read its answer."""
        super().pause_writing()
        self.shared.waits(self)

    def resume_writing(self) -> None:
        """The client reads on."""
        super().resume_writing()
        if not self.cycle.response_complete:
            self.shared.works(self)

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser stopped at, which may be us."""
        if self._too_large:
            self._refuse()
        else:
            super().send_400_response(msg)

    def tell(self, outcome: str, **more: Any) -> None:
        """Count what a limit did to this connection, and log it once a minute."""
        answers = self.app_state.get("answers")
        if answers is not None:
            answers.count(outcome)
        if self.shared.may_log(outcome, self.loop.time()):
            log.warning("connection.refused", why=outcome, **more)

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _refuse(self) -> None:
        self.tell("head_too_large")
        self.transport.write(_TOO_LARGE)
        self.transport.close()


def limited_protocol(
    most: int | None = None, patience_seconds: float = _PATIENCE_SECONDS
) -> type[asyncio.Protocol]:
    """Return the protocol of one server, for uvicorn's `http`.

    At most `most` connections are open: by default 1,000, or fewer where fewer files may be.
    """
    if most is None:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        few = files != resource.RLIM_INFINITY and files - _OWN_FILES < _MOST_CONNECTIONS
        most = max(10, files - _OWN_FILES) if few else _MOST_CONNECTIONS
    connections = Connections(most, patience_seconds)
    return type("Protocol", (LimitedProtocol,), {"shared": connections})

"""HTTP calls whose answers are bounded: in time, in bytes on the wire, and in bytes unpacked.

httpx counts its time-outs from byte to byte and unpacks without a limit: a server that drips holds
a thread for ever, and a small gzip body can fill the memory.
"""

import ssl
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import cast

import httpcore
import httpx

from service.kit.tls import public_authorities

_DEFAULT_SECONDS = 30.0
# Of the status, the headers, and all that a server promises before them.
_LONGEST_HEAD = 2**18
_GZIP = zlib.MAX_WBITS | 16


class AnswerTooLong(httpx.RequestError):
    """The answer is longer than `most` bytes, packed or unpacked; the rest was not read."""

    def __init__(self, most: int) -> None:
        super().__init__(f"the answer is longer than {most:,} bytes")
        self.most = most


class BoundedTransport(httpx.HTTPTransport):
    """Reads answers of at most `most` bytes, each whole call within its read time-out.

    An answer that takes longer raises httpx.ReadTimeout, a longer one AnswerTooLong. It trusts
    public authorities only, takes nothing from the environment, and unpacks gzip only.
    """

    def __init__(self, most: int, limits: httpx.Limits | None = None) -> None:
        limits = limits or httpx.Limits(max_connections=10)
        super().__init__(verify=public_authorities(), trust_env=False, limits=limits)
        # httpx has no parameter for the backend of its pool.
        self._pool = httpcore.ConnectionPool(
            ssl_context=public_authorities(),
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_Backend(),
        )
        self._most = most

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["Accept-Encoding"] = "gzip"
        seconds = request.extensions.get("timeout", {}).get("read") or _DEFAULT_SECONDS
        call = _Call(time.monotonic() + seconds, self._most)
        with call.under_way():
            response = super().handle_request(request)
        # The sizes of chunks come on top of the body.
        call.left = 2 * self._most
        packing = response.headers.pop("Content-Encoding", "identity").lower()
        body = _BoundedBody(cast("httpx.SyncByteStream", response.stream), call, packing)
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=body,
            extensions=response.extensions,
        )


@dataclass
class _Call:
    """What one call may still take: until `deadline`, and `left` bytes of the network."""

    deadline: float
    most: int
    left: int = _LONGEST_HEAD

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Bound what this thread reads from the network."""
        token = _under_way.set(self)
        try:
            yield
        finally:
            _under_way.reset(token)

    def patience(self, timeout: float | None) -> float:
        """Return the seconds to wait for the next bytes; raises when the whole time is over."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the whole call took too long")
        return left if timeout is None else min(left, timeout)

    def receive(self, data: bytes) -> bytes:
        self.left -= len(data)
        if self.left < 0:
            raise AnswerTooLong(self.most)
        return data


_under_way: ContextVar[_Call | None] = ContextVar("_under_way", default=None)


class _BoundedBody(httpx.SyncByteStream):
    """The bytes of an answer, unpacked as they come."""

    def __init__(self, stream: httpx.SyncByteStream, call: _Call, packing: str) -> None:
        if packing not in ("identity", "gzip", "x-gzip"):
            stream.close()
            raise httpx.DecodingError("the answer is packed in a way that was not asked for")
        self._stream = stream
        self._call = call
        self._unpacker = None if packing == "identity" else zlib.decompressobj(_GZIP)

    def __iter__(self) -> Iterator[bytes]:
        left = self._call.most
        for part in self._parts():
            data = self._unpacked(part, left + 1)
            left -= len(data)
            if left < 0:
                raise AnswerTooLong(self._call.most)
            yield data
        if self._unpacker and left < self._call.most and not self._unpacker.eof:
            raise httpx.DecodingError("the packed answer ends too early")

    def _parts(self) -> Iterator[bytes]:
        parts = iter(self._stream)
        while True:
            with self._call.under_way():
                part = next(parts, None)
            if part is None:
                return
            yield part

    def _unpacked(self, part: bytes, most: int) -> bytes:
        if self._unpacker is None:
            return part
        try:
            return self._unpacker.decompress(part, most)
        except zlib.error:
            raise httpx.DecodingError("the answer is not gzip as it says") from None

    def close(self) -> None:
        self._stream.close()


class _Backend(httpcore.NetworkBackend):
    """Connections over TCP on which the call under way bounds each read."""

    def __init__(self) -> None:
        self._tcp = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(
            self._tcp.connect_tcp(host, port, _patience(timeout), local_address, socket_options)
        )


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self._stream.read(max_bytes, _patience(timeout))
        call = _under_way.get()
        return call.receive(data) if call else data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _patience(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, _patience(timeout)))

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


def _patience(timeout: float | None) -> float | None:
    call = _under_way.get()
    return call.patience(timeout) if call else timeout

"""What the client's errors mean: servers that are too old, too new, or no MongoDB at all."""

import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bson
import pytest

from service.errors import ConfigurationError, InfactorAway
from service.infactor.mongo import InfactorDatabase

_OP_QUERY, _OP_REPLY, _OP_MSG = 2004, 1, 2013


class _Server(socketserver.BaseRequestHandler):
    """Answers a client's hello as a server of some wire versions does, and nothing else."""

    versions = (0, 0)

    def handle(self) -> None:
        while header := self._read(16):
            length, request, _, kind = struct.unpack("<iiii", header)
            self._read(length - 16)
            answer = bson.encode(self._hello())
            if kind == _OP_QUERY:
                body = struct.pack("<iqii", 8, 0, 0, 1) + answer
                kind = _OP_REPLY
            else:
                body = struct.pack("<iB", 0, 0) + answer
                kind = _OP_MSG
            self.request.sendall(struct.pack("<iiii", 16 + len(body), 1, request, kind) + body)

    def _hello(self) -> dict[str, Any]:
        lowest, highest = self.versions
        return {
            "ismaster": True,
            "isWritablePrimary": True,
            "minWireVersion": lowest,
            "maxWireVersion": highest,
            "maxBsonObjectSize": 16777216,
            "ok": 1.0,
        }

    def _read(self, length: int) -> bytes:
        found = b""
        while len(found) < length and (part := self.request.recv(length - len(found))):
            found += part
        return found


@contextmanager
def a_server(lowest: int, highest: int) -> Iterator[str]:
    """Give the address of a server that speaks these wire versions."""
    handler = type("Handler", (_Server,), {"versions": (lowest, highest)})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"mongodb://127.0.0.1:{server.server_address[1]}/?serverSelectionTimeoutMS=2000"
        server.shutdown()


@pytest.mark.parametrize(("lowest", "highest"), [(0, 7), (99, 120)], ids=["4.0", "far ahead"])
def test_a_server_that_the_client_cannot_speak_to_is_named(lowest: int, highest: int) -> None:
    with a_server(lowest, highest) as url:
        database = InfactorDatabase(url, "ifactor")
        with pytest.raises(InfactorAway, match=r"older than 4\.2, or newer than"):
            database.version()
        database.close()


def test_a_port_where_nobody_listens_is_named_without_the_address() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"mongodb://someone:secret@127.0.0.1:{port}/?serverSelectionTimeoutMS=200"
    database = InfactorDatabase(url, "ifactor")
    with pytest.raises(InfactorAway) as away:
        database.version()
    database.close()
    assert str(away.value) == "no MongoDB that takes writes answers at INFACTOR_MONGODB_URL"
    assert away.value.__cause__ is None


def test_an_address_that_cannot_be_read_repeats_nothing_of_itself() -> None:
    with pytest.raises(ConfigurationError) as refused:
        InfactorDatabase("mongodb://someone:sec@ret@127.0.0.1/", "ifactor")
    assert str(refused.value) == (
        "INFACTOR_MONGODB_URL: cannot be read as an address of MongoDB; write special characters"
        " in a user or password as %XX"
    )
    assert refused.value.__cause__ is None

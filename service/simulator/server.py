"""Runs the simulator on a port: for a person, or in a thread for tests."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from service.simulator.app import create_simulator
from service.simulator.books.book import Book
from service.simulator.clock import Clock
from service.simulator.config import SimulatorConfig, is_loopback
from service.simulator.responses import Dropper
from service.simulator.state import Simulator

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

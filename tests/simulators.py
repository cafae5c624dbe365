"""Simulators behind one server, one after the other: to start and stop a server takes 0.2 s."""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from service.simulator.app import RunningSimulator, create_simulator, serving
from service.simulator.books.book import Book
from service.simulator.clock import Clock
from service.simulator.config import SimulatorConfig


class Simulators:
    """Serves the simulator of the test that runs, which shares nothing with the one before."""

    def __init__(self) -> None:
        self._current = Starlette()
        self._url = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the current simulator answer."""
        await self._current(scope, receive, send)

    @contextmanager
    def running(
        self, config: SimulatorConfig, book: Book, *, clock: Clock | None = None
    ) -> Iterator[RunningSimulator]:
        """A new simulator answers until the block ends."""
        self._current = create_simulator(config, book, clock)
        simulator = self._current.state.simulator
        simulator.sender.start()
        try:
            yield RunningSimulator(self._url, simulator)
        finally:
            simulator.sender.stop()

    @classmethod
    @contextmanager
    def served(cls) -> Iterator["Simulators"]:
        """A server that has no simulator yet."""
        simulators = cls()
        with serving(simulators) as simulators._url:
            yield simulators

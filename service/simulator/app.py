"""The simulator as an ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware

from service.simulator import (
    api,
    consent,
    control,
    oauth,
    openid,
    pages,
    switch_pages,
    switchboard,
    webhook_control,
)
from service.simulator.book import Book
from service.simulator.clock import Clock
from service.simulator.config import SimulatorConfig
from service.simulator.generate import generated_book, with_vast_company
from service.simulator.guard import Guard
from service.simulator.simulator import Simulator


def create_simulator(
    config: SimulatorConfig, book: Book | None = None, clock: Clock | None = None
) -> Starlette:
    """Return an app with its own state, `app.state.simulator`; no book: two generated companies."""
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
        *api.routes,
        *oauth.routes,
        *openid.routes,
        *consent.routes,
        *control.routes,
        *switchboard.routes,
        *webhook_control.routes,
        *pages.routes,
        *switch_pages.routes,
    ]
    app = Starlette(routes=routes, middleware=[Middleware(Guard)], lifespan=lifespan)
    app.state.simulator = simulator
    return app

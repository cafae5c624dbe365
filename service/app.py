"""The Starlette application of the receiver."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from service.bootstrap import Services
from service.jobs import Nudges
from service.metrics import WEBHOOK_REQUESTS
from service.web import health, webhooks
from service.web.state import State

Background = Callable[[Services], AbstractContextManager[None]]


def create_app(services: Services, background: Background | None = None) -> Starlette:
    """Return the application; `background` works beside it in this process, for as long as it."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[State]:
        nudges = Nudges(services.jobs)
        work = background(services) if background else nullcontext()
        services.leases.start()
        nudges.start()
        await run_in_threadpool(work.__enter__)
        try:
            yield {"services": services, "nudges": nudges}
        finally:
            await run_in_threadpool(nudges.stop)
            await run_in_threadpool(work.__exit__, None, None, None)
            await run_in_threadpool(services.close)

    return Starlette(
        routes=[*webhooks.routes(services.settings.webhook_max_bytes), *health.routes],
        lifespan=lifespan,
        exception_handlers={413: _too_large},
    )


async def _too_large(request: Request, error: Exception) -> Response:
    if request.url.path == webhooks.PATH:
        WEBHOOK_REQUESTS.labels("too_large").inc()
    return PlainTextResponse("the body is too large", 413)

"""The Starlette application of the receiver."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from service.config.settings import Settings
from service.jobs import Nudges
from service.kit.metrics import AnswerCounter
from service.quickbooks.endpoints import endpoints
from service.services import Services
from service.web import errors, ops, templating
from service.web.api import dispatch as api
from service.web.connect import authorise, button, callback, popup, problems
from service.web.count_cache import CountCache
from service.web.errors import UnexpectedErrors
from service.web.health import health, metrics
from service.web.health.probes import probes_for
from service.web.middleware.access_log import AccessLog
from service.web.middleware.csrf import CrossSiteGuard
from service.web.middleware.page_limit import PageLimit
from service.web.middleware.plain_paths import PlainPaths
from service.web.middleware.security_headers import SecurityHeaders
from service.web.state import AppState
from service.web.supplier import attention, connection, dashboard, download, entry, invoice
from service.web.threads import short_turns
from service.web.webhook.endpoint import Webhook
from service.web.webhook.heartbeat import HeartbeatThread
from service.web.webhook.intake import Intake

Background = Callable[[Services], AbstractContextManager[None]]


def create_app(services: Services, background: Background | None = None) -> ASGIApp:
    """Return the receiver's application; `background` runs beside it in this process."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[AppState]:
        nudges = Nudges(services.jobs)
        environment = services.settings.quickbooks_environment
        intake = Intake(services.database, environment, nudges)
        answers = AnswerCounter()
        heartbeat = HeartbeatThread(services.database, environment, answers, services.presence)
        async with AsyncExitStack() as stack:
            stack.enter_context(short_turns())
            stack.push_async_callback(run_in_threadpool, services.close)
            services.leases.start()
            if background is not None:
                work = background(services)
                await run_in_threadpool(work.__enter__)
                stack.push_async_callback(run_in_threadpool, work.__exit__, None, None, None)
            # The intake ends first: what it stores has its nudges still sent.
            for thread in (nudges, heartbeat, intake):
                thread.start()
                stack.push_async_callback(run_in_threadpool, thread.stop)
            yield {
                "services": services,
                "nudges": nudges,
                "intake": intake,
                "answers": answers,
                "probes": probes_for(services),
                "count_cache": CountCache(),
            }

    app = Starlette(
        routes=routes(services.settings),
        middleware=_middleware(services.settings),
        lifespan=lifespan,
        exception_handlers={HTTPException: errors.refused},
    )
    # Its redirects would repeat the parameters of an address, which may be secret.
    app.router.redirect_slashes = False
    # Before Starlette and not in it: every layer that a webhook passes costs it time.
    return Webhook(
        AccessLog(PlainPaths(PageLimit(app))), most_bytes=services.settings.webhook_max_bytes
    )


def routes(settings: Settings) -> list[BaseRoute]:
    """Return the routes of a receiver with these settings; the operators' only if there are any,
    and the API's only if it is on.
    """
    return [
        *authorise.routes(),
        *popup.routes,
        *callback.routes(),
        *connection.connected_routes,
        *connection.routes(),
        *problems.routes,
        *dashboard.routes(on_postgresql=settings.uses_postgresql),
        *attention.routes(),
        *download.routes(),
        *invoice.routes,
        *entry.routes(),
        *button.routes(),
        *templating.routes,
        *health.routes,
        *metrics.routes,
        *(ops.routes() if settings.ops_users else ()),
        *(api.routes() if settings.infactor_api else ()),
    ]


def _middleware(settings: Settings) -> list[Middleware]:
    """Return the middleware, the outermost first."""
    return [
        Middleware(
            SecurityHeaders,
            https=settings.secure_cookies,
            consent_origins=consent_origins(settings),
        ),
        Middleware(GZipMiddleware, minimum_size=1000, compresslevel=6),
        Middleware(UnexpectedErrors),
        Middleware(CrossSiteGuard, public_url=settings.public_url),
    ]


def consent_origins(settings: Settings) -> tuple[str, ...]:
    """Return the origins to which the button of the connect page may lead."""
    places = endpoints(settings.quickbooks_environment, settings.quickbooks_simulator_url)
    parts = urlsplit(places.authorize)
    origin = f"{parts.scheme}://{parts.netloc}"
    if settings.quickbooks_environment == "simulator":
        return (origin,)
    return (origin, "https://*.intuit.com")

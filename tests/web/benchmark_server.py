"""A receiver as `serve` starts it, and beside it an endpoint that only reads the body.

That one has nothing of ours before it, no middleware either.
"""

import sys
from functools import partial

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

import service.app
from service.config.loading import load_settings
from service.jobs import receiver_broker
from service.kit import logs
from service.kit.memory import spare_the_collector
from service.services import build_services
from service.web.connection_limits import limited_protocol
from service.web.webhook.intake import Intake

BARE = "/bare"


async def bare(request: Request) -> Response:
    """Answer 200 once the body is read."""
    await request.body()
    return Response()


def main(port: int, one_by_one: bool) -> None:
    """Serve; `one_by_one` gives each delivery a commit of its own."""
    settings = load_settings(None)
    logs.configure(settings.log_level, settings.log_format)
    redis_url = settings.redis_url
    broker = receiver_broker(redis_url.get_secret_value() if redis_url else None)
    if one_by_one:
        service.app.Intake = partial(Intake, most_webhooks=1)  # type: ignore[assignment,misc]
    spare_the_collector()
    ours = service.app.create_app(build_services(settings, broker))
    theirs = Starlette(routes=[Route(BARE, bare, methods=["POST"])])

    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        await (theirs if scope.get("path") == BARE else ours)(scope, receive, send)

    uvicorn.run(
        both,
        port=port,
        log_config=None,
        access_log=False,
        ws="none",
        server_header=False,
        http=limited_protocol(),
        proxy_headers=False,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2] == "1")

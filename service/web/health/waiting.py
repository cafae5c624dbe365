"""What a receiver answers while its database cannot be opened yet."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


async def _livez(_: Request) -> Response:
    return PlainTextResponse("ok, but waiting for the database: the log says why\n")


async def _readyz(_: Request) -> Response:
    return JSONResponse({"status": "unavailable", "database": "cannot be opened"}, 503)


async def _later(_: Request) -> Response:
    # QuickBooks sends again what is not answered 200.
    return PlainTextResponse("The database does not answer. Please try again.\n", 503)


def waiting_app() -> ASGIApp:
    """Return an application that is alive, and answers 503 to everything but `/livez`."""
    return Starlette(
        routes=[
            Route("/livez", _livez),
            Route("/readyz", _readyz),
            Route("/{path:path}", _later, methods=_METHODS),
        ]
    )

"""Whether the process serves, whether it can work, and what it has counted."""

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from service.web.state import State


async def livez(request: Request[State]) -> Response:
    """Answer 200 as soon as the process serves."""
    return PlainTextResponse("ok\n")


def readyz(request: Request[State]) -> Response:
    """Answer 200 while notices can be stored, else 503."""
    try:
        with request.state["services"].database.read() as session:
            session.execute(text("SELECT 1"))
    except SQLAlchemyError:
        return PlainTextResponse("the database does not answer\n", 503)
    return PlainTextResponse("ok\n")


def metrics(request: Request[State]) -> Response:
    """Answer the counters in Prometheus' text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


routes = [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]

"""`/livez` and `/readyz`."""

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from service.web.state import AppState

_LONGEST_WAIT_SECONDS = 600


async def livez(request: Request[AppState]) -> Response:
    """Answer 200 as soon as the process serves."""
    return PlainTextResponse("ok\n")


async def readyz(request: Request[AppState]) -> Response:
    """Answer 200 while notices can be stored, else 503; within two seconds, whatever hangs.

    What only delays the work is reported as `degraded`: notices must still come in.
    """
    probes = request.state["probes"]
    oldest, queue, clock, infactor = await asyncio.gather(
        probes.oldest_due.answer(),
        probes.queue.answer(),
        probes.clock.answer(),
        probes.infactor.answer(),
    )
    if oldest is None:
        text = "does not answer, or has another version's schema"
        return JSONResponse({"status": "unavailable", "database": text}, 503)
    clock = clock or "unknown"
    waits = oldest > _LONGEST_WAIT_SECONDS
    degraded = not queue or waits or clock != "ok" or infactor in (None, "away")
    embedded = request.state["services"].settings.embedded
    return JSONResponse(
        {
            "status": "degraded" if degraded else "ok",
            "database": "ok",
            "queue": "embedded" if embedded else "ok" if queue else "unreachable",
            "oldest_pending_seconds": round(oldest),
            "clock": clock,
            "infactor": infactor or "unknown",
        }
    )


routes = [Route("/livez", livez), Route("/readyz", readyz)]

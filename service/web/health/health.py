"""`/livez` and `/readyz`."""

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from service.web.state import AppState

_LONGEST_WAIT_SECONDS = 600
_SILENT = "no answer"


async def livez(request: Request[AppState]) -> Response:
    """Answer 200 as soon as the process serves."""
    return PlainTextResponse("ok\n")


async def readyz(request: Request[AppState]) -> Response:
    """Answer 200 while notices can be stored, else 503; within two seconds, whatever hangs.

    Database and queue are written to: one that is full or read-only answers a ping. What only
    delays the work is reported as `degraded`: notices must still come in.
    """
    probes = request.state["probes"]
    stored, queued, clock, infactor = await asyncio.gather(
        probes.database.answer(),
        probes.queue.answer(),
        probes.clock.answer(),
        probes.infactor.answer(),
    )
    if stored is None or stored.refusal is not None:
        text = "does not answer, or has no schema" if stored is None else stored.refusal
        return JSONResponse({"status": "unavailable", "database": text}, 503)
    refusal, clock = _SILENT if queued is None else queued.queue, clock or "unknown"
    waits = stored.oldest_due > _LONGEST_WAIT_SECONDS
    degraded = refusal or waits or clock != "ok" or infactor in (None, "away")
    embedded = request.state["services"].settings.embedded
    return JSONResponse(
        {
            "status": "degraded" if degraded else "ok",
            "database": "ok",
            "queue": "embedded" if embedded else f"takes no work: {refusal}" if refusal else "ok",
            "oldest_pending_seconds": round(stored.oldest_due),
            "clock": clock,
            "infactor": infactor or "unknown",
        }
    )


routes = [Route("/livez", livez), Route("/readyz", readyz)]

"""`/livez` and `/readyz`."""

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from service.jobs import QueueTrouble
from service.web.state import AppState

_LONGEST_WAIT_SECONDS = 600


async def livez(request: Request[AppState]) -> Response:
    """Answer 200 as soon as the process serves."""
    return PlainTextResponse("ok\n")


async def readyz(request: Request[AppState]) -> Response:
    """Answer 200 while notices can be stored, else 503; within two seconds, whatever hangs.

    Database and queue are written to: one that is full or read-only answers a ping. What only
    delays the work is reported as `degraded`, with the causes that `status` explains: notices must
    still come in.
    """
    probes = request.state["probes"]
    stored, queued, infactor, wrong = await asyncio.gather(
        probes.database.answer(),
        probes.queue.answer(),
        probes.infactor.answer(),
        probes.wrong.answer(),
    )
    if stored is None or stored.refusal is not None:
        text = "does not answer, or has no schema"
        if stored is not None:
            text = f"takes no writes: {stored.refusal}"
        return JSONResponse({"status": "unavailable", "database": text}, 503)
    queue = "away: no answer" if queued is None else _queue(queued.queue)
    degraded = (
        queue != "ok"
        or stored.oldest_due > _LONGEST_WAIT_SECONDS
        or infactor in (None, "away")
        or wrong != []
    )
    embedded = request.state["services"].settings.embedded
    return JSONResponse(
        {
            "status": "degraded" if degraded else "ok",
            "wrong": ["unknown"] if wrong is None else wrong,
            "database": "ok",
            "queue": "embedded" if embedded else queue,
            "oldest_pending_seconds": round(stored.oldest_due),
            "infactor": infactor or "unknown",
        }
    )


def _queue(trouble: QueueTrouble | None) -> str:
    if trouble is None:
        return "ok"
    return f"{'away' if trouble.is_away else 'takes no work'}: {trouble.why}"


routes = [Route("/livez", livez), Route("/readyz", readyz)]

"""Small bridges between the simulator's answers and Starlette's."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from service.simulator import exact
from service.simulator.drop import dropped
from service.simulator.faults import JSON, Answer
from service.simulator.script import Call
from service.simulator.simulator import Simulator

Handler = Callable[[Request], Awaitable[Response]]


def simulator_of(request: Request) -> Simulator:
    """Return the state that this request is about."""
    simulator: Simulator = request.app.state.simulator
    return simulator


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer with exact numbers."""
    return Response(exact.encode(value), status, headers, media_type=JSON)


def to_response(answer: Answer) -> Response:
    """Return an answer of Intuit's as Starlette sends it."""
    return Response(answer.body, answer.status, answer.headers, media_type=answer.content_type)


async def scripted(simulator: Simulator, call: Call) -> Response | None:
    """Return what the script wants for this call, after its delay; None for the ordinary answer."""
    with simulator.lock:
        rule = simulator.script.take(call)
        answer = rule.answer(call, simulator.clock.now()) if rule else None
    if rule is None:
        return None
    if rule.delay:
        await asyncio.sleep(rule.delay)
    if rule.drop:
        return dropped()
    return to_response(answer) if answer else None

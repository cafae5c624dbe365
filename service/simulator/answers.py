"""Small bridges between the simulator's answers and Starlette's."""

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from service.simulator import exact
from service.simulator.calls import Served
from service.simulator.clock import to_zulu
from service.simulator.drop import cut_short, dropped
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


async def served(request: Request, call: Call, ordinary: Callable[[], Response]) -> Response:
    """Return the ordinary answer, or what the script makes of it; `ordinary` has the lock."""
    simulator, began = simulator_of(request), perf_counter()
    response = await _scripted(simulator, call, ordinary)
    tid = request.scope.get("intuit_tid", "")
    at, ms = to_zulu(simulator.clock.now()), round((perf_counter() - began) * 1000, 1)
    what = call.what or call.entity or ""
    with simulator.lock:
        simulator.calls.note(
            Served(at, call.kind, call.realm, what[:500], response.status_code, ms, tid)
        )
    return response


async def _scripted(simulator: Simulator, call: Call, ordinary: Callable[[], Response]) -> Response:
    with simulator.lock:
        rule = simulator.script.take(call)
        answer = rule.answer(call, simulator.clock.now()) if rule else None
    if rule and rule.delay:
        await simulator.script.hold(rule.delay)
    if rule and rule.drop:
        return dropped()
    if answer is not None:
        response = to_response(answer)
    else:
        with simulator.lock:
            response = ordinary()
    if rule and rule.lose:
        return dropped()
    return cut_short(response) if rule and rule.cut else response

"""Sends the simulator's answers by Starlette, and breaks off connections."""

import asyncio
from collections.abc import AsyncIterator, Callable
from time import perf_counter
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.simulator import exact_json
from service.simulator.clock import to_zulu
from service.simulator.faults import JSON, Answer
from service.simulator.records import Json
from service.simulator.script import Call
from service.simulator.state import Served, Simulator

_MARK = "simulator.drop"
_CUT = "simulator.cut"


def simulator_of(request: Request) -> Simulator:
    simulator: Simulator = request.app.state.simulator
    return simulator


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(exact_json.encode(value), status, headers, media_type=JSON)


def to_response(answer: Answer) -> Response:
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
    if rule and rule.adds:
        response = with_more(response, rule.adds)
    if rule and rule.says is not None:
        response = at_another_time(response, rule.says)
    if rule and rule.lose:
        return dropped()
    if rule and (rule.drip or rule.endless):
        return flowing(simulator, response, rule.drip, endless=rule.endless)
    return cut_short(response) if rule and rule.cut else response


def with_more(response: Response, more: dict[str, list[Json]]) -> Response:
    """Return the answer with more objects, behind those of their entity or in place of the one."""
    content = exact_json.decode(bytes(response.body))
    for entity, objects in more.items():
        if "CDCResponse" in content:
            content["CDCResponse"][0]["QueryResponse"].append({entity: objects})
        elif "QueryResponse" in content:
            rows = content["QueryResponse"]
            rows[entity] = [*rows.get(entity, []), *objects]
        else:
            content[entity] = objects[0]
    return json_response(content, response.status_code)


def at_another_time(response: Response, time: str) -> Response:
    """Return the answer with this as QuickBooks' clock."""
    content = exact_json.decode(bytes(response.body))
    return json_response({**content, "time": time}, response.status_code)


def flowing(simulator: Simulator, response: Response, seconds: float, *, endless: bool) -> Response:
    """Return the answer byte by byte, each after some seconds, or with blanks without end."""
    whole, blanks = bytes(response.body), b" " * 65_536

    async def parts() -> AsyncIterator[bytes]:
        step = 1 if seconds else len(whole)
        for start in range(0, len(whole), step):
            await simulator.script.hold(seconds)
            yield whole[start : start + step]
        while endless:
            await asyncio.sleep(0)
            yield blanks

    kept = {k: v for k, v in response.headers.items() if k != "content-length"}
    return StreamingResponse(parts(), response.status_code, kept)


def dropped() -> Response:
    """Return a response that makes `Dropper` close the connection."""
    return Response(status_code=444, headers={_MARK: "1"})


def cut_short(response: Response) -> Response:
    """Return the response with half of its body, after which `Dropper` closes the connection."""
    whole = bytes(response.body)
    kept = {k: v for k, v in response.headers.items() if k not in ("content-length", _CUT)}
    half = Response(whole[: len(whole) // 2], response.status_code, kept)
    half.headers["content-length"] = str(len(whole))
    half.headers[_CUT] = "1"
    return half


class Dropper:
    """Closes connections; must be the outermost layer, where `send` is the server's own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        closed = cut = False

        async def watched(message: Message) -> None:
            nonlocal closed, cut
            if message["type"] == "http.response.start":
                marks = {name.decode() for name, _ in message["headers"]}
                closed, cut = _MARK in marks, _CUT in marks
                message["headers"] = [(n, v) for n, v in message["headers"] if n != _CUT.encode()]
                if closed:
                    await _close(send)
            if not closed:
                # The rest of a cut answer never comes.
                await send({**message, "more_body": True} if _is_body(message, cut) else message)
                if _is_body(message, cut):
                    await asyncio.sleep(0)
                    await _close(send)

        await self._app(scope, receive, watched)


def _is_body(message: Message, cut: bool) -> bool:
    return cut and message["type"] == "http.response.body"


async def _close(send: Any) -> None:
    """Close the connection through uvicorn's transport; ASGI has no message for that."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionResetError("dropped by a scripted fault")
    transport.abort()
    # uvicorn must notice the loss before the handler returns, else it answers 500.
    await asyncio.sleep(0.01)

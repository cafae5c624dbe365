"""An answer that does not come, or not whole: the connection is closed instead."""

import asyncio
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_MARK = "simulator.drop"
_CUT = "simulator.cut"


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
    """Must be the outermost layer: only there is `send` the server's own."""

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
                # The rest that a cut answer has promised never comes.
                await send({**message, "more_body": True} if _is_body(message, cut) else message)
                if _is_body(message, cut):
                    await asyncio.sleep(0)
                    await _close(send)

        await self._app(scope, receive, watched)


def _is_body(message: Message, cut: bool) -> bool:
    return cut and message["type"] == "http.response.body"


async def _close(send: Any) -> None:
    """The connection is cut; ASGI has no message for that, so uvicorn's transport does it."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionResetError("dropped by a scripted fault")
    transport.abort()
    # uvicorn must notice the loss before the handler returns, else it answers 500.
    await asyncio.sleep(0.01)

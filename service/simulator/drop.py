"""An answer that never comes: the connection is closed instead."""

import asyncio
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_MARK = "simulator.drop"


def dropped() -> Response:
    """Return a response that makes `Dropper` close the connection."""
    return Response(status_code=444, headers={_MARK: "1"})


class Dropper:
    """Must be the outermost layer: only there is `send` the server's own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        closed = False

        async def watched(message: Message) -> None:
            nonlocal closed
            if message["type"] == "http.response.start":
                closed = any(name == _MARK.encode() for name, _ in message["headers"])
                if closed:
                    await _close(send)
            if not closed:
                await send(message)

        await self._app(scope, receive, watched)


async def _close(send: Any) -> None:
    """The connection is cut; ASGI has no message for that, so uvicorn's transport does it."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionResetError("dropped by a scripted fault")
    transport.abort()
    # uvicorn must notice the loss before the handler returns, else it answers 500.
    await asyncio.sleep(0.01)

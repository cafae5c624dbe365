"""How many requests for pages are worked on at once: what is beyond that waits nowhere."""

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_MOST_AT_ONCE = 200
_PROBES = frozenset({"/livez", "/readyz", "/metrics"})


class PageLimit:
    """ASGI application before the pages: a share of the connections stays free for webhooks."""

    def __init__(self, app: ASGIApp, *, most: int = _MOST_AT_ONCE) -> None:
        self.app = app
        self._left = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _PROBES:
            await self.app(scope, receive, send)
            return
        if not self._left:
            scope["state"]["answers"].count("page_crowded_out")
            busy = PlainTextResponse(
                "Too many people ask at once. Try again in a few seconds.\n",
                503,
                headers={"Retry-After": "5", "Cache-Control": "no-store"},
            )
            await busy(scope, receive, send)
            return
        self._left -= 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._left += 1

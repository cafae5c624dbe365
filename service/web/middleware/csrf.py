"""Refuses unsafe requests that another site's page makes a browser send (as datasette's csrf.py).

Every current browser says where such a request comes from. Intuit's servers send no such header;
they sign instead.
"""

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.web.templating import render

log = structlog.get_logger(__name__)

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class CrossSiteGuard:
    """ASGI middleware that answers 403 to requests from other sites' pages."""

    def __init__(self, app: ASGIApp, *, public_url: str) -> None:
        self.app = app
        self._origin = public_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _SAFE:
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        if self._is_ours(request):
            await self.app(scope, receive, send)
            return
        log.warning("request.cross_site")
        await render(request, "error.html", {"status": 403, "reference": None}, 403)(
            scope, receive, send
        )

    def _is_ours(self, request: Request) -> bool:
        site = request.headers.get("sec-fetch-site")
        if site is not None:
            return site in ("same-origin", "none")  # none: typed in, or a bookmark
        # A browser without fetch metadata, or no browser.
        origin = request.headers.get("origin")
        return origin is None or origin == self._origin

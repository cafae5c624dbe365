"""Paths that are read alike by everybody: a proxy and this service must mean the same page."""

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_REFUSED = PlainTextResponse("Bad Request\n", 400, headers={"Cache-Control": "no-store"})


class PlainPaths:
    """ASGI application before the pages that answers 400 to a path which has to be normalised.

    `/ops/x/../../quickbook/` is a page of the suppliers to a proxy, and one of the operators here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _is_plain(scope["path"]):
            await _REFUSED(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def _is_plain(path: str) -> bool:
    if "\\" in path or "//" in path:
        return False
    return "/." not in path or not {".", ".."} & {*path.split("/")}

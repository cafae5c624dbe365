"""Our own files for browsers; their addresses change with their content."""

from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from service.web.pages import STATIC


class _Kept(StaticFiles):
    """Files that a browser may keep for a year."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


routes = [Mount("/quickbook/static", _Kept(directory=STATIC))]

"""Our own files for browsers; their addresses change with their content."""

from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from service.web.pages import STATIC, static


class _Kept(StaticFiles):
    """Files that a browser may keep for a year, under the address that their content has here.

    While another version of this service is rolled out, its pages may ask us for its files.
    """

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        asked = f"?{scope['query_string'].decode('latin-1')}"
        is_ours = response.status_code < 400 and static(path).endswith(asked)
        lasting = "public, max-age=31536000, immutable"
        response.headers["Cache-Control"] = lasting if is_ours else "no-cache"
        return response


routes = [Mount("/quickbook/static", _Kept(directory=STATIC))]

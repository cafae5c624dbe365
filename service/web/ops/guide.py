"""The operators' pages with the guide."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.guide import chapters
from service.guide.as_html import as_html
from service.monitoring.pages import GUIDE
from service.web.ops.flash import page
from service.web.state import AppState


def contents(request: Request[AppState]) -> Response:
    """List the chapters, each with what it is for."""
    return _page(request, None)


def chapter(request: Request[AppState]) -> Response:
    """Show one of them."""
    one = chapters.chapter(request.path_params["name"])
    if one is None:
        raise HTTPException(404)
    return _page(request, one)


def _page(request: Request[AppState], one: chapters.Chapter | None) -> Response:
    context = {
        "chapters": chapters.chapters(),
        "base": GUIDE,
        "chapter": one,
        "text": as_html(one, GUIDE) if one else "",
    }
    return page(request, "ops/guide.html", context)

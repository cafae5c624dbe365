"""A page of operators: who looks at it, and, once, what was done by the order before it."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from service.web.ops.browser import operator_of
from service.web.ops.told import forget, told
from service.web.pages import render
from service.web.state import State


def page(request: Request[State], name: str, context: Mapping[str, Any]) -> Response:
    """Return the page that this template makes; what it tells, it tells this one time."""
    more = {"operator": operator_of(request), "told": told(request)}
    response = render(request, name, {**more, **context})
    forget(request, response)
    return response

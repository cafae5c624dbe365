"""What operators fill in and tick, as far as it can be meant, and the addresses that ask for it."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.web.state import AppState

HOME = "/ops/"
LOGIN = "/ops/login"

# No dots and no doubled slashes, by which an address could lead somewhere else.
_INSIDE = re.compile(r"/ops/(?!login\b)(?:[\w-]+(?:/[\w-]+)*)?(?:\?[\w=&.%+~,-]*)?", re.ASCII)
_LONGEST = 500
_OF_ACTIONS = re.compile(
    r"(/ops/(?:connections|runs)/[\w-]+|/ops/(?:notices|findings))/[\w/-]+", re.A
)

_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_LONGEST_SEARCH = 100
_LARGEST_ID = 2**63 - 1

Posted = Callable[[Request[AppState], FormData], Response]


def posted(answer: Posted) -> Callable[[Request[AppState]], Awaitable[Response]]:
    """Return the endpoint of what answers a form: it runs in a thread, as all endpoints do."""

    @wraps(answer)
    async def endpoint(request: Request[AppState]) -> Response:
        return await run_in_threadpool(answer, request, await form_of(request))

    return endpoint


async def form_of(request: Request[AppState]) -> FormData:
    """Return what was filled in, sent as every form of ours is sent; else 415."""
    kind, _, _ = request.headers.get("content-type", "").partition(";")
    # Without a kind there is nothing in it.
    if kind.strip().lower() not in ("", "application/x-www-form-urlencoded"):
        raise HTTPException(415)
    return await request.form(max_files=0)


def words(given: Mapping[str, Any], name: str, longest: int = _LONGEST_SEARCH) -> str:
    """Return what was typed into this field, without control characters."""
    return _CONTROL.sub(" ", str(given.get(name, ""))).strip()[:longest]


def number(text: str | None) -> int | None:
    """Return the id of a row that this is, if it can be one."""
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 19:
        return None
    found = int(text)
    return found if 0 < found <= _LARGEST_ID else None


def numbers(texts: Sequence[Any]) -> list[int]:
    """Return those of these that can be ids of rows."""
    return [found for text in texts if (found := number(str(text))) is not None]


def asking(path: str, query: Mapping[str, str]) -> str:
    """Return the address that asks a page for this; what is empty is not said."""
    given = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(given)}" if given else path


def page_of_action(path: str) -> str:
    """Return the page that has the action posted to this path, as far as it is known."""
    match = _OF_ACTIONS.fullmatch(path)
    return match[1] if match else HOME


def inside(text: str) -> str:
    """Return this address if it is one of a page of ours to come back to, else the first page."""
    known = len(text) <= _LONGEST and _INSIDE.fullmatch(text)
    return text if known else HOME

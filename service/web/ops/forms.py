"""Reads operators' forms and query parameters, and builds addresses."""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
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

# No dots and no double slashes, with which an address could lead elsewhere.
_INSIDE = re.compile(r"/ops/(?!login\b)(?:[\w-]+(?:/[\w-]+)*)?(?:\?[\w=&.%+~,-]*)?", re.ASCII)
_LONGEST = 500
_OF_ACTIONS = re.compile(
    r"(/ops/(?:connections|runs|events)/[\w-]+|/ops/(?:events|findings))/[\w/-]+", re.A
)

_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_LONGEST_SEARCH = 100
_LARGEST_ID = 2**63 - 1

Posted = Callable[[Request[AppState], FormData], Response]


def posted(answer: Posted) -> Callable[[Request[AppState]], Awaitable[Response]]:
    """Return an endpoint that parses a form and runs `answer` in a thread."""

    @wraps(answer)
    async def endpoint(request: Request[AppState]) -> Response:
        return await run_in_threadpool(answer, request, await form_of(request))

    return endpoint


async def form_of(request: Request[AppState]) -> FormData:
    """Return the form's fields; 415 for another content type than our forms have."""
    kind, _, _ = request.headers.get("content-type", "").partition(";")
    # Without a content type there is no body.
    if kind.strip().lower() not in ("", "application/x-www-form-urlencoded"):
        raise HTTPException(415)
    return await request.form(max_files=0)


def words(given: Mapping[str, Any], name: str, longest: int = _LONGEST_SEARCH) -> str:
    """Return a text field without control characters, cut to `longest`."""
    return _CONTROL.sub(" ", str(given.get(name, ""))).strip()[:longest]


def number(text: str | None) -> int | None:
    """Return the id of a row that this text names, or None."""
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 19:
        return None
    found = int(text)
    return found if 0 < found <= _LARGEST_ID else None


def numbers(texts: Sequence[Any]) -> list[int]:
    """Return those texts that are ids of rows, as numbers."""
    return [found for text in texts if (found := number(str(text))) is not None]


def one_of(given: Mapping[str, Any], name: str, known: Collection[str]) -> str:
    """Return a field that has one of the known values, or ""."""
    value = str(given.get(name, ""))
    return value if value in known else ""


def asking(path: str, query: Mapping[str, str]) -> str:
    """Return the address with these parameters, without empty ones."""
    given = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(given)}" if given else path


def page_links(
    path: str, kept: Mapping[str, str], parameter: str, given: Mapping[str, str], following: object
) -> dict[str, str | None]:
    """Return the addresses of a list's first page, unless it is shown, and of its next one, if any.

    `parameter` says where a page begins, and `following` its value on the next.
    """
    return {
        "first": asking(path, kept) if parameter in given else None,
        "next": asking(path, {**kept, parameter: str(following)}) if following else None,
    }


def page_of_action(path: str) -> str:
    """Return the page that has the action posted to this path, or the first page."""
    match = _OF_ACTIONS.fullmatch(path)
    return match[1] if match else HOME


def inside(text: str) -> str:
    """Return this address if it is one of the operators' pages, else the first page."""
    known = len(text) <= _LONGEST and _INSIDE.fullmatch(text)
    return text if known else HOME

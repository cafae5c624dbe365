"""Addresses of the operators' pages, and which of those that others name are ours."""

import re
from collections.abc import Mapping
from urllib.parse import urlencode

HOME = "/ops/"
LOGIN = "/ops/login"

# No dots and no doubled slashes, by which an address could lead somewhere else.
_INSIDE = re.compile(r"/ops/(?!login\b)(?:[\w-]+(?:/[\w-]+)*)?(?:\?[\w=&.%+~,-]*)?", re.ASCII)
_LONGEST = 500
_OF_ORDERS = re.compile(
    r"(/ops/(?:connections|runs)/[\w-]+|/ops/(?:notices|findings))/[\w/-]+", re.A
)


def asking(path: str, query: Mapping[str, str]) -> str:
    """Return the address that asks a page for this; what is empty is not said."""
    given = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(given)}" if given else path


def of_order(path: str) -> str:
    """Return the page from which one orders what is posted to this path, as far as it is known."""
    match = _OF_ORDERS.fullmatch(path)
    return match[1] if match else HOME


def inside(text: str) -> str:
    """Return this address if it is one of a page of ours to come back to, else the first page."""
    known = len(text) <= _LONGEST and _INSIDE.fullmatch(text)
    return text if known else HOME

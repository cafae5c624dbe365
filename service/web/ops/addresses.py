"""Addresses of the operators' pages, and which of those that others name are ours."""

import re

HOME = "/ops/"
LOGIN = "/ops/login"

# No dots and no doubled slashes, by which an address could lead somewhere else.
_INSIDE = re.compile(r"/ops/(?!login\b)(?:[\w-]+(?:/[\w-]+)*)?(?:\?[\w=&.%+~,-]*)?", re.ASCII)
_LONGEST = 500


def inside(text: str) -> str:
    """Return this address if it is one of a page of ours to come back to, else the first page."""
    known = len(text) <= _LONGEST and _INSIDE.fullmatch(text)
    return text if known else HOME

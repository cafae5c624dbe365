"""What a machine lacks: a test says so and skips, or fails where CI is to have everything."""

import os
import re
from collections import Counter
from typing import NoReturn

import pytest

_SAID = re.compile(r"(?P<what>\S+) is not installed; `(?P<brings>.+)` brings it")


def missing(what: str, brings: str) -> NoReturn:
    """End this test: it needs `what`, which the command `brings` installs."""
    said = f"{what} is not installed; `{brings}` brings it"
    if os.environ.get("CI"):
        pytest.fail(said)
    pytest.skip(said)


def summary(reasons: list[str]) -> str:
    """Say in one line how many of the skipped tests lacked what, and what brings all of it."""
    found = [match for reason in reasons if (match := _SAID.search(reason))]
    if not found:
        return ""
    lacking = Counter(match["what"] for match in found)
    counts = ", ".join(f"{what} ({count})" for what, count in lacking.most_common())
    commands = " && ".join(dict.fromkeys(match["brings"] for match in found))
    return f"{len(found)} skipped for want of {counts}: {commands}"

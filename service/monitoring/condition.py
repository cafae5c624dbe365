"""One thing that is wrong."""

import textwrap
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

_LONGEST = 300

Severity = Literal["critical", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One thing that is wrong now, since when, and what to run about it.

    `subject` is a connection's id, or empty where all companies are concerned. The text names no
    company and no person, so that it may be kept and sent.
    """

    cause: str
    severity: Severity
    text: str
    command: str
    subject: str = ""
    company: str = ""
    since: datetime | None = None  # None where the database does not say


def day(at: datetime) -> str:
    """Return the day of an instant, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d}"


def moment(at: datetime) -> str:
    """Return an instant to the minute, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def span(seconds: float) -> str:
    """Return a length of time in one unit: `45 s`, `12 min`, `5 h`, `3 days`."""
    for unit, name in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{int(seconds // unit)} {name}"
    return f"{int(seconds)} s"


def shortened(text: str) -> str:
    """Return a text on one line, cut after a word where it is very long."""
    return textwrap.shorten(text, _LONGEST, placeholder=" …")


def several(count: int, one: str, many: str) -> str:
    """Return `1 company`, `2 companies`."""
    return f"{count:,} {one if count == 1 else many}"

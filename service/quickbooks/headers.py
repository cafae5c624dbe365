"""What Intuit says in the headers of an answer (reference 3.1 and 3.6)."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_LONGEST_WAIT = 86_400.0
_TRACE_ID = re.compile(r"[\w.:-]{1,100}", re.ASCII)


def intuit_tid(headers: Mapping[str, str]) -> str | None:
    """Return Intuit's trace id of an answer, which its support asks for.

    The header is seen with an underscore and with a dash.
    """
    value = _first(headers, "intuit_tid", "intuit-tid")
    return value if value and _TRACE_ID.fullmatch(value) else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer asks to wait: at most a day, and None if it does not ask.

    Intuit documents no such header, so both forms of HTTP are read: seconds and a date. A date is
    compared with the answer's own, where it has one, because our clock may differ from Intuit's.
    """
    value = (_first(headers, "retry-after") or "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), _LONGEST_WAIT)
    until, now = _date(value), date_of(headers) or datetime.now(UTC)
    if until is None:
        return None
    return min(max((until - now).total_seconds(), 0.0), _LONGEST_WAIT)


def date_of(headers: Mapping[str, str]) -> datetime | None:
    """Return when the answer was given, by the clock of whoever gave it."""
    return _date(_first(headers, "date") or "")


def _first(headers: Mapping[str, str], *names: str) -> str | None:
    found = {name.lower(): value for name, value in headers.items()}
    return next((found[name] for name in names if name in found), None)


def _date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)

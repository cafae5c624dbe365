"""Common parts of all calls of Intuit: no cookies, no foreign errors, headers of the answer.

In the running service, only `client`, `oauth` and `service.monitoring.alert_sender` call httpx.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from service.errors import TransientError
from service.kit.bounded_http import AnswerTooLong

# One odd answer must not silence a company for longer.
_LONGEST_WAIT = 900.0
_TRACE_ID = re.compile(r"[\w.:-]{1,100}", re.ASCII)

TIMED_OUT = "timeout"
"""The `code` of the error for an answer that took too long: a smaller query may pass."""
TOO_LONG = "too long"
"""The `code` of the error for an answer of too many bytes: a smaller query may pass."""

# httpx logs every address, and Intuit's addresses contain the realm id.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


def no_cookies() -> CookieJar:
    """Return a jar that stays empty, so that nothing passes from one company to the next."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


@contextmanager
def reaching_intuit() -> Iterator[None]:
    """Turn every failure to get a complete answer into TransientError.

    Without the cause: httpx repeats headers, addresses and bytes in its messages.
    """
    try:
        yield
    except AnswerTooLong as e:
        words = f"QuickBooks' answer is longer than {e.most // 2**20} MiB; the rest was not read"
        raise TransientError(words, code=TOO_LONG) from None
    except httpx.ReadTimeout:
        late = "QuickBooks did not answer in time"
        raise TransientError(late, code=TIMED_OUT, is_outage=True) from None
    except httpx.RequestError as e:
        away = f"QuickBooks could not be reached ({type(e).__name__})"
        raise TransientError(away, is_outage=True) from None


def intuit_tid(headers: Mapping[str, str]) -> str | None:
    """Return the trace id for Intuit's support; its header comes with underscore or dash."""
    value = _first(headers, "intuit_tid", "intuit-tid")
    return value if value and _TRACE_ID.fullmatch(value) else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer asks to wait, at most 15 minutes; None if it does not ask.

    Intuit documents no such header, so both forms of HTTP are read: seconds and a date. A date is
    compared with the answer's own date, because our clock may differ from Intuit's.
    """
    value = (_first(headers, "retry-after") or "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), _LONGEST_WAIT)
    until, now = _date(value), date_of(headers) or datetime.now(UTC)
    if until is None:
        return None
    return min(max((until - now).total_seconds(), 0.0), _LONGEST_WAIT)


def date_of(headers: Mapping[str, str]) -> datetime | None:
    """Return the time of the answer by its server's clock."""
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

"""What a failed call of the accounting API means: one table, closed by default (reference 3.8).

Intuit's errors come as `Fault`, as the gateway's lower-case `fault`, as XML although JSON was asked
for, or without a body; also with HTTP 200, in a list, and in a part of an answer. A known code
decides, whatever the status; without one, the status decides. What neither table knows is
`Unrecognised`.
"""

import codecs
import logging
import re
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, NamedTuple

import httpx

from service.errors import (
    Barred,
    Gone,
    Poisoned,
    Refused,
    SyncError,
    Throttled,
    TooLarge,
    TransientError,
    Unrecognised,
)
from service.kit import exact_json
from service.kit.bounded_http import AnswerTooLong

THROTTLED_FOR = 60.0
"""Seconds to pause a company after a 429 without Retry-After (reference 3.6)."""

GONE = "610"
"""The fault code for an object that does not exist, or was deleted."""

SPOILT = "spoilt"
"""The `code` of the error for a whole answer in JSON that cannot be decoded."""
CUT_SHORT = "cut short"
"""The `code` of the error for an answer in JSON whose end is missing: a smaller one may come."""


class Fault(NamedTuple):
    """The first error of a fault, without what may be secret."""

    code: str | None = None
    message: str | None = None


class Meaning(NamedTuple):
    """What an answer means for the caller, and in words."""

    error: type[SyncError]
    words: str


_NOT_ACCEPTED = "QuickBooks did not accept the access token"
_LIMIT = "QuickBooks' request limit is reached"
_WRITE = Meaning(Refused, "QuickBooks refused the content of the request")
_EXPIRED = "3200"

BY_CODE: Mapping[str, Meaning] = {
    "120": Meaning(Barred, "the connecting user lost access to the company"),
    "3100": Meaning(Barred, "QuickBooks does not let this app into the company"),
    # The request was repeated with a new token before: see `client.BearerAuth`.
    _EXPIRED: Meaning(TransientError, _NOT_ACCEPTED),
    "3001": Meaning(Throttled, _LIMIT),
    GONE: Meaning(Gone, "QuickBooks has no such object"),
    "4000": Meaning(TooLarge, "QuickBooks could not parse the query"),
    "4001": Meaning(Poisoned, "QuickBooks calls the query invalid"),
    "4002": Meaning(Poisoned, "QuickBooks failed on a record of the query"),
    "10000": Meaning(Poisoned, "QuickBooks failed on the request"),
    "6190": Meaning(Barred, "the company's QuickBooks subscription has ended"),
    "500": Meaning(Refused, "QuickBooks does not know this operation"),
    "5010": Meaning(TransientError, "QuickBooks' object changed at the same time"),
    "2010": _WRITE,
    "2020": _WRITE,
    "2030": _WRITE,
    "2050": _WRITE,
    "2500": _WRITE,
    "6000": _WRITE,
    "6140": _WRITE,
    "6210": _WRITE,
    "6240": _WRITE,
}

BY_STATUS: tuple[tuple[Container[int], Meaning], ...] = (
    ((401,), Meaning(TransientError, _NOT_ACCEPTED)),
    ((413, 414), Meaning(TooLarge, "QuickBooks refused the request for its size")),
    ((429,), Meaning(Throttled, _LIMIT)),
    (
        range(300, 400),
        Meaning(Refused, "QuickBooks redirected, and redirects are not followed"),
    ),
    ((408, *range(500, 600)), Meaning(TransientError, "QuickBooks is down")),
)


def answer_of(status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Return the JSON object that answers a request, or raise the error of its fault."""
    content = _decoded(body)
    fault = _fault_in(content, body)
    if fault is not None or not 200 <= status < 300:
        raise _error(status, headers, fault or Fault())
    if not isinstance(content, dict):
        raise _undecoded(headers, body)
    return content


def _undecoded(headers: Mapping[str, str], body: bytes) -> SyncError:
    """Return the error of a success that is no JSON object: one of its records may spoil it."""
    tid, text = intuit_tid(headers), body.removeprefix(codecs.BOM_UTF8).strip()
    if not text.startswith(b"{"):
        words = "QuickBooks answered something that is not a JSON object"
        return TransientError(words, intuit_tid=tid)
    if not text.endswith(b"}"):
        return TransientError("QuickBooks' answer ends too early", intuit_tid=tid, code=CUT_SHORT)
    words = "QuickBooks sent JSON that cannot be decoded: a record of it holds an invalid value"
    return Poisoned(words, intuit_tid=tid, code=SPOILT)


def known_fault(status: int, headers: Mapping[str, str], body: bytes) -> SyncError | None:
    """Return the error that the answer's fault code stands for, or None without a known code."""
    fault = _fault_in(_decoded(body), body) or Fault()
    return _error(status, headers, fault) if fault.code in BY_CODE else None


def wants_new_token(status: int, body: bytes) -> bool:
    """Return whether another access token may help: code 3200, or a 401 without a known code."""
    if 200 <= status < 300 and b"ault" not in body:
        return False  # a page of invoices, which is decoded only once
    fault = _fault_in(_decoded(body), body) or Fault()
    return fault.code == _EXPIRED or (status == 401 and fault.code not in BY_CODE)


def _error(status: int, headers: Mapping[str, str], fault: Fault) -> SyncError:
    meaning = _meaning(status, fault.code)
    words = meaning.words if meaning else "QuickBooks answered what this service does not know"
    tid, wait = intuit_tid(headers), retry_after(headers)
    message = f"{words} ({_particulars(status, fault)})"
    if meaning is None:
        return Unrecognised(message, intuit_tid=tid, code=fault.code)
    if not issubclass(meaning.error, TransientError):
        return meaning.error(message, intuit_tid=tid, code=fault.code)
    if issubclass(meaning.error, Throttled) and wait is None:
        wait = THROTTLED_FOR
    outage = meaning.error is TransientError and (status == 408 or status >= 500)
    return meaning.error(
        message, intuit_tid=tid, code=fault.code, retry_after=wait, is_outage=outage
    )


def _meaning(status: int, code: str | None) -> Meaning | None:
    # A code that only repeats the status says no more than the status.
    if code is not None and code in BY_CODE and code != str(status):
        return BY_CODE[code]
    return next((meaning for statuses, meaning in BY_STATUS if status in statuses), None)


def _particulars(status: int, fault: Fault) -> str:
    code = f", code {fault.code}" if fault.code else ""
    # Answers about a token may quote it.
    about_token = status == 401 or fault.code == _EXPIRED
    quoted = f": {fault.message}" if fault.message and not about_token else ""
    return f"HTTP {status}{code}{quoted}"


def _decoded(body: bytes) -> Any:
    try:
        return exact_json.decode(body.removeprefix(codecs.BOM_UTF8))
    except ValueError:
        return None


def _fault_in(content: Any, body: bytes) -> Fault | None:
    """Return the first fault with a known code, else the first one."""
    found = list(_faults(content) if content is not None else _faults_in_text(body))
    return next((fault for fault in found if fault.code in BY_CODE), found[0] if found else None)


# Faults also stand in one part of an answer or of a batch.
_PARTS = ("QueryResponse", "CDCResponse", "BatchItemResponse", "queryResponse", "cdcresponse",
          "batchItemResponse", "IntuitResponse")  # fmt: skip
_DEEPEST = 3


def _faults(content: Any) -> Iterator[Fault]:
    """Yield each error of an answer, and then those of its parts."""
    parts = _objects(content)
    for _ in range(_DEEPEST + 1):
        for part in parts:
            for fault in _objects(part.get("Fault")):
                yield from _errors(fault)
            # The gateway's messages only repeat the code.
            for fault in _objects(part.get("fault")):
                yield from _errors(fault, quoted=False)
        parts = [inner for part in parts for name in _PARTS for inner in _objects(part.get(name))]


def _errors(fault: dict[str, Any], *, quoted: bool = True) -> Iterator[Fault]:
    for error in [*_objects(fault.get("Error")), *_objects(fault.get("error"))] or [{}]:
        message = error.get("Message", error.get("message"))
        code = _code(error.get("code", error.get("Code"))) or _code_in_words(message)
        yield Fault(code, _harmless(message) if quoted else None)


def _objects(value: Any) -> list[dict[str, Any]]:
    found = value if isinstance(value, list) else [value]
    return [one for one in found if isinstance(one, dict)]


def _code_in_words(message: Any) -> str | None:
    """Return the code that a gateway's message says: "message=…; errorCode=003001; …"."""
    said = (
        re.search(r"\berrorCode=(\w{1,16})\b", message[:2000]) if isinstance(message, str) else None
    )
    return _code(said.group(1)) if said else None


# In XML and broken JSON, search for the code only: no parser, no entities, no depth. A quote inside
# a JSON string has a backslash, so a quoted fault does not match.
_TEXT_FAULT = re.compile(r"<(?:\w{1,16}:)?Fault\b|\"Fault\"\s*:\s*[{\[]", re.IGNORECASE)
_TEXT_CODE = re.compile(
    r"<(?:\w{1,16}:)?Error\b[^<>]{0,200}?\scode\s*=\s*[\"']([^\"'<>]{1,32})[\"']"
    r"|\"code\"\s*:\s*\"?(\w{1,32})\b|\berrorCode=(\w{1,16})\b",
    re.IGNORECASE,
)
_TEXT_BYTES = 8192


def _faults_in_text(body: bytes) -> Iterator[Fault]:
    text = body[:_TEXT_BYTES].decode("utf-8", "replace")
    begins = _TEXT_FAULT.search(text)
    if begins:
        codes = _TEXT_CODE.findall(text, begins.start())
        yield from (Fault(_code("".join(code))) for code in codes or [("",)])


def _code(value: Any) -> str | None:
    """Return a fault code as the reference writes it: the gateway says 003001 for 3001."""
    text = str(value).strip() if isinstance(value, str | int) else ""
    if not re.fullmatch(r"\w{1,16}", text, re.ASCII):
        return None
    return text.lstrip("0") or "0"


_REVEALING = re.compile(r"\S*@\S*|\w*\d{7,}\w*|\S{30,}")
_LONGEST_MESSAGE = 200


def _harmless(message: Any) -> str | None:
    """Return QuickBooks' message, cut, without what looks like an address, id or token."""
    if not isinstance(message, str):
        return None
    shown = _REVEALING.sub("…", " ".join(message[:2000].split()))
    return "".join(c for c in shown if c.isprintable())[:_LONGEST_MESSAGE] or None


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

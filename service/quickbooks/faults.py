"""What an answer of the accounting API means: one table, closed by default (reference 3.8).

Intuit's errors come as `Fault`, as the gateway's lower-case `fault`, as XML although JSON was asked
for, or without a body; faults also come with HTTP 200. Whatever the table does not know is
`Unrecognised`.
"""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

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
from service.quickbooks.http import intuit_tid, retry_after

THROTTLED_FOR = 60.0
"""Seconds to pause a company after a 429 without Retry-After (reference 3.6)."""

GONE = "610"
"""The fault code for an object that does not exist, or was deleted."""


class Fault(NamedTuple):
    """The first error of a fault, without what may be secret."""

    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class FaultRule:
    """Matches an answer by HTTP status and fault code; None as code matches any or no code."""

    statuses: Container[int]
    code: str | None
    error: type[SyncError]
    words: str


_API = (200, 400)  # where the API itself, not the gateway, puts its faults
_NOT_ACCEPTED = "QuickBooks did not accept the access token"
_WRITE = "QuickBooks refused the content of the request"

# The first row that matches decides, so a code stands before the bare status.
ROWS = (
    FaultRule(
        (200, 400, 401, 403), "120", Barred, "the connecting user lost access to the company"
    ),
    FaultRule((200, 400, 403), "3100", Barred, "QuickBooks does not let this app into the company"),
    FaultRule((200, 400, 401), "3200", TransientError, _NOT_ACCEPTED),
    FaultRule((200, 400, 403, 429), "3001", Throttled, "QuickBooks' request limit is reached"),
    FaultRule(_API, GONE, Gone, "QuickBooks has no such object"),
    FaultRule(_API, "4000", TooLarge, "QuickBooks could not parse the query"),
    FaultRule(_API, "4001", Poisoned, "QuickBooks calls the query invalid"),
    FaultRule(_API, "4002", Poisoned, "QuickBooks failed on a record of the query"),
    FaultRule((200, 400, 500), "10000", Poisoned, "QuickBooks failed on the request"),
    FaultRule((200, 400, 403), "6190", Barred, "the company's QuickBooks subscription has ended"),
    FaultRule(_API, "500", Refused, "QuickBooks does not know this operation"),
    FaultRule(_API, "5010", TransientError, "QuickBooks' object changed at the same time"),
    FaultRule(_API, "2010", Refused, _WRITE),
    FaultRule(_API, "2020", Refused, _WRITE),
    FaultRule(_API, "2030", Refused, _WRITE),
    FaultRule(_API, "2050", Refused, _WRITE),
    FaultRule(_API, "2500", Refused, _WRITE),
    FaultRule(_API, "6000", Refused, _WRITE),
    FaultRule(_API, "6140", Refused, _WRITE),
    FaultRule(_API, "6210", Refused, _WRITE),
    FaultRule(_API, "6240", Refused, _WRITE),
    # The request was repeated with a new token before: see `client.BearerAuth`.
    FaultRule((401,), None, TransientError, _NOT_ACCEPTED),
    FaultRule((413, 414), None, TooLarge, "QuickBooks refused the request for its size"),
    FaultRule((429,), None, Throttled, "QuickBooks' request limit is reached"),
    FaultRule(
        range(300, 400), None, Refused, "QuickBooks redirected, and redirects are not followed"
    ),
    FaultRule((408, *range(500, 600)), None, TransientError, "QuickBooks is unwell"),
)


def answer_of(status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Return the JSON object that answers a request, or raise the error of its fault."""
    content = _decoded(body)
    fault = _fault_in(content, body)
    if fault is not None or not 200 <= status < 300:
        raise _error(status, headers, fault or Fault())
    if not isinstance(content, dict):
        raise TransientError(
            "QuickBooks answered something that is not a JSON object",
            intuit_tid=intuit_tid(headers),
        )
    return content


def wants_new_token(status: int, body: bytes) -> bool:
    """Return whether another access token may help: after a 401, except for code 120."""
    if status != 401:
        return False
    fault = _fault_in(_decoded(body), body)
    return fault is None or fault.code != "120"


def _error(status: int, headers: Mapping[str, str], fault: Fault) -> SyncError:
    row = next((row for row in ROWS if status in row.statuses and row.code == fault.code), None)
    row = row or next((r for r in ROWS if status in r.statuses and r.code is None), None)
    words = row.words if row else "QuickBooks answered what this service does not know"
    tid, wait = intuit_tid(headers), retry_after(headers)
    message = f"{words} ({_particulars(status, fault)})"
    if row is None:
        return Unrecognised(message, intuit_tid=tid, code=fault.code)
    if not issubclass(row.error, TransientError):
        return row.error(message, intuit_tid=tid, code=fault.code)
    if issubclass(row.error, Throttled) and wait is None:
        wait = THROTTLED_FOR
    return row.error(message, intuit_tid=tid, code=fault.code, retry_after=wait)


def _particulars(status: int, fault: Fault) -> str:
    code = f", code {fault.code}" if fault.code else ""
    # Answers about a token may quote it.
    about_token = status == 401 or fault.code == "3200"
    quoted = f": {fault.message}" if fault.message and not about_token else ""
    return f"HTTP {status}{code}{quoted}"


def _decoded(body: bytes) -> Any:
    try:
        return exact_json.decode(body)
    except ValueError:
        return None


def _fault_in(content: Any, body: bytes) -> Fault | None:
    if content is None:
        return _fault_in_xml(body)
    if not isinstance(content, dict):
        return None
    if isinstance(fault := content.get("Fault"), dict):
        error = _first_error(fault.get("Error"))
        return Fault(_code(error.get("code")), _harmless(error.get("Message")))
    if isinstance(fault := content.get("fault"), dict):
        # The gateway's message only repeats its code.
        return Fault(_code(_first_error(fault.get("error")).get("code")))
    return None


def _first_error(errors: Any) -> dict[str, Any]:
    found = errors if isinstance(errors, list) else [errors]
    return found[0] if found and isinstance(found[0], dict) else {}


_XML_FAULT = re.compile(r"<Fault\b")
_XML_CODE = re.compile(r"<Error\b[^<>]{0,200}?\scode\s*=\s*[\"']([^\"'<>]{1,32})[\"']")
_XML_BYTES = 8192


def _fault_in_xml(body: bytes) -> Fault | None:
    """Search for the code only: no XML parser, no entities, no depth."""
    text = body[:_XML_BYTES].decode("utf-8", "replace")
    if not _XML_FAULT.search(text):
        return None
    code = _XML_CODE.search(text)
    return Fault(_code(code.group(1)) if code else None)


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

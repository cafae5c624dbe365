"""The last defence of the logs: what looks like a token, code, address or realm id goes out.

Code does not log such things in the first place. Libraries quote requests in their exceptions,
though, so every value of every event passes through here.
"""

import re
from collections.abc import Mapping
from typing import Any

from structlog.typing import EventDict, WrappedLogger

REDACTED = "[redacted]"

_SECRET_KEYS = frozenset(
    {
        "access_token",
        "authorization",
        "client_secret",
        "cookie",
        "email",
        "id_token",
        "password",
        "realm_id",
        "realmid",
        "refresh_token",
        "secret",
        "token",
    }
)
_PATTERNS = (
    # Anything after a question mark or ampersand, whatever its name: ?code=, &realmId=, ?token=
    (re.compile(r"([?&][\w.%-]+=)[^\s&#\"'<>]+"), r"\1" + REDACTED),
    (re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{16,}", re.IGNORECASE), r"\1 " + REDACTED),
    # JSON, forms and headers that an exception quotes
    (
        re.compile(
            r"\b((?:access_|refresh_|id_)token|client_secret|password|realm_?id)"
            r"([\"']?\s*[=:]\s*[\"']?)[^\s&\"',;}]+",
            re.IGNORECASE,
        ),
        r"\1\2" + REDACTED,
    ),
    (re.compile(r"(/company/)\d+"), r"\1" + REDACTED),
    (re.compile(r"(?<=://)[^\s/@]+@"), REDACTED + "@"),
    (re.compile(r"\[parameters: .*"), f"[parameters: {REDACTED}]"),  # SQLAlchemy's errors
    (re.compile(r"\beyJ[\w-]{8,}[\w.-]*"), REDACTED),
    (re.compile(r"\b(?:X?AB11|RT1-)[\w-]{16,}"), REDACTED),
    (re.compile(r"(?<![\w.+-])[\w.+-]+(?:@|%40)[\w-]+(?:\.[\w-]+)*"), REDACTED),
    # An opaque run of 40 or more with both cases and digits, and a 32-byte key
    (
        re.compile(r"(?<![\w-])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])(?=[\w-]*\d)[\w-]{40,}=?"),
        REDACTED,
    ),
    (re.compile(r"\d{15,}"), REDACTED),  # realm ids
)
_INTUIT_TID = re.compile(r"[\w-]{1,64}")
# Names of events, fields and modules: no pattern fits them, and every line has ten of them.
_PLAIN = re.compile(r"[a-z_.]*")
# An id of ours, by which one follows a delivery or a connection: by chance it can have many digits.
_OUR_ID = re.compile(r"[0-9a-f]{32}")


def redact(text: str) -> str:
    """Return `text` without what looks like a token, code, e-mail address or realm id."""
    if _PLAIN.fullmatch(text):
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact_event(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Redact every value of a log event; the trace id, for Intuit's support, stays whole."""
    tid = event.get("intuit_tid")
    cleaned: EventDict = _redacted(event)
    if isinstance(tid, str) and _INTUIT_TID.fullmatch(tid):
        cleaned["intuit_tid"] = tid
    return cleaned


def _redacted(value: Any) -> Any:
    match value:
        case None | bool() | float():
            return value
        case int():
            return REDACTED if abs(value) >= 10**14 else value
        case str():
            return value if _OUR_ID.fullmatch(value) else redact(value)
        case Mapping():
            return {redact(str(key)): _of_key(key, content) for key, content in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_redacted(content) for content in value]
        case _:
            return redact(str(value))


def _of_key(key: Any, value: Any) -> Any:
    return REDACTED if str(key).lower() in _SECRET_KEYS and value else _redacted(value)

"""Logging of every process: one format, on standard error, for our events and every library's.

What looks like a token, a code, an e-mail address or a realm id is redacted.
"""

import logging
import re
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from service.kit.text import shown

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
# Names of events, fields and modules match no pattern, and every line has ten of them.
_PLAIN = re.compile(r"[a-z_.]*")
# Our own id of a webhook or a connection, kept for following it: it can look like a realm id. That
# of an invoice cannot, but to search it for secrets took longer than the rest of its line.
_OUR_ID = re.compile(r"[0-9a-f]{32}|qbk-[a-z2-7]{26}")


def configure(level: str = "INFO", log_format: str = "auto") -> None:
    """Send all logs to standard error; `log_format` "auto" is "console" on a terminal or "json"."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = _StandardError()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redact_event,
                _renderer(log_format),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in ("httpx", "httpcore", "sqlalchemy", "python_multipart", "asyncio", "pymongo"):
        logging.getLogger(name).setLevel(logging.WARNING)  # below it they quote URLs and values
    # It lists its own plugins, and what it assumes of the database at each start.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        theirs = logging.getLogger(name)
        theirs.handlers.clear()
        theirs.filters = [OnceAMinute()]
        theirs.propagate = name != "uvicorn.access"  # ours has route templates in place of URLs
    sys.excepthook = _log_crash


class _StandardError(logging.StreamHandler[TextIO]):
    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr  # a progress bar replaces it while it is shown
        super().emit(record)


class OnceAMinute(logging.Filter):
    """Drops a warning that was logged within the last minute.

    uvicorn warns of each request that it cannot read: who sends enough of them fills the disk.
    """

    _SECONDS = 60.0

    def __init__(self) -> None:
        super().__init__()
        self._passed_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record may be logged."""
        if record.levelno != logging.WARNING:
            return True
        text, at = str(record.msg), time.monotonic()
        if at - self._passed_at.get(text, -self._SECONDS) < self._SECONDS:
            return False
        self._passed_at[text] = at
        return True


class SumOfAMinute:
    """Adds up what is too frequent for a line each; for one thread."""

    _SECONDS = 60.0

    def __init__(self) -> None:
        self._sum = 0
        self._returned_at = -self._SECONDS

    def add(self, count: int) -> int:
        """Return the sum since it was last returned, or 0 if that was within the last minute."""
        self._sum += count
        at = time.monotonic()
        if at - self._returned_at < self._SECONDS:
            return 0
        self._returned_at, returned, self._sum = at, self._sum, 0
        return returned


def _log_crash(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        structlog.get_logger("service").critical("process.crashed", exc_info=error)


def _renderer(log_format: str) -> Processor:
    for_people = sys.stderr.isatty() if log_format == "auto" else log_format == "console"
    if for_people:
        return structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    return structlog.processors.JSONRenderer(ensure_ascii=False)


def redact_event(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Redact every value of a log event, but keep Intuit's trace id for Intuit's support."""
    tid = event.get("intuit_tid")
    cleaned: EventDict = _redacted(event)
    if isinstance(tid, str) and _INTUIT_TID.fullmatch(tid):
        cleaned["intuit_tid"] = tid
    return cleaned


def redact(text: str) -> str:
    """Return `text` with what looks like a token, code, e-mail address or realm id replaced."""
    if _PLAIN.fullmatch(text):
        return text
    text = shown(text, keep="\n\t")  # some of it comes from QuickBooks, and goes to a terminal
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


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

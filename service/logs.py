"""Logging of every process: one format, on standard error, ours and every library's."""

import logging
import sys
from types import TracebackType
from typing import TextIO

import structlog
from structlog.typing import Processor

from service.redaction import redact_event


def configure(level: str = "INFO", log_format: str = "auto") -> None:
    """Send our own events and those of every library to standard error, in one format.

    `log_format` is "console", "json" or "auto", which writes for people on a terminal only.
    """
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
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        theirs = logging.getLogger(name)
        theirs.handlers.clear()
        theirs.propagate = name != "uvicorn.access"  # ours has route templates in place of URLs
    sys.excepthook = _log_crash


class _StandardError(logging.StreamHandler[TextIO]):
    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr  # a progress bar replaces it while it is shown
        super().emit(record)


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

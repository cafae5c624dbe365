"""Traces: one for each webhook, from its receipt through its sync to its delivery.

The id of a webhook, which every stored event has and the log calls `delivery`, is the id of its
trace. So a trace goes on wherever the rows are read: after a flushed queue, a restart, or days
later when the requeue job finds the work. No message and no further column carries it.

Without an endpoint OpenTelemetry is not imported here, and a span is a look at one variable.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from service.kit.otlp import Traces

log = structlog.get_logger(__name__)

WITHOUT_EXTRA = (
    "OTEL_EXPORTER_OTLP_ENDPOINT needs OpenTelemetry; run `pip install 'infactor-quickbooks[otel]'`"
)

Members = Mapping[str | None, Sequence[str]]
"""The invoices of a batch by the id of the webhook that asked for each; None: nobody outside."""

_traces: "Traces | None" = None


@contextmanager
def exporting(endpoint: str | None, process: str) -> Iterator[None]:
    """Send this process' spans to an OTLP endpoint during the block, the last within seconds.

    Without the extra `otel` it warns and sends none: platforms set the endpoint for every process.
    Further OTEL_* variables of the environment count as OpenTelemetry says.
    """
    global _traces  # noqa: PLW0603 - one for each process, as with logs and metrics
    if endpoint is None:
        yield
        return
    try:
        otlp = import_module("service.kit.otlp")
    except ImportError:
        log.warning("traces.not_sent", why=WITHOUT_EXTRA)
        yield
        return
    traces: Traces = otlp.Traces(endpoint, process)
    _traces = traces
    try:
        yield
    finally:
        _traces = None
        traces.close()


def received(webhook_id: str, events: int) -> AbstractContextManager[None]:
    """Begin the trace of a webhook; its first span is the block."""
    return nullcontext() if _traces is None else _traces.received(webhook_id, events)


def work(
    name: str, connection_id: str, members: Callable[[], Members]
) -> AbstractContextManager[None]:
    """Continue the trace of each webhook that asked for a company's batch, which is the block.

    Each has a span of it; all but the first link to the first. What nobody outside asked for has a
    trace of its own.
    """
    return nullcontext() if _traces is None else _traces.work(name, connection_id, members())

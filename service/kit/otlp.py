"""OpenTelemetry's side of `tracing`: spans, their ids, and where they go. Needs the extra `otel`.

Attributes hold ids and counts, never a name, an amount or a token; an error only its class.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from threading import Thread

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from service.kit.version import PROJECT, released_version

_MOST_SPANS = 100  # of one batch; a burst brings hundreds of webhooks at once
_MOST_NAMED = 50
_PATIENCE_SECONDS = 2.0
_CLOSING_SECONDS = 2.0

_begun: ContextVar[str | None] = ContextVar("webhook", default=None)


def accepts_traces(endpoint: str) -> bool:
    """Return whether the endpoint takes traces now; sends none, and logs nothing."""
    exporter = _exporter(endpoint)
    log = logging.getLogger("opentelemetry.exporter")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        return exporter.export([]) is SpanExportResult.SUCCESS
    finally:
        log.setLevel(before)
        exporter.shutdown()  # type: ignore[no-untyped-call]


def _exporter(endpoint: str) -> OTLPSpanExporter:
    return OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=_PATIENCE_SECONDS)


class Traces:
    """Makes spans and sends them to one endpoint, from a thread of its own."""

    def __init__(self, endpoint: str, process: str) -> None:
        about = {
            "service.name": f"{PROJECT}-{process}",
            "service.namespace": PROJECT,
            "service.version": released_version(),
        }
        self._provider = TracerProvider(
            resource=Resource.create(about), id_generator=_Ids(), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(_exporter(endpoint)))
        self._tracer = self._provider.get_tracer(PROJECT)

    def close(self) -> None:
        """Send what is left, as far as the endpoint takes it within two seconds."""
        # With a full queue and a slow endpoint, `shutdown` takes ten: a stop has no time for that.
        last = Thread(target=self._provider.shutdown, name="last-traces", daemon=True)
        last.start()
        last.join(_CLOSING_SECONDS)

    @contextmanager
    def received(self, webhook_id: str, events: int) -> Iterator[None]:
        """Begin the trace of a webhook; its first span is the block."""
        token = _begun.set(webhook_id)
        try:
            span = self._tracer.start_span(
                "webhook", kind=SpanKind.SERVER, attributes={"webhook.events": events}
            )
        finally:
            _begun.reset(token)
        with _ending(span):
            yield

    @contextmanager
    def work(
        self, name: str, connection_id: str, members: Mapping[str | None, Sequence[str]]
    ) -> Iterator[None]:
        """Continue the trace of each webhook of the batch, which is the block.

        `members` as in `tracing.Members`.
        """
        links: list[Link] = []
        with ExitStack() as spans:
            for webhook_id, ids in list(members.items())[:_MOST_SPANS]:
                span = self._tracer.start_span(
                    name,
                    None if webhook_id is None else self._context_of(webhook_id, name),
                    kind=SpanKind.CONSUMER,
                    attributes={
                        "connection.id": connection_id,
                        "invoice.count": len(ids),
                        "invoice.ids": list(ids[:_MOST_NAMED]),
                    },
                    links=links,
                )
                links = links or [Link(span.get_span_context())]
                spans.enter_context(_ending(span))
            yield

    def _context_of(self, webhook_id: str, name: str) -> Context:
        """Return the context of a webhook's first span; it counts as sampled if its id does."""
        trace_id, span_id = _ids_of(webhook_id)
        decision = self._provider.sampler.should_sample(None, trace_id, name).decision
        sampled = decision is Decision.RECORD_AND_SAMPLE
        flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
        first = SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)
        return set_span_in_context(NonRecordingSpan(first))


class _Ids(RandomIdGenerator):
    """The ids of a webhook's first span are its own, all others random."""

    def generate_trace_id(self) -> int:
        webhook_id = _begun.get()
        return super().generate_trace_id() if webhook_id is None else _ids_of(webhook_id)[0]

    def generate_span_id(self) -> int:
        webhook_id = _begun.get()
        return super().generate_span_id() if webhook_id is None else _ids_of(webhook_id)[1]


def _ids_of(webhook_id: str) -> tuple[int, int]:
    """Return the ids of a webhook's trace and of its first span."""
    return int(webhook_id, 16), int(webhook_id[:16], 16)


@contextmanager
def _ending(span: Span) -> Iterator[None]:
    """End the span with the block; of an error it keeps the class, because texts quote data."""
    try:
        yield
    except BaseException as e:
        span.set_status(Status(StatusCode.ERROR, type(e).__name__))
        raise
    finally:
        span.end()

"""Traces of one process: what they hold, which are kept, and what they never hold up."""

import sys
import threading

import pytest
from structlog.testing import capture_logs

from service.kit import otlp, tracing
from tests.traces import collecting

TRACE, OTHER = "0af7651916cd43dd8448eb211c80319c", "4bf92f3577b34da6a3ce929d0e0e4736"


def test_a_batch_continues_the_trace_of_each_webhook_and_tells_of_an_error_its_class() -> None:
    with collecting() as collector:
        with tracing.exporting(collector.url, "test"):
            with tracing.received(TRACE, 1):
                pass
            with (
                pytest.raises(ValueError, match="private"),
                tracing.work("company.sync", "c1", lambda: {TRACE: ["1"], OTHER: [], None: []}),
            ):
                raise ValueError("private")
        with tracing.work("company.sync", "c1", lambda: pytest.fail("it is over")):
            pass
    webhook, *works = sorted(collector.spans, key=lambda span: span.name != "webhook")
    first, other, own = sorted(works, key=lambda span: (len(span.links), span.trace != OTHER))
    assert (webhook.trace, webhook.parent) == (TRACE, "")
    assert (first.trace, first.parent, first.links) == (TRACE, webhook.id, [])
    assert (other.trace, other.parent, other.links) == (OTHER, OTHER[:16], [first.id])
    assert (own.parent, own.links, own.trace in (TRACE, OTHER)) == ("", [first.id], False)
    assert {span.error for span in works} == {"ValueError"}
    assert b"private" not in b"".join(collector.bodies)


def test_a_sampler_keeps_a_trace_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    with collecting() as collector, tracing.exporting(collector.url, "test"):
        for number in range(16):
            trace = f"{number:x}".rjust(16, "a") + f"{number:x}f".ljust(16, "0")
            with tracing.received(trace, 1):
                pass
            with tracing.work("company.sync", "c1", lambda trace=trace: {trace: []}):
                pass
    traces = [span.trace for span in collector.spans]
    assert 0 < len(set(traces)) < 16
    assert all(traces.count(trace) == 2 for trace in traces)


def test_without_the_extra_it_warns_and_works_without_traces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "service.kit.otlp", None)
    with (
        capture_logs() as logs,
        tracing.exporting("http://127.0.0.1:4318", "test"),
        tracing.received(TRACE, 1),
    ):
        pass
    (warning,) = logs
    assert (warning["event"], warning["log_level"]) == ("traces.not_sent", "warning")
    assert "run `pip install 'infactor-quickbooks[otel]'`" in warning["why"]


def test_a_collector_that_hangs_holds_up_no_stop(
    monkeypatch: pytest.MonkeyPatch, silent_port: int
) -> None:
    monkeypatch.setattr(otlp, "_PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(otlp, "_CLOSING_SECONDS", 0.05)
    with tracing.exporting(f"http://127.0.0.1:{silent_port}", "test"), tracing.received(TRACE, 1):
        pass
    (last,) = (thread for thread in threading.enumerate() if thread.name == "last-traces")
    assert last.daemon
    last.join(20)

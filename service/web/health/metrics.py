"""`/metrics` in Prometheus' format: this process' counters, and figures from the database."""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv6Address, ip_address
from secrets import compare_digest

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from pydantic import SecretStr
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.kit.metrics import PREFIX
from service.kit.version import code_digest, released_version
from service.queries.measures import Measures
from service.web.state import AppState

# A request with one of these was forwarded: the socket's peer is not the client.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


async def metrics(request: Request[AppState]) -> Response:
    """Answer this process' counters, and the database's figures unless it is down."""
    settings = request.state["services"].settings
    _check(request, settings.metrics_token)
    measures = await request.state["probes"].measures.answer()
    # A registry for each scrape: nothing is shared between scrapes or applications.
    registry = CollectorRegistry(auto_describe=False)
    registry.register(DatabaseCollector(measures, settings.quickbooks_reads_per_month))
    text = generate_latest() + generate_latest(registry)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


def _check(request: Request[AppState], token: SecretStr | None) -> None:
    """Raise 401 or 403 without the token or, if none is set, from another machine."""
    if token is None:
        if not _is_local(request):
            raise HTTPException(
                403,
                "from other machines, or by another name than localhost, METRICS_TOKEN is needed",
            )
        return
    given = request.headers.get("authorization", "")
    wanted = f"Bearer {token.get_secret_value()}"
    if not compare_digest(given.encode(), wanted.encode()):
        raise HTTPException(401, "the metrics token is needed", {"WWW-Authenticate": "Bearer"})


def _is_local(request: Request[AppState]) -> bool:
    """Return whether the request is from this machine and addressed to it, without a proxy.

    By name, too: a foreign page can make a local browser ask by a name that leads here.
    """
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    asked = request.url.hostname or ""
    return _is_loopback(request.client.host) and (asked == "localhost" or _is_loopback(asked))


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


class DatabaseCollector(Collector):
    """Yields the measures of one moment; only `database_up` 0 if the database did not answer."""

    def __init__(self, measures: Measures | None, reads_allowed: int) -> None:
        self._measures = measures
        self._reads_allowed = reads_allowed

    def collect(self) -> Iterable[Metric]:
        up = 0 if self._measures is None else 1
        yield InfoMetricFamily(
            f"{PREFIX}build",
            "What this process runs.",
            {"version": released_version(), "code": code_digest()},
        )
        yield _gauge("database_up", "Whether the database answers with this version's schema.", up)
        yield _gauge("reads_allowed", "Metered reads a month: the setting.", self._reads_allowed)
        if self._measures is not None:
            yield from _notices(self._measures)
            yield from _companies(self._measures)
            yield from _infactor(self._measures)


def _notices(measures: Measures) -> Iterable[Metric]:
    yield _gauges(
        "notices_open", "Webhook events that wait or have failed.", "status", measures.open_notices
    )
    yield _gauge(
        "notices_oldest_due_seconds",
        "For how long the oldest webhook event that could be worked on has been due.",
        measures.oldest_due,
    )
    yield _counters(
        "notices_ended",
        "Webhook events that ended, by how; a minute or two behind.",
        ("status", "outcome"),
        measures.ended_notices.items(),
    )
    yield _gauges(
        "lag_seconds",
        "From the change in QuickBooks to the record, of events done within the last hour.",
        "quantile",
        {str(quantile): lag for quantile, lag in measures.lags.items()},
    )
    yield _gauge("lag_notices", "How many webhook events the lag is of.", measures.lags_known)


def _companies(measures: Measures) -> Iterable[Metric]:
    yield _gauges("connections", "Companies by state.", "state", measures.connections)
    yield _gauges("reads", "Metered reads of this month by kind.", "kind", measures.reads)
    yield _gauge(
        "watermark_oldest_seconds",
        "Up to how long ago the connected company was reconciled that was so least lately.",
        measures.oldest_watermark,
    )
    yield _gauges(
        "company_watermark_age_seconds",
        "The same of each of the 20 companies that were so least lately, by connection.",
        "connection",
        measures.watermark_ages,
    )
    yield _gauges(
        "company_lag_seconds",
        "For how long the oldest event of a company has waited, of the 20 that wait longest.",
        "connection",
        measures.waits,
    )
    yield _gauges(
        "companies_late",
        "How many companies are late: with events for a minute, with reconciling for an hour.",
        "by",
        measures.late,
    )
    refreshes = CounterMetricFamily(f"{PREFIX}token_refreshes", "Renewals of companies' tokens.")
    refreshes.add_metric([], measures.refreshes)
    yield refreshes
    yield _gauges("runs_active", "Runs under way by kind.", "kind", measures.active_runs)
    alerts = GaugeMetricFamily(
        f"{PREFIX}alerts_open", "Alerts that are not over.", labels=["cause", "severity"]
    )
    for labels, count in measures.open_alerts.items():
        alerts.add_metric(labels, count)
    yield alerts
    yield _gauges(
        "heartbeat_age_seconds",
        "Since when no process of this kind was alive.",
        "name",
        measures.heartbeats,
    )


def _infactor(measures: Measures) -> Iterable[Metric]:
    """Yield what concerns Infactor's database; without values if none is configured."""
    yield _gauges(
        "findings_open",
        "Findings for an operator to review, by severity.",
        "severity",
        measures.findings,
    )
    yield _gauge("events_waiting", "Events that wait for EVENTS_URL.", measures.unsent_events)
    yield _gauge(
        "events_oldest_seconds",
        "For how long the oldest of them has waited.",
        measures.oldest_event,
    )
    infactor = measures.infactor
    for name, text, value in (
        (
            "infactor_up",
            "Whether Infactor's own database took the last call.",
            None if infactor is None else infactor.up,
        ),
        (
            "outgoing_invoices",
            "Invoices on their way to Infactor.",
            None if infactor is None else infactor.outgoing,
        ),
        (
            "outgoing_oldest_seconds",
            "For how long the oldest of them has been on its way.",
            None if infactor is None else infactor.oldest_outgoing,
        ),
        (
            "outgoing_refused",
            "Those of them that Infactor's database does not take.",
            None if infactor is None else infactor.refused,
        ),
    ):
        metric = GaugeMetricFamily(f"{PREFIX}{name}", text)
        if value is not None:
            metric.add_metric([], value)
        yield metric
    yield _counters(
        "receipts",
        "Deliveries into Infactor, by what became of them; a minute or two behind.",
        ("outcome",),
        (([outcome], total) for outcome, total in infactor.receipts.items()) if infactor else (),
    )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}{name}", text, value=value)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    metric = GaugeMetricFamily(f"{PREFIX}{name}", text, labels=[label])
    for key, value in values.items():
        metric.add_metric([key], value)
    return metric


def _counters(
    name: str, text: str, labels: Sequence[str], totals: Iterable[tuple[Sequence[str], int]]
) -> Metric:
    metric = CounterMetricFamily(f"{PREFIX}{name}", text, labels=labels)
    for values, total in totals:
        metric.add_metric(values, total)
    return metric


routes = [Route("/metrics", metrics)]

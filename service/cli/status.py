"""`status`: what is wrong now, and what to do about it; `alerts test`: whether alerts arrive."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import typer

from service.cli.console import answer, answer_json, fail, says_what_is_wrong
from service.cli.context import Json, command_services
from service.cli.exit_status import Exit
from service.cli.help import add_command, new_typer
from service.domain import CompanyState
from service.kit.clock import now
from service.kit.signed_post import NotSent
from service.monitoring.alert_sender import send_test
from service.monitoring.checks import current_status
from service.monitoring.condition import Condition
from service.monitoring.processes import CLOCK, RECEIVER
from service.monitoring.refusals import refusals
from service.monitoring.summary import InfactorSummary, Summary
from service.store import alerts, documents
from service.wording import format_utc, several, span

_WIDTH = 79
_STATES: dict[str, str] = {CompanyState.DEAD: "ended by QuickBooks"}
# The names that `doctor` and the conditions use.
_PROCESSES = {"receiver": RECEIVER, "worker": CLOCK}


@says_what_is_wrong
def status(as_json: Json = False) -> None:
    """Show what is wrong, since when, and what to do; then the figures.

    Exit status: 1 when anything is wrong.
    """
    with command_services() as services:
        at = now()
        refused = refusals(services.database, services.jobs)
        with services.database.read() as session:
            wrong, figures = current_status(session, services.settings, at, refused)
            # Not part of the figures that pages ask for every few seconds: it counts all documents.
            environment = services.settings.quickbooks_environment
            delivered = documents.count(session, environment) if services.settings.delivers else 0
    if as_json:
        answer_json([_as_json(wrong, figures, delivered)])
    else:
        for line in (*_conditions(wrong), *_summary(figures, delivered, at)):
            answer(line)
    if wrong:
        raise typer.Exit(Exit.ATTENTION)


def _as_json(wrong: Sequence[Condition], figures: Summary, delivered: int) -> dict[str, Any]:
    report = {"wrong": [asdict(condition) for condition in wrong], **asdict(figures)}
    if figures.infactor is not None:
        report["infactor"]["delivered"] = delivered
    return report


def _conditions(wrong: Sequence[Condition]) -> Iterator[str]:
    if not wrong:
        yield "Nothing is wrong."
        yield ""
        return
    yield f"{several(len(wrong), 'thing is', 'things are')} wrong."
    yield ""
    for condition in wrong:
        since = f"since {format_utc(condition.since)}" if condition.since else ""
        about = f"{condition.cause} ({condition.severity})"
        yield f"{about:<{_WIDTH - len(since)}}{since}"
        text = f"{condition.company}: {condition.text}" if condition.company else condition.text
        yield from textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="  ")
        yield f"  $ {condition.command}"
        yield ""


def _summary(figures: Summary, delivered: int, at: datetime) -> Iterator[str]:
    companies = {_STATES.get(name, name): count for name, count in figures.companies.items()}
    yield f"companies   {_counts(companies)}"
    oldest, last = figures.oldest_pending, figures.last_delivery
    waiting = "" if oldest is None else f", the oldest came {_ago(oldest, at)}"
    yield f"events      {figures.pending:,} pending{waiting}; {figures.failed:,} failed"
    yield f"webhooks    {'none yet' if last is None else f'last one {_ago(last, at)}'}"
    if figures.complete_until is not None:
        yield f"reconciled  every change until {format_utc(figures.complete_until)}"
    elif figures.importing:
        of = several(figures.importing, "company", "companies")
        yield f"reconciled  not yet: the first backfill of {of} is not finished"
    if figures.infactor is not None:
        yield f"infactor    {_infactor(figures.infactor, delivered)}"
    yield f"reads       {_reads(figures)}"
    for name, beat in _PROCESSES.items():
        age = figures.beats.get(beat)
        yield f"{name:<12}{'never seen' if age is None else f'alive {span(age)} ago'}"
    yield f"runs        {_counts(figures.runs)}"


def _infactor(figures: InfactorSummary, delivered: int) -> str:
    critical = f" ({figures.critical:,} critical, not acknowledged)" if figures.critical else ""
    return (
        f"{delivered:,} delivered; {figures.outgoing:,} outgoing;"
        f" {several(figures.findings, 'finding', 'findings')}{critical}"
    )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items())) or "none"


def _reads(figures: Summary) -> str:
    share = figures.reads / figures.reads_per_month
    text = f"{figures.reads:,} of {figures.reads_per_month:,} this month ({share:.0%})"
    if figures.reads_forecast is None:
        return text
    return f"{text}, about {figures.reads_forecast:,} by its end"


def _ago(then: datetime, at: datetime) -> str:
    return f"{span(max(0.0, (at - then).total_seconds()))} ago"


group = new_typer(help="Send test alerts.", no_args_is_help=True)


@group.callback()
def _group() -> None:
    """Keep `test` a command of its own."""


@says_what_is_wrong
def try_alerts(as_json: Json = False) -> None:
    """Send a test alert to ALERT_URL and to each of ALERT_URLS.

    If all accept it, alerts that could not be sent before are sent within seconds.

    Exit status: 1 when one does not accept it.
    """
    with command_services() as services:
        if not services.alert_channels:
            raise fail("Set ALERT_URL or ALERT_URLS: no alert is sent anywhere now.")
        refused = 0
        for channel in services.alert_channels:
            error = None
            try:
                send_test(channel, services.settings)
            except NotSent as e:
                error, refused = str(e), refused + 1
            if as_json:
                answer_json([{"channel": channel.name, "error": error}])
            else:
                answer(f"{channel.name} {error or 'accepted a test alert'}.")
        if not refused:
            with services.database.write() as session:
                alerts.hurry(session)
    if refused:
        raise typer.Exit(Exit.ATTENTION)


add_command(group, "test", try_alerts, ["alerts test"])

"""Everything that is wrong now: all checks, the most urgent first."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from service.config.settings import Settings
from service.domain import Severity
from service.monitoring import companies, infactor, processes, unproven, webhooks
from service.monitoring.condition import Condition
from service.monitoring.facts import Facts
from service.monitoring.refusals import Refusals
from service.monitoring.summary import Summary, summary
from service.store import alerts
from service.wording import several, shortened


def refused_writes(facts: Facts) -> Iterator[Condition]:
    """Give a condition for each store that takes no writes."""
    return facts.refusals.conditions()


def refused_alerts(facts: Facts) -> Iterator[Condition]:
    """Yield a condition while alerts could not be sent where the settings want them."""
    if not facts.settings.sends_alerts:
        return
    count, since, why = alerts.refused(facts.session, facts.now)
    if count:
        yield Condition(
            cause="alerts.refused",
            severity=Severity.CRITICAL,
            since=since,
            text=f"{several(count, 'alert', 'alerts')} could not be sent, so nobody is alerted:"
            f" {shortened(why or 'no reason')}. Check the address and the service behind it. They"
            " are sent again automatically, at most an hour apart; the command sends them now.",
            command="infactor-quickbooks alerts test",
        )


# In the order in which they are shown, the most urgent first.
_CHECKS = (
    refused_writes,
    processes.silent_processes,
    webhooks.unconfigured_webhooks,
    webhooks.misdirected_webhooks,
    processes.wrong_clocks,
    infactor.critical_findings,
    infactor.infactor_away,
    infactor.stuck_deliveries,
    webhooks.stuck_notices,
    refused_alerts,
    companies.refused_keys,
    companies.dead_connections,
    unproven.unproven_books,
    companies.barred_companies,
    companies.failing_runs,
    companies.stopped_withdrawals,
    companies.red_reconciles,
    companies.times_ahead,
    webhooks.broken_webhooks,
    companies.outages,
    processes.mixed_versions,
    unproven.silent_companies,
    companies.unasked_answers,
    companies.lasting_throttle,
    companies.ending_tokens,
    companies.tokens_ending_soon,
    webhooks.high_reads,
    webhooks.failed_notices,
    infactor.refused_deliveries,
    infactor.refused_events,
    infactor.held_old_rows,
    webhooks.refused_requests,
)
# What follows from a cause is not reported beside it.
_EFFECTS = {
    "database.refuses": ("webhooks.stuck", "deliveries.stuck"),
    "queue.away": ("webhooks.stuck", "deliveries.stuck"),
    "queue.refuses": ("webhooks.stuck", "deliveries.stuck"),
    "workers.silent": ("webhooks.stuck", "deliveries.stuck"),
}


def wrong_now(facts: Facts) -> list[Condition]:
    """Return everything that is wrong now, the critical first, at a handful of short queries."""
    found = [condition for check in _CHECKS for condition in check(facts)]
    explained = {effect for one in found for effect in _EFFECTS.get(one.cause, ())}
    found = [condition for condition in found if condition.cause not in explained]
    return sorted(found, key=lambda condition: condition.severity != Severity.CRITICAL)


def current_status(
    session: Session, settings: Settings, at: datetime, refusals: Refusals
) -> tuple[Sequence[Condition], Summary]:
    """Return (what is wrong now, the critical first; the figures of the summary)."""
    facts = Facts(session, settings, at, refusals)
    found = wrong_now(facts)
    known = {key: alert.since for key, alert in alerts.open_now(session).items()}
    figures = summary(facts)
    soon = {c.subject for c in found if c.cause == "token.ending_soon"}
    return [
        # A count over a period forgets when it began; its alert does not.
        replace(c, since=min(c.since or at, known.get(c.key, at)))
        for c in found
        # The more urgent condition says the same.
        if not (c.cause == "token.ending" and c.subject in soon)
    ], figures

"""What is wrong with Infactor's database, with deliveries into it, and with what they found."""

from collections.abc import Iterator
from datetime import timedelta

from service.domain import Severity
from service.monitoring.condition import Condition
from service.monitoring.facts import Facts
from service.store import event_feed, findings, infactor_outbox, old_rows
from service.store.findings import FindingEntry, Open
from service.wording import gist_of_finding, several, shortened, span

AWAY_SECONDS = 120.0
STUCK = timedelta(minutes=10)
LATE_EVENTS = timedelta(minutes=15)
MOST_FINDINGS_TOLD = 10
"""So many critical findings of one company have an alert of their own."""
_REFUSED_TWICE = 2
_CRITICAL = "finding.critical"
_DOCTOR = "infactor-quickbooks doctor"


def infactor_away(facts: Facts) -> Iterator[Condition]:
    """Yield a condition when Infactor's own database has been away for AWAY_SECONDS."""
    broken = facts.away
    if broken is not None and broken.seconds >= AWAY_SECONDS:
        yield Condition(
            cause="infactor.away",
            severity=Severity.CRITICAL,
            since=facts.now - timedelta(seconds=broken.seconds),
            text=f"Nothing is delivered for {span(broken.seconds)}: {shortened(broken.why)}."
            " Deliveries wait and follow automatically.",
            command=_DOCTOR,
        )


def stuck_deliveries(facts: Facts) -> Iterator[Condition]:
    """Yield a condition when deliveries are overdue although Infactor's database works."""
    if not facts.outgoing.count or facts.away is not None:
        return
    stuck = infactor_outbox.stuck_backlog(facts.session, facts.environment, facts.now - STUCK)
    if stuck.oldest is not None:
        waited = span((facts.now - stuck.oldest).total_seconds())
        yield Condition(
            cause="deliveries.stuck",
            severity=Severity.CRITICAL,
            since=stuck.oldest,
            text=f"{several(stuck.count, 'invoice', 'invoices')} should be in Infactor by now,"
            f" which works; the oldest has waited for {waited} and no other of its company has"
            " arrived meanwhile. Restart the workers, unless the doctor finds a reason.",
            command=_DOCTOR,
        )


def refused_deliveries(facts: Facts) -> Iterator[Condition]:
    """Yield a condition while Infactor's database refuses some invoices."""
    if not facts.outgoing.refused:
        return
    count, first = infactor_outbox.refused_invoices(facts.session, facts.environment)
    if first is not None:
        yield Condition(
            cause="deliveries.refused",
            severity=Severity.WARNING,
            since=first.recorded_at,
            text=f"{several(count, 'invoice is', 'invoices are')} not taken by Infactor's database,"
            f" the first {first.document_id}: {shortened(first.delivery.error or '')}. They are"
            " tried again, at most an hour apart.",
            command=_DOCTOR,
        )


def refused_events(facts: Facts) -> Iterator[Condition]:
    """Yield a condition while EVENTS_URL accepts an event not even again, or gets it too late."""
    if not facts.settings.sends_events:
        return
    late = facts.now - LATE_EVENTS
    found = event_feed.held_up(facts.session, facts.environment, _REFUSED_TWICE, late)
    if found is None:
        return
    wait = several(found.count, "event waits", "events wait")
    if found.error is not None:
        text = (
            f"{wait} because EVENTS_URL {shortened(found.error)}. Check the address, EVENTS_SECRET"
            " and the service there. They are sent again automatically, at most five minutes apart,"
            " and kept for 90 days. If it can never accept one of them, skip that one."
        )
    else:
        waited = span((facts.now - found.since).total_seconds())
        text = (
            f"{wait} for EVENTS_URL, the oldest for {waited}, though none is refused: it answers"
            " too slowly for so many, or no worker sends them. It should answer at once, and work"
            " on them later."
        )
    yield Condition(
        cause="events.refused",
        severity=Severity.WARNING,
        since=found.since,
        text=text,
        command="infactor-quickbooks feed",
    )


def critical_findings(facts: Facts) -> Iterator[Condition]:
    """Yield a condition for each unacknowledged critical finding, the oldest first.

    Of each company the oldest ones, and one condition that counts the others: a company that loses
    thousands at once sends no thousands of messages. When one is over, the next takes its place.
    """
    counts = {one.connection_id: one for one in facts.findings if one.critical}
    if not counts:
        return
    for entry in findings.alarming(facts.session, facts.environment, MOST_FINDINGS_TOLD):
        yield _critical_finding(facts, entry)
    for one in counts.values():
        if one.critical > MOST_FINDINGS_TOLD:
            yield _more_findings(one)


def _critical_finding(facts: Facts, entry: FindingEntry) -> Condition:
    finding, invoice = entry.finding, entry.invoice
    currency = facts.settings.infactor_currency
    gist = gist_of_finding(finding, invoice, entry.approved_currency, currency)
    return Condition(
        cause=_CRITICAL,
        subject=entry.company.id,
        about=str(finding.id),
        company=entry.company.company_name,
        severity=Severity.CRITICAL,
        since=finding.found_at,
        text=f"{gist} Someone may fund or pay it.",
        command=f"infactor-quickbooks invoice {invoice.id}",
        page=f"/ops/invoices/{invoice.id}",
    )


def _more_findings(one: Open) -> Condition:
    more = one.critical - MOST_FINDINGS_TOLD
    return Condition(
        cause=_CRITICAL,
        subject=one.connection_id,
        about="more",
        company=one.company,
        severity=Severity.CRITICAL,
        since=one.since,
        text=f"{several(more, 'more critical finding', 'more critical findings')} of this company,"
        f" beside the {MOST_FINDINGS_TOLD} that have an alert of their own.",
        command="infactor-quickbooks findings",
    )


def held_old_rows(facts: Facts) -> Iterator[Condition]:
    """Yield a condition for each company with invoices that wait because of Infactor's old rows."""
    if not facts.settings.delivers:
        return
    for connection_id, company, count in old_rows.held_invoices(facts.session, facts.environment):
        yield Condition(
            cause="old_rows.held",
            subject=connection_id,
            company=company,
            severity=Severity.WARNING,
            text=f"{several(count, 'invoice waits', 'invoices wait')}: Infactor has rows of its old"
            " import with the same Id that fit no invoice, and nothing may be offered twice. Fix or"
            " remove those rows in Infactor.",
            command=f"infactor-quickbooks adopt --connection {connection_id} --dry-run",
        )

"""Opens and closes alerts, and sends both to ALERT_URL and ALERT_URLS.

What recurs within a minute is one alert. What ended before it could be sent is still sent, for a
day.
"""

import time
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError

from service.coordination import heartbeats
from service.database.tables import Alert, Connection
from service.domain import Severity
from service.kit.backoff import backoff
from service.kit.clock import now
from service.kit.signed_post import NotSent
from service.kit.text import cause_of
from service.monitoring.alert_sender import Channel
from service.monitoring.checks import wrong_now
from service.monitoring.facts import Facts
from service.monitoring.pages import TITLES, guide_of, link_of
from service.monitoring.refusals import Refusals, refusals
from service.services import Services
from service.store import alerts, connections

log = structlog.get_logger(__name__)

_MOST_AT_ONCE = 50
_LONGEST_SENDING_SECONDS = 20.0
_FIRST_PAUSE = timedelta(seconds=30)
_LONGEST_PAUSE = timedelta(hours=1)


def watch(services: Services) -> None:
    """Open and close alerts, note that it was done, then send what is due to every channel."""
    open_and_close(services)
    with services.database.write() as session:
        heartbeats.beat(session, "watch")
    if services.alert_channels:
        send_alerts(services)


def open_and_close(services: Services) -> None:
    """Leave one open alert for each condition that holds now, and no other."""
    at = now()
    refused = refusals(services.database, services.jobs)
    with services.database.read() as session:
        facts = Facts(session, services.settings, at, refused)
        found = {c.key: c for c in wrong_now(facts)}
        known = {key: (alert.id, alert.severity) for key, alert in alerts.open_now(session).items()}
    begun = [found[key] for key in found.keys() - known.keys()]
    worse = [
        condition
        for key, condition in found.items()
        if condition.severity == Severity.CRITICAL
        and known.get(key, (0, Severity.CRITICAL))[1] != Severity.CRITICAL
    ]
    over = known.keys() - found.keys()
    if not begun and not worse and not over:
        return
    with services.database.write() as session:
        for condition in begun:
            alerts.begin(
                session,
                condition.key,
                severity=condition.severity,
                text=condition.text,
                command=condition.command,
                page=condition.page,
                since=condition.since or at,
                now=at,
            )
        for condition in worse:
            alerts.escalate(
                session,
                known[condition.key][0],
                severity=condition.severity,
                text=condition.text,
                command=condition.command,
                now=at,
            )
        alerts.end(session, [known[key][0] for key in over], at)
    for condition in (*begun, *worse):
        log.warning("alert.begun", cause=condition.cause, connection=condition.subject or None)
    for cause, subject, _ in over:
        log.info("alert.over", cause=cause, connection=subject or None)


def alert_without_database(services: Services, error: Exception) -> None:
    """Send `database.refuses` to ALERT_URL without storing an alert, which the database refuses.

    Each process sends it once an hour while that lasts; the message id is the same for all.
    """
    if not isinstance(error, DBAPIError):
        return
    at = now()
    for condition in Refusals(database=cause_of(error.orig)).conditions():
        message_id = f"{condition.cause}-{at:%Y-%m-%dT%H}"
        content = {
            "alert": None,
            "cause": condition.cause,
            "severity": condition.severity,
            "connection": None,
            "company": None,
            "since": at.isoformat(),
            "ended_at": None,
            "text": condition.text,
            "command": condition.command,
        }
        data = content | _help(services, condition.cause, "", "")
        for channel in services.alert_channels:
            try:
                channel.send_once(message_id, condition.cause, at, data)
            except NotSent as e:
                log.warning("alert.not_sent", cause=condition.cause, why=f"{channel.name} {e}")


def send_alerts(services: Services) -> None:
    """Send the alerts that are due, for 20 s at most. What is not accepted is sent again later."""
    deadline = time.monotonic() + _LONGEST_SENDING_SECONDS
    with services.database.read() as session:
        news = [
            (alert, _company(connections.get(session, alert.subject)))
            for alert in alerts.unsent(session, now(), _MOST_AT_ONCE)
        ]
    open_channels = list(services.alert_channels)
    for alert, company in news:
        # A channel that refuses one message would refuse the next.
        if time.monotonic() > deadline or not open_channels:
            return
        _send_one(services, open_channels, alert, company)


def _company(connection: Connection | None) -> str | None:
    return None if connection is None else connection.company_name


def _send_one(
    services: Services, open_channels: list[Channel], alert: Alert, company: str | None
) -> None:
    """Send to each channel that has not accepted it; take those that refuse out of the list."""
    over = alert.sent_at is not None
    phase = "over" if over else "begun"
    at = (alert.ended_at if over else None) or alert.raised_at
    message_id = f"alert-{alert.id}-{int(alert.raised_at.timestamp() * 1000)}-{phase}"
    kind = f"{alert.cause}.ended" if over else alert.cause
    data = _data(alert, company) | _help(services, alert.cause, alert.subject, alert.page)
    accepted, refusals = set(alert.accepted_by.split()), []
    for channel in services.alert_channels:
        if channel.key in accepted:
            continue
        if channel not in open_channels:
            refusals.append(f"{channel.name} did not take an earlier alert")
            continue
        try:
            channel.send(message_id, kind, at, data)
        except NotSent as e:
            refusals.append(f"{channel.name} {e}")
            open_channels.remove(channel)
        else:
            accepted.add(channel.key)
    if refusals:
        why = "; ".join(refusals)
        pause = backoff(alert.attempts, _FIRST_PAUSE, _LONGEST_PAUSE)
        with services.database.write() as session:
            alerts.postpone(session, alert.id, now() + pause, why, accepted)
        log.warning("alert.not_sent", alert=alert.id, cause=alert.cause, why=why)
        return
    with services.database.write() as session:
        names = [channel.name for channel in services.alert_channels]
        alerts.note_sent(session, alert.id, over=over, to=names, now=now())
    log.info("alert.sent", alert=alert.id, cause=alert.cause, phase=phase)


def _help(services: Services, cause: str, subject: str, page: str) -> dict[str, Any]:
    return {
        "title": TITLES.get(cause, cause),
        "link": link_of(cause, subject, services.settings.operators_url, page),
        "guide": services.settings.operators_url + guide_of(cause),
    }


def _data(alert: Alert, company: str | None) -> dict[str, Any]:
    return {
        "alert": alert.id,
        "cause": alert.cause,
        "severity": alert.severity,
        "connection": alert.subject or None,
        "company": company,
        "since": alert.since.isoformat(),
        "ended_at": None if alert.ended_at is None else alert.ended_at.isoformat(),
        "text": alert.text,
        "command": alert.command,
    }

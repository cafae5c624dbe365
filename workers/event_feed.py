"""Brings events into order, and sends them to EVENTS_URL: of each company one after the other.

What is not accepted holds back its company's later events, and is sent again under the same id. So
a listener that was away for a day gets everything, in order. It may get an event twice, if a
process died before it could note that it was accepted.
"""

import time
from datetime import timedelta

import msgspec
import structlog

from service.database.tables import FeedEvent
from service.kit.backoff import backoff
from service.kit.clock import now
from service.kit.signed_post import NotSent, SignedPost
from service.services import Services
from service.store import events

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/cloudevents+json; charset=utf-8"
_LONGEST_SENDING_SECONDS = 20.0
_COMPANIES_AT_ONCE = 50
_MOST_OF_A_COMPANY = 50
# A listener that refuses three in a row would refuse the next.
_MOST_REFUSALS = 3
_FIRST_PAUSE = timedelta(seconds=5)
_LONGEST_PAUSE = timedelta(minutes=5)


def send_events(services: Services) -> None:
    """Place what is committed by now, then send what is due, for 20 s at most."""
    place_all(services)
    if services.event_listener is not None:
        _Round(services, services.event_listener).send()


def place_all(services: Services) -> None:
    """Give a position to every event that is committed."""
    with services.database.read() as session:
        if not events.are_unplaced(session):
            return
    placed = 1
    while placed:
        with services.database.write() as session:
            placed = events.place(session)


class _Round:
    """One turn of sending."""

    def __init__(self, services: Services, listener: SignedPost) -> None:
        self._services = services
        self._listener = listener
        self._deadline = time.monotonic() + _LONGEST_SENDING_SECONDS
        self._refusals = 0

    @property
    def _is_over(self) -> bool:
        return self._refusals >= _MOST_REFUSALS or time.monotonic() > self._deadline

    def send(self) -> None:
        environment = self._services.settings.quickbooks_environment
        while not self._is_over:
            with self._services.database.read() as session:
                due = events.due_connections(session, environment, now(), _COMPANIES_AT_ONCE)
            if not due:
                return
            for connection_id in due:
                self._send_company(connection_id)

    def _send_company(self, connection_id: str) -> None:
        with self._services.database.read() as session:
            waiting = events.waiting(session, connection_id, _MOST_OF_A_COMPANY)
        for event in waiting:
            if self._is_over or not self._is_accepted(event):
                return

    def _is_accepted(self, event: FeedEvent) -> bool:
        body = msgspec.json.encode(events.as_cloud_event(event, self._services.settings.public_url))
        try:
            self._listener.send(event.event_id, body, MEDIA_TYPE)
        except NotSent as e:
            self._refusals += 1
            pause = backoff(event.attempts, _FIRST_PAUSE, _LONGEST_PAUSE)
            with self._services.database.write() as session:
                events.postpone(session, event.id, now() + pause, str(e))
            log.warning("event.not_sent", event_id=event.event_id, type=event.type, why=str(e))
            return False
        self._refusals = 0
        with self._services.database.write() as session:
            events.note_sent(session, event.id)
        return True

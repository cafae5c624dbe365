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
from service.store import event_feed

log = structlog.get_logger(__name__)

_LONGEST_ROUND_SECONDS = 20.0
_COMPANIES_AT_ONCE = 50
# One turn of a company, then the next has its own: a burst of one delays no other for long.
_MOST_OF_A_TURN = 10
# A listener that refuses three in a row would refuse the next.
_MOST_REFUSALS = 3
_FIRST_PAUSE = timedelta(seconds=5)
_LONGEST_PAUSE = timedelta(minutes=5)


def send_events(services: Services) -> None:
    """Place what is committed by now, then send what is due, for 20 s at most."""
    deadline = time.monotonic() + _LONGEST_ROUND_SECONDS
    place_all(services, deadline)
    if services.event_listener is not None:
        _Round(services, services.event_listener, deadline).send()


def place_all(services: Services, deadline: float) -> None:
    """Give a position to every event that is committed by now, or to the first of too many.

    What is written meanwhile waits for the next round.
    """
    with services.database.read() as session:
        if not event_feed.are_unplaced(session):
            return
    while time.monotonic() < deadline:
        with services.database.write() as session:
            more = event_feed.place(session)
        if not more:
            return


class _Round:
    """One turn of sending, until `deadline` of the monotonic clock."""

    def __init__(self, services: Services, listener: SignedPost, deadline: float) -> None:
        self._services = services
        self._listener = listener
        self._deadline = deadline
        self._refusals = 0

    @property
    def _is_over(self) -> bool:
        return self._refusals >= _MOST_REFUSALS or time.monotonic() > self._deadline

    def send(self) -> None:
        environment = self._services.settings.quickbooks_environment
        while not self._is_over:
            with self._services.database.read() as session:
                due = event_feed.due_connections(session, environment, now(), _COMPANIES_AT_ONCE)
            if not due:
                return
            for connection_id in due:
                self._send_company(connection_id)

    def _send_company(self, connection_id: str) -> None:
        """Send the company's next events; with more left, it has had its turn."""
        with self._services.database.read() as session:
            waiting = event_feed.waiting(session, connection_id, _MOST_OF_A_TURN + 1)
        sent = 0
        while sent < min(len(waiting), _MOST_OF_A_TURN) and not self._is_over:
            if not self._is_accepted(waiting[sent]):
                return
            sent += 1
        if 0 < sent < len(waiting):
            with self._services.database.write() as session:
                event_feed.end_turn(session, waiting[sent].id, now())

    def _is_accepted(self, event: FeedEvent) -> bool:
        try:
            message = event_feed.as_cloud_event(event, self._services.settings.public_url)
            self._listener.send(
                event.event_id, msgspec.json.encode(message), event_feed.EVENTS_MEDIA_TYPE
            )
        except NotSent as e:
            self._refusals += 1
            self._postpone(event, str(e))
            return False
        except Exception as e:  # of this event alone: the other companies' must not wait for it
            self._postpone(
                event, f"was not asked, because of an error of ours ({type(e).__name__})"
            )
            return False
        self._refusals = 0
        with self._services.database.write() as session:
            event_feed.note_sent(session, event.id)
        return True

    def _postpone(self, event: FeedEvent, why: str) -> None:
        pause = backoff(event.attempts, _FIRST_PAUSE, _LONGEST_PAUSE)
        with self._services.database.write() as session:
            event_feed.postpone(session, event.id, now() + pause, why)
        log.warning("event.not_sent", event_id=event.event_id, type=event.type, why=why)

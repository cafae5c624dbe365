"""One POST to the app, and the queue of those that are under way."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from service.simulator.clock import to_zulu
from service.simulator.events import Event, described, payload
from service.simulator.records import Json
from service.simulator.switches import Switches

HELD_FOR = timedelta(seconds=300)


@dataclass(eq=False)
class Delivery:
    """What one POST carries and what became of it.

    A delivery is open to further events before `closes`; a held one waits to be overtaken.
    """

    id: int
    body: bytes
    queued: datetime
    due: datetime
    facts: list[Event] = field(default_factory=list)
    closes: datetime | None = None
    held: bool = False
    signature: str = "right"
    state: str = "waiting"
    attempts: int = 0
    status: int | None = None
    ms: float | None = None
    answer: str = ""
    next_attempt: datetime | None = None

    @property
    def events(self) -> list[str]:
        """The events in words."""
        return [described(event) for event in self.facts]

    @property
    def starts(self) -> datetime:
        """When the next attempt may begin."""
        return self.next_attempt or self.due

    def shown(self) -> Json:
        """Return the delivery as `GET /_sim/webhooks` shows it."""
        return {
            "id": self.id,
            "state": self.state,
            "status": self.status,
            "attempts": self.attempts,
            "ms": self.ms,
            "answer": self.answer,
            "queued": to_zulu(self.queued),
            "next_attempt": to_zulu(self.next_attempt) if self.next_attempt else None,
            "events": self.events,
            "body": self.body.decode(errors="replace"),
        }

    def join(self, events: list[Event], now: datetime, switches: Switches) -> bool:
        """The events go along with this delivery; False when it takes them no more."""
        if self.closes is None or now >= self.closes or self.attempts:
            return False
        if not switches.mix_companies and self.facts[0].realm != events[0].realm:
            return False
        self.facts += events
        self.body = payload(self.facts, switches)
        return True


class Queue:
    """Deliveries in the order of their going out; a failing one is always the first."""

    def __init__(self) -> None:
        self._waiting: list[Delivery] = []
        self._held: list[Delivery] = []

    def __bool__(self) -> bool:
        return bool(self._waiting or self._held)

    def put(self, delivery: Delivery) -> None:
        """The delivery is the last one; the held ones that it overtakes stand behind it."""
        if delivery.held:
            delivery.due = max(delivery.due, delivery.queued + HELD_FOR)
            self._held.append(delivery)
            return
        self._waiting.append(delivery)
        self._release(self._held, delivery.due)

    def head(self, now: datetime, order: str) -> Delivery | None:
        """Return the delivery whose turn is next, due or not; held ones only when time is up."""
        self._release([d for d in self._held if d.due <= now], now)
        if not self._waiting:
            return min(self._held, key=lambda d: d.due, default=None)
        failing = next((d for d in self._waiting[:1] if d.attempts), None)
        if failing or order == "kept":
            return self._waiting[0]
        first = min(self._waiting, key=lambda d: (not d.attempts, d.due, d.id))
        self._waiting.remove(first)
        self._waiting.insert(0, first)
        return first

    def open_one(self, events: list[Event], now: datetime, switches: Switches) -> Delivery | None:
        """Return the waiting delivery that took the events along, if one did."""
        if not switches.collect_seconds:
            return None
        return next((d for d in self._waiting if d.join(events, now, switches)), None)

    def remove(self, delivery: Delivery) -> None:
        """The delivery is not queued any more."""
        if self._waiting and self._waiting[0] is delivery:
            del self._waiting[0]
        else:
            self._waiting = [d for d in self._waiting if d is not delivery]

    def clear(self) -> None:
        """Nothing is queued."""
        self._waiting, self._held = [], []

    def _release(self, held: list[Delivery], due: datetime) -> None:
        for delivery in held:
            delivery.held, delivery.due = False, due
        self._waiting += held
        self._held = [d for d in self._held if d.held]

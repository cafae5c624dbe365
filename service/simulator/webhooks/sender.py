"""The webhook sender: one queue, in order, retried as documented, and disturbed on demand."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from random import Random
from typing import Annotated, Any, Literal

import httpx
import msgspec

from service.kit.tls import public_authorities
from service.simulator import exact_json
from service.simulator.clock import Clock, to_zulu
from service.simulator.config import SimulatorConfig
from service.simulator.events import TEST_BODY, Event, described, headers, in_deliveries, payload
from service.simulator.records import Json
from service.simulator.switches import Switches

Action = Literal["drop", "duplicate", "hold", "forge"]


class Trick(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One order: what happens to the next `count` deliveries of these events."""

    action: Action
    count: Annotated[int, msgspec.Meta(ge=1)] = 1
    company: str | None = None
    entity: str | None = None

    def fits(self, events: Sequence[Event]) -> bool:
        if self.company is None and self.entity is None:
            return True
        return any(
            self.company in (None, event.realm) and self.entity in (None, event.entity)
            for event in events
        )


class Mischief:
    """Decides by orders first, then by the switched shares; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.tricks: list[Trick] = []
        self._random = Random(seed)  # noqa: S311 - repeatable on purpose

    def reseed(self, seed: int) -> None:
        self._random.seed(seed)

    def add(self, wanted: Any) -> None:
        """Append the orders; raises ValueError for a bad one."""
        given = wanted if isinstance(wanted, list) else [wanted]
        self.tricks += exact_json.convert(given, list[Trick])

    def choose(self, events: Sequence[Event], switches: Switches) -> Action | None:
        """Return what happens to this delivery, None for nothing."""
        for trick in self.tricks:
            if trick.fits(events):
                trick.count -= 1
                self.tricks = [t for t in self.tricks if t.count]
                return trick.action
        chances: tuple[tuple[float, Action], ...] = (
            (switches.drop_share, "drop"),
            (switches.duplicate_share, "duplicate"),
            (switches.hold_share, "hold"),
        )
        drawn = self._random.random() if any(share for share, _ in chances) else 1.0
        for share, action in chances:
            if drawn < share:
                return action
            drawn -= share
        return None

    def delay(self, switches: Switches) -> float:
        """Return how many seconds a delivery waits before its first attempt."""
        least, most = switches.delay_seconds
        return least if least == most else self._random.uniform(least, most)


HELD_FOR = timedelta(seconds=300)

KEPT = 500


@dataclass(eq=False)
class Delivery:
    """One POST and its result; takes events until `closes`; waits to be overtaken if `held`."""

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
        return [described(event) for event in self.facts]

    @property
    def starts(self) -> datetime:
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
        """Add the events to this delivery; return False if it is closed to them."""
        if self.closes is None or now >= self.closes or self.attempts:
            return False
        if not switches.mix_companies and self.facts[0].realm != events[0].realm:
            return False
        together = [*self.facts, *events]
        if len(in_deliveries(together, switches)) > 1:
            return False
        self.facts = together
        self.body = payload(self.facts, switches)
        return True


class Queue:
    """Deliveries in their order; a failing one is always the first."""

    def __init__(self) -> None:
        self._waiting: list[Delivery] = []
        self._held: list[Delivery] = []

    def __bool__(self) -> bool:
        return bool(self._waiting or self._held)

    def put(self, delivery: Delivery) -> None:
        """Append the delivery, and behind it the held ones that it overtakes."""
        if delivery.held:
            delivery.due = max(delivery.due, delivery.queued + HELD_FOR)
            self._held.append(delivery)
            return
        self._waiting.append(delivery)
        self._release(self._held, delivery.due)

    def head(self, now: datetime, order: str) -> Delivery | None:
        """Return the next delivery, due or not; held ones only when their time is up."""
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
        """Return the waiting delivery that took the events, if any."""
        if not switches.collect_seconds:
            return None
        return next((d for d in self._waiting if d.join(events, now, switches)), None)

    def remove(self, delivery: Delivery) -> None:
        if self._waiting and self._waiting[0] is delivery:
            del self._waiting[0]
        else:
            self._waiting = [d for d in self._waiting if d is not delivery]

    def clear(self) -> None:
        self._waiting, self._held = [], []

    def _release(self, held: list[Delivery], due: datetime) -> None:
        for delivery in held:
            delivery.held, delivery.due = False, due
        self._waiting += held
        self._held = [d for d in self._held if d.held]


class Sender:
    """Sends from a thread of its own; a failing delivery holds back the later ones."""

    def __init__(self, config: SimulatorConfig, clock: Clock, switches: Switches) -> None:
        self.switches = switches
        self.mischief = Mischief(switches.seed)
        self._config = config
        self._clock = clock
        self._queue = Queue()
        self._past: deque[Delivery] = deque(maxlen=KEPT)
        self._changed = threading.Condition()
        self._stopping = False
        self._last_id = 0
        self._thread: threading.Thread | None = None
        clock.when_moved(self._wake)

    def start(self) -> None:
        if self._config.webhook_url and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop after the current attempt."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread:
            self._thread.join(self.switches.answer_seconds + 2)

    def announce(self, events: list[Event]) -> Delivery:
        """Queue the events, in deliveries of their own or with others, or lose them as switched.

        Returns the first delivery.
        """
        groups = in_deliveries(events, self.switches)
        first, *_ = [self._announced(group) for group in groups]
        return first

    def _announced(self, events: list[Event]) -> Delivery:
        with self._changed:
            now, switches = self._clock.now(), self.switches
            if joined := self._queue.open_one(events, now, switches):
                return joined
            action = self.mischief.choose(events, switches)
            delivery = self._new(payload(events, switches), list(events), now)
            if switches.collect_seconds:
                delivery.closes = delivery.due = now + timedelta(seconds=switches.collect_seconds)
            delivery.due += timedelta(seconds=self.mischief.delay(switches))
            delivery.held = action == "hold"
            delivery.signature = "wrong" if action == "forge" else switches.signature
            self._queue_up(delivery, lost=action == "drop")
            if action == "duplicate":
                again = self._new(delivery.body, delivery.facts, now)
                again.due = delivery.due
                self._queue_up(again)
            return delivery

    def post(
        self, body: bytes, events: list[Event] | None = None, signature: str | None = None
    ) -> Delivery:
        """Queue any body."""
        with self._changed:
            delivery = self._new(body, list(events or []), self._clock.now())
            delivery.signature = signature or self.switches.signature
            self._queue_up(delivery)
            return delivery

    def test(self) -> Delivery:
        return self.post(TEST_BODY)

    def find(self, id_: int) -> Delivery | None:
        with self._changed:
            return next((d for d in self._past if d.id == id_), None)

    def last(self, most: int = KEPT) -> list[Json]:
        with self._changed:
            return [delivery.shown() for delivery in islice(reversed(self._past), most)]

    def idle(self) -> bool:
        with self._changed:
            return not self._queue

    def reseed(self, seed: int) -> None:
        with self._changed:
            self.mischief.reseed(seed)

    def clear(self) -> None:
        """Forget what is queued, ordered and sent."""
        with self._changed:
            self._queue.clear()
            self._past.clear()
            self.mischief.tricks.clear()
            self._changed.notify_all()

    def _new(self, body: bytes, events: list[Event], now: datetime) -> Delivery:
        self._last_id += 1
        delivery = Delivery(self._last_id, body, now, now, events)
        self._past.append(delivery)
        return delivery

    def _queue_up(self, delivery: Delivery, lost: bool = False) -> None:
        if self._config.webhook_url is None:
            delivery.state = "no webhook address"
        elif lost or self.switches.webhooks == "off":
            delivery.state = "lost"
        else:
            self._queue.put(delivery)
            self._changed.notify_all()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _run(self) -> None:
        # Proxies of the environment must not see what is meant for this machine.
        with httpx.Client(verify=public_authorities(), trust_env=False) as client:
            while delivery := self._next():
                self._attempt(client, delivery)

    def _next(self) -> Delivery | None:
        """Wait until the first delivery is due; None when the sender stops."""
        with self._changed:
            while not self._stopping:
                now = self._clock.now()
                head = self._queue.head(now, self.switches.order)
                if head is None:
                    self._changed.wait()
                    continue
                wait = (head.starts - now).total_seconds()
                if wait <= 0:
                    head.closes = None
                    return head
                self._changed.wait(wait)
        return None

    def _attempt(self, client: httpx.Client, delivery: Delivery) -> None:
        switches, now = self.switches, self._clock.now()
        token, body = self._config.verifier_token, delivery.body
        signed = headers(token, body, now, switches, delivery.signature)
        began = time.perf_counter()
        try:
            answer = client.post(
                str(self._config.webhook_url),
                content=body,
                headers=signed,
                timeout=switches.answer_seconds,
            )
            status, text = answer.status_code, answer.text[:500]
        except httpx.HTTPError as e:
            status, text = None, f"{type(e).__name__}: {e}"
        ms = round((time.perf_counter() - began) * 1000, 1)
        with self._changed:
            delivery.attempts += 1
            delivery.status, delivery.answer, delivery.ms = status, text, ms
            self._settle(delivery)
            self._changed.notify_all()

    def _settle(self, delivery: Delivery) -> None:
        if delivery.status == 200:
            delivery.state, delivery.next_attempt = "delivered", None
            self._queue.remove(delivery)
        elif delivery.signature != "right":
            # A forged delivery: Intuit does not repeat it, and nothing waits for it.
            delivery.state = "refused"
            self._queue.remove(delivery)
        else:
            ladder = self.switches.retry_seconds
            gap = ladder[min(delivery.attempts, len(ladder)) - 1]
            delivery.state = "failing"
            delivery.next_attempt = self._clock.now() + timedelta(seconds=gap)

"""The webhook sender: one queue, in order, retried on the documented ladder."""

import contextlib
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

import httpx

from service.simulator.clock import Clock, to_zulu
from service.simulator.config import SimulatorConfig, Switches
from service.simulator.events import headers
from service.simulator.records import Json

TIME_OUT = 3.0
KEPT = 500


@dataclass
class Delivery:
    """One POST to the app: what it carries and what became of it."""

    id: int
    body: bytes
    events: list[str]
    queued: datetime
    state: str = "waiting"
    attempts: int = 0
    status: int | None = None
    ms: float | None = None
    answer: str = ""
    next_attempt: datetime | None = field(default=None, repr=False)

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
            "body": self.body.decode(),
        }


class Sender:
    """Delivers in a thread of its own; a failing delivery holds back the later ones."""

    def __init__(self, config: SimulatorConfig, clock: Clock, switches: Switches) -> None:
        self.switches = switches
        self._config = config
        self._clock = clock
        self._queue: deque[Delivery] = deque()
        self._past: deque[Delivery] = deque(maxlen=KEPT)
        self._changed = threading.Condition()
        self._stopping = False
        self._last_id = 0
        self._thread: threading.Thread | None = None
        clock.when_moved(self._wake)

    def start(self) -> None:
        """Deliveries go out from now on."""
        if self._config.webhook_url and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """No delivery is under way any more."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread:
            self._thread.join(TIME_OUT + 2)

    def put(self, body: bytes, events: list[str]) -> Delivery:
        """The delivery is in the queue (or lost, when webhooks are switched off)."""
        with self._changed:
            self._last_id += 1
            delivery = Delivery(self._last_id, body, events, self._clock.now())
            self._past.append(delivery)
            if self._config.webhook_url is None:
                delivery.state = "no webhook address"
            elif self.switches.webhooks == "off":
                delivery.state = "lost"
            else:
                self._queue.append(delivery)
                self._changed.notify_all()
            return delivery

    def find(self, id_: int) -> Delivery | None:
        """Return one of the last deliveries."""
        with self._changed:
            return next((d for d in self._past if d.id == id_), None)

    def last(self, most: int = KEPT) -> list[Json]:
        """Return the last deliveries, newest first."""
        with self._changed:
            return [delivery.shown() for delivery in islice(reversed(self._past), most)]

    def idle(self) -> bool:
        """Tell whether everything queued has been delivered."""
        with self._changed:
            return not self._queue

    def clear(self) -> None:
        """Nothing is queued, and no delivery is remembered."""
        with self._changed:
            self._queue.clear()
            self._past.clear()
            self._changed.notify_all()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _run(self) -> None:
        # The environment's proxies must not see, or reroute, what is meant for this machine.
        with httpx.Client(timeout=TIME_OUT, trust_env=False) as client:
            while delivery := self._next():
                self._attempt(client, delivery)

    def _next(self) -> Delivery | None:
        """Wait for the head of the queue to be due; None when the sender stops."""
        with self._changed:
            while not self._stopping:
                if not self._queue:
                    self._changed.wait()
                    continue
                due = self._queue[0].next_attempt
                wait = (due - self._clock.now()).total_seconds() if due else 0
                if wait <= 0:
                    return self._queue[0]
                self._changed.wait(wait)
        return None

    def _attempt(self, client: httpx.Client, delivery: Delivery) -> None:
        signed = headers(self._config.verifier_token, delivery.body, self._clock.now())
        began = time.perf_counter()
        try:
            answer = client.post(
                str(self._config.webhook_url), content=delivery.body, headers=signed
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
            with contextlib.suppress(ValueError):
                self._queue.remove(delivery)
            return
        ladder = self.switches.retry_seconds
        gap = ladder[min(delivery.attempts, len(ladder)) - 1]
        delivery.state = "failing"
        delivery.next_attempt = self._clock.now() + timedelta(seconds=gap)

"""The receiver's heartbeat; it also stores the counts of answers, which cost no write each."""

import threading
from collections.abc import Mapping
from datetime import datetime

import structlog

from service.coordination import heartbeats
from service.coordination.presence import Presence
from service.database.engine import Database
from service.domain import ProcessKind
from service.kit.clock import now
from service.kit.metrics import AnswerCounter

log = structlog.get_logger(__name__)


class HeartbeatThread:
    """Stores every ten seconds that this receiver is alive."""

    def __init__(
        self,
        database: Database,
        environment: str,
        answers: AnswerCounter,
        presence: Presence | None = None,
        *,
        seconds: float = heartbeats.BEAT_SECONDS,
    ) -> None:
        self._database = database
        self._environment = environment
        self._answers = answers
        self._presence = presence or Presence(accepts_webhooks=True)
        self._seconds = seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Beat once more, so that no count is lost, and end."""
        self._stopping.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        stopping = False
        while not stopping:
            self._beat()
            stopping = self._stopping.wait(self._seconds)
        self._beat()

    def _beat(self) -> None:
        counts = self._answers.take()
        try:
            self._store(counts)
        except Exception as e:
            self._answers.give_back(counts)
            log.warning("heartbeat.failed", error=type(e).__name__)

    def _store(self, counts: Mapping[tuple[datetime, str], int]) -> None:
        """Store heartbeat and counts; after a long silence make every company due to reconcile."""
        with self._database.write() as session:
            gap = heartbeats.beat(session, "receiver")
            self._presence.report(session, ProcessKind.RECEIVER)
            heartbeats.add_answers(session, counts)
            if gap is None or gap <= heartbeats.LONGEST_GAP_SECONDS:
                return
            companies = heartbeats.reconcile_soon(session, self._environment, now())
        log.warning("downtime.ended", seconds=round(gap), companies=companies)

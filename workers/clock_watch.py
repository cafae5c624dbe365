"""Follows the database's clock, and notes when it was set, or when this machine's is wrong."""

import socket
import threading
import time

import structlog
from sqlalchemy import func, select

from service.coordination import clocks
from service.database.engine import Database
from service.database.tables import Heartbeat
from service.kit import clock

log = structlog.get_logger(__name__)

_EVERY_SECONDS = 5.0
# So often at most is it noted that this machine's clock is wrong.
_NOTED_EVERY_SECONDS = 60.0


class ClockWatch:
    """Looks at the database's clock from a thread of its own, for as long as a process works."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ahead: float | None = None
        self._noted_at = -_NOTED_EVERY_SECONDS
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clock-watch", daemon=True)

    def start(self) -> None:
        """Start to check, at once."""
        self._thread.start()

    def stop(self, seconds: float = 5.0) -> None:
        """End, within so many seconds, and leave the process to its own clock."""
        self._stopping.set()
        self._thread.join(seconds)
        clock.follow(None)

    def _run(self) -> None:
        while True:
            try:
                self.check()
            except Exception as e:
                # The database is away: the seconds are counted on, and the next check is soon.
                log.warning("clock_watch.failed", error=type(e).__name__)
            if self._stopping.wait(_EVERY_SECONDS):
                return

    def check(self) -> None:
        """Follow the database's clock; note a step since the last time, and a clock that is off."""
        with self._database.read() as session:
            ahead = clocks.ahead_of_monotonic(session)
            last_beat = session.execute(select(func.max(Heartbeat.at))).scalar_one()
        if ahead is None:
            return
        clock.follow(ahead)
        present = time.monotonic() + ahead
        # In between it may have been set back behind what it had said.
        missed = min(0.0, present - (last_beat or 0.0))
        step = missed if self._ahead is None else ahead - self._ahead
        self._ahead = ahead
        if abs(step) > clocks.STEP_SECONDS:
            self._note(clocks.DATABASE, step)
        off = time.time() - present
        noted_lately = time.monotonic() - self._noted_at < _NOTED_EVERY_SECONDS
        if abs(off) > clocks.STEP_SECONDS and not noted_lately:
            self._noted_at = time.monotonic()
            self._note(socket.gethostname()[:64], off)

    def _note(self, name: str, seconds: float) -> None:
        with self._database.write() as session:
            clocks.note(session, name, seconds)
        log.warning("clock.wrong", clock=name, seconds=round(seconds))

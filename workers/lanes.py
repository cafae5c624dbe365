"""Room for every company in one process, however slowly others are answered.

A company's turn is waited for only so long: then it goes on by itself, and the worker's thread is
free for the next. A company whose last turn was so long has its next one only while few such turns
go on. What is turned away loses nothing: the requeue job asks again.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from dramatiq.middleware import TimeLimitExceeded
from dramatiq.threading import raise_thread_exception

log = structlog.get_logger(__name__)

PATIENCE_SECONDS = 2.0
_TIME_LIMIT_SECONDS = 600.0
# So many turns may go on by themselves when many companies get slow at once: each has a connection
# to QuickBooks, of which there are 64.
_MOST_LONG = 32


@dataclass(eq=False)
class _Turn:
    company: str
    work: Callable[[], None]
    began: float = field(default_factory=time.monotonic)
    ended: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    handed_off: bool = False
    error: BaseException | None = None


class Lanes:
    """Takes turns of companies, at most half as many slow ones at a time as there are threads.

    Which were slow is known to this process alone: what blocks its threads is for it to avoid, and
    what it forgets, it learns again by one turn.
    """

    def __init__(self, threads: int, *, patience: float = PATIENCE_SECONDS) -> None:
        self._most_slow = max(1, threads // 2)
        self._patience = patience
        self._lock = threading.Lock()
        self._slow: set[str] = set()
        self._long: set[_Turn] = set()

    def take(self, company: str, work: Callable[[], None]) -> None:
        """Do the work, and return when it is done, or goes on by itself, or has no room now.

        Raises what the work raises, as long as it is waited for.
        """
        self._end_hung()
        turn = _Turn(company, work)
        with self._lock:
            if company in self._slow:
                if len(self._long) >= self._most_slow:
                    return
                self._long.add(turn)
        turn.thread = threading.Thread(target=self._run, args=(turn,), name="turn", daemon=True)
        turn.thread.start()
        if not turn.ended.wait(self._patience) and not self._hand_off(turn):
            turn.ended.wait()
        if turn.error is not None and not turn.handed_off:
            raise turn.error

    def drain(self, seconds: float) -> None:
        """Wait for the turns that go on by themselves, for so long at most."""
        deadline = time.monotonic() + seconds
        with self._lock:
            turns = list(self._long)
        for turn in turns:
            turn.ended.wait(max(0.0, deadline - time.monotonic()))

    def _hand_off(self, turn: _Turn) -> bool:
        """Let the turn go on by itself; return False if it has ended, or too many do already."""
        with self._lock:
            if turn.ended.is_set() or len(self._long - {turn}) >= _MOST_LONG:
                return False
            turn.handed_off = True
            self._long.add(turn)
            return True

    def _run(self, turn: _Turn) -> None:
        try:
            turn.work()
        except BaseException as e:
            turn.error = e
        with self._lock:
            self._long.discard(turn)
            long = time.monotonic() - turn.began >= self._patience
            (self._slow.add if long else self._slow.discard)(turn.company)
            turn.ended.set()
        if turn.error is not None and turn.handed_off:
            # Nobody waits for it any more: its row is there, and the requeue job asks again.
            log.error("turn.failed", connection=turn.company, error=type(turn.error).__name__)

    def _end_hung(self) -> None:
        """End turns that hang, as Dramatiq ends what its own threads do."""
        with self._lock:
            hung = [t for t in self._long if time.monotonic() - t.began > _TIME_LIMIT_SECONDS]
        for turn in hung:
            if turn.thread is not None and turn.thread.ident is not None:
                raise_thread_exception(  # type: ignore[no-untyped-call]
                    turn.thread.ident, TimeLimitExceeded
                )

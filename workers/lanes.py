"""Room for every company in one process, however slowly others are answered.

Work of one kind has so many places. A company whose last turn was slow has its next one in places
of their own, so that the slow ones wait for each other alone. Who finds no place stands in line,
and holds no thread meanwhile.
"""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from dramatiq.middleware import TimeLimitExceeded
from dramatiq.threading import raise_thread_exception

log = structlog.get_logger(__name__)

_TIME_LIMIT_SECONDS = 600.0


@dataclass(eq=False)
class _Turn:
    company: str
    work: Callable[[], None]
    apart: bool  # in a place of the slow ones
    awaited: bool = False
    began: float = field(default_factory=time.monotonic)
    ended: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    error: BaseException | None = None


class Lanes:
    """Takes turns of companies: `places` at a time, and of slow ones `slow_places` besides.

    Slow is a company whose last turn took `patience` seconds; without slow places none is. A turn
    that gets slow keeps its place to its end, unless fewer than `handed_off` go on by themselves:
    then its place is free for the next. Everyone in line has a turn before anyone has two.

    Which were slow is known to this process alone: what blocks its threads is for it to avoid, and
    what it forgets, it learns again by one turn.
    """

    def __init__(
        self,
        places: int,
        *,
        slow_places: int = 0,
        patience: float = math.inf,
        handed_off: int = 0,
    ) -> None:
        self._places = places
        self._slow_places = slow_places
        self._patience = patience
        self._handed_off = handed_off
        self._lock = threading.Lock()
        self._slow: set[str] = set()
        self._turns: set[_Turn] = set()
        self._line: dict[str, Callable[[], None]] = {}
        self._closed = False

    def take(self, company: str, work: Callable[[], None]) -> None:
        """Do the work, and return when it is done, goes on by itself, or stands in line.

        Raises what the work raises, as long as it is waited for. A company stands in line once.
        """
        self._end_hung()
        with self._lock:
            if self._closed:
                return  # the requeue job of another process asks again
            if not self._has_place(company):
                self._line.setdefault(company, work)
                return
            turn = self._begin(company, work, awaited=company not in self._slow)
        if not turn.awaited:
            return
        patience = self._patience if self._handed_off else None
        if not turn.ended.wait(patience) and not self._let_go(turn):
            turn.ended.wait()
        if turn.error is not None and turn.awaited:
            raise turn.error

    def close(self) -> None:
        """Begin no more turns, and forget who stands in line: the requeue job asks again."""
        with self._lock:
            self._closed = True
            self._line.clear()

    def drain(self, seconds: float) -> None:
        """Wait for the turns that have begun, for so long at most."""
        deadline = time.monotonic() + seconds
        with self._lock:
            turns = list(self._turns)
        for turn in turns:
            turn.ended.wait(max(0.0, deadline - time.monotonic()))

    def _has_place(self, company: str) -> bool:
        apart = [turn for turn in self._turns if turn.apart]
        if company in self._slow:
            alone = all(turn.company != company for turn in apart)
            return alone and len(apart) < self._slow_places
        return len(self._turns) - len(apart) < self._places

    def _begin(self, company: str, work: Callable[[], None], *, awaited: bool) -> _Turn:
        turn = _Turn(company, work, apart=company in self._slow, awaited=awaited)
        self._turns.add(turn)
        turn.thread = threading.Thread(target=self._run, args=(turn,), name="turn", daemon=True)
        turn.thread.start()
        return turn

    def _let_next_begin(self) -> None:
        """Begin the turns of those in line for whom there is a place now, the longest there first.

        A place is filled from the line once it is free, so nobody overtakes those who stand there.
        """
        for company in list(self._line):
            if self._has_place(company):
                self._begin(company, self._line.pop(company), awaited=False)

    def _let_go(self, turn: _Turn) -> bool:
        """Let the turn go on by itself; return False if it has ended, or too many do already."""
        with self._lock:
            apart = sum(other.apart for other in self._turns)
            if turn.ended.is_set() or apart >= self._handed_off:
                return False
            turn.apart, turn.awaited = True, False
            self._let_next_begin()
            return True

    def _run(self, turn: _Turn) -> None:
        try:
            turn.work()
        except BaseException as e:
            turn.error = e
        with self._lock:
            self._turns.discard(turn)
            is_slow = self._slow_places and time.monotonic() - turn.began >= self._patience
            (self._slow.add if is_slow else self._slow.discard)(turn.company)
            turn.ended.set()
            self._let_next_begin()
        if turn.error is not None and not turn.awaited:
            # Nobody waits for it any more: its row is there, and the requeue job asks again.
            log.error("turn.failed", connection=turn.company, error=type(turn.error).__name__)

    def _end_hung(self) -> None:
        """End turns that hang, as Dramatiq ends what its own threads do."""
        with self._lock:
            hung = [t for t in self._turns if time.monotonic() - t.began > _TIME_LIMIT_SECONDS]
        for turn in hung:
            if turn.thread is not None and turn.thread.ident is not None:
                raise_thread_exception(  # type: ignore[no-untyped-call]
                    turn.thread.ident, TimeLimitExceeded
                )

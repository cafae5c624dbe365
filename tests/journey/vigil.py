"""Somebody who looks all the time whether anything waits for a person in silence."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Set
from types import TracebackType

from sqlalchemy.exc import DBAPIError

Key = tuple[str, str]  # the cause by which it has to be told, and the company

_EVERY_SECONDS = 1.0


class NoAnswer(Exception):
    """Nobody can say what is told, because the database lets nobody in."""


class Vigil:
    """Notes, during a block, for how long each thing waited that no condition told of.

    While nobody can be asked, a silence goes on.
    """

    def __init__(
        self,
        waiting: Callable[[], Set[Key]],
        told: Callable[[], Set[Key]],
        is_told: Callable[[Key, Set[Key]], bool],
        *,
        every: float = _EVERY_SECONDS,
    ) -> None:
        self._waiting = waiting
        self._told = told
        self._is_told = is_told
        self._every = every
        self._since: dict[Key, float] = {}
        self._error: Exception | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vigil", daemon=True)
        self.silences: dict[Key, float] = {}  # the longest of each, in seconds
        self.looks = 0
        self.causes: Counter[str] = Counter()  # how many looks met each condition

    def longer_than(self, seconds: float) -> dict[Key, float]:
        """Return what was silent for longer, and for how long."""
        return {key: lasted for key, lasted in self.silences.items() if lasted > seconds}

    def __enter__(self) -> "Vigil":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def _run(self) -> None:
        while not self._stopping.wait(self._every):
            try:
                self._look()
            except (NoAnswer, DBAPIError):
                self._count(set(self._since), time.monotonic())
            except Exception as e:
                self._error = e
                return

    def _look(self) -> None:
        at = time.monotonic()
        before, told = self._waiting(), self._told()
        lasting = before & self._waiting()
        self.looks += 1
        self.causes.update({cause for cause, _ in told})
        self._count({key for key in lasting if not self._is_told(key, told)}, at)

    def _count(self, silent: Set[Key], at: float) -> None:
        self._since = {key: self._since.get(key, at) for key in silent}
        for key, since in self._since.items():
            lasted = time.monotonic() - since
            self.silences[key] = max(lasted, self.silences.get(key, 0.0))

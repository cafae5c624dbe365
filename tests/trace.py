"""How much of our code one piece of work runs through: functions, files, frames on top of another.

Somebody who follows that work has to read as many. Only `service/` and `workers/` count, without
the simulator; comprehensions are part of the function around them.

    with tracing() as trace:  # before the application starts its threads
        with started() as application:
            with trace.counting():
                application.do_something()
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

from tests.layout import ROOT

_OURS = (f"{ROOT}/service/", f"{ROOT}/workers/")
_NOT_OURS = f"{ROOT}/service/simulator/"
# The threads of periodic work: what they do belongs to no notice.
_APART = ("heartbeat", "leases", "clock")


@dataclass
class Trace:
    """What has run: functions as (file, name), and the deepest stack of them, its bottom first."""

    functions: set[tuple[str, str]] = field(default_factory=set)
    deepest: list[tuple[str, str]] = field(default_factory=list)
    _on: bool = False

    @property
    def files(self) -> set[str]:
        """The files of the functions, from the project's root."""
        return {file for file, _ in self.functions}

    def __str__(self) -> str:
        counts = f"{len(self.functions)} functions in {len(self.files)} files"
        stack = [f"  {file}:{name}" for file, name in self.deepest]
        return "\n".join([f"{counts}, {len(stack)} frames deep:", *stack])

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count what runs during the block, in every thread but those of periodic work."""
        self._on = True
        try:
            yield
        finally:
            self._on = False

    def forget(self) -> None:
        """Start again from nothing."""
        self.functions, self.deepest = set(), []

    def profile(self, frame: FrameType, event: str, arg: Any) -> None:
        """Take note of a call; for `sys.setprofile`."""
        if not (self._on and event == "call" and _is_ours(frame.f_code)):
            return
        if threading.current_thread().name.startswith(_APART):
            return
        stack = list(_ours_below(frame))
        self.functions.add(stack[0])
        if len(stack) > len(self.deepest):
            self.deepest = stack[::-1]


@contextmanager
def tracing() -> Iterator[Trace]:
    """Give a trace that sees this thread and those that start inside the block."""
    trace = Trace()
    threading.setprofile(trace.profile)
    sys.setprofile(trace.profile)
    try:
        yield trace
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def _is_ours(code: CodeType) -> bool:
    named = not code.co_name.startswith("<") or code.co_name == "<lambda>"
    file = code.co_filename
    return named and file.startswith(_OURS) and not file.startswith(_NOT_OURS)


def _ours_below(frame: FrameType | None) -> Iterator[tuple[str, str]]:
    """Give our functions on the stack, the newest first."""
    while frame is not None:
        code = frame.f_code
        if _is_ours(code):
            yield code.co_filename.removeprefix(f"{ROOT}/"), code.co_qualname
        frame = frame.f_back

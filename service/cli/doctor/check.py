"""Runs the checks of `doctor` side by side, within a time limit."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from service.config.settings import Settings

Verdict = Literal["ok", "warn", "fail"]
Check = Callable[[Settings], Iterator["CheckResult"]]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What was seen, and what to do about it; neither ever contains a secret."""

    check: str
    verdict: Verdict
    seen: str
    advice: str = ""


def ok(check: str, seen: str) -> CheckResult:
    return CheckResult(check, "ok", seen)


def warn(check: str, seen: str, advice: str = "") -> CheckResult:
    return CheckResult(check, "warn", seen, advice)


def bad(check: str, seen: str, advice: str) -> CheckResult:
    return CheckResult(check, "fail", seen, advice)


def examine(
    settings: Settings, checks: Sequence[tuple[str, Check]], seconds: float
) -> Iterator[CheckResult]:
    """Yield all results in order; a check that is late has failed, and its thread is abandoned."""
    deadline = time.monotonic() + seconds
    running = [(name, _begin(name, check, settings)) for name, check in checks]
    for name, findings in running:
        try:
            while finding := findings.get(timeout=max(0.0, deadline - time.monotonic())):
                yield finding
        except queue.Empty:
            late = f"no answer within {seconds:g} s"
            yield bad(name, late, "something accepts connections there and keeps silent: see to it")


def _begin(name: str, check: Check, settings: Settings) -> "queue.Queue[CheckResult | None]":
    findings: queue.Queue[CheckResult | None] = queue.Queue()

    def run() -> None:
        try:
            for finding in check(settings):
                findings.put(finding)
        except Exception as e:
            # The message may quote an address; expected errors are handled in the checks.
            advice = "this is a mistake of this program, or a way to fail that it does not know"
            findings.put(bad(name, f"the check broke ({type(e).__name__})", advice))
        findings.put(None)

    threading.Thread(target=run, name=f"doctor-{name}", daemon=True).start()
    return findings

"""What became of the invoices of a batch, and the count that a run shows."""

from dataclasses import dataclass, field
from typing import Any

from service.errors import SyncError
from service.infactor.document import Action
from service.infactor.holds import Hold

_MOST_FAILURES_KEPT = 200

_COUNTED_AS = {
    Action.CREATE: "created",
    Action.REFRESH: "refreshed",
    Action.RESTORE: "restored",
    Action.WITHDRAW: "withdrawn",
    Action.UNCHANGED: "unchanged",
    Action.FROZEN: "unchanged",
    Action.HOLD: "held",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one invoice's read led to in Infactor."""

    action: Action
    hold: Hold | None = None

    def __str__(self) -> str:
        if self.action is Action.FROZEN:
            return "recorded alone: it was decided about in Infactor"
        word = _COUNTED_AS[self.action]
        return f"{word}: {self.hold}" if self.hold else word


@dataclass
class Recorded:
    """The outcomes of a batch, and what could not be recorded, by QuickBooks id."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    failed: dict[str, SyncError] = field(default_factory=dict)
    remapped: int = 0


def add(tally: dict[str, Any], recorded: Recorded) -> dict[str, Any]:
    """Return the run's tally with this batch counted in.

    Each invoice counts once: as failed, as held for its reason, or as what was done to it.
    """
    total = {**tally, "held": dict(tally["held"]), "failures": list(tally["failures"])}
    total["read"] += len(recorded.outcomes) + len(recorded.failed)
    for outcome in recorded.outcomes.values():
        if outcome.action is Action.WITHDRAW:
            total["withdrawn"] += 1
        elif outcome.hold is not None and outcome.action is not Action.FROZEN:
            total["held"][outcome.hold] = total["held"].get(outcome.hold, 0) + 1
        elif outcome.action is Action.HOLD:  # gone before it was ever read
            total["unchanged"] += 1
        else:
            total[_COUNTED_AS[outcome.action]] += 1
    for quickbooks_id, error in recorded.failed.items():
        total["failed"] += 1
        if len(total["failures"]) < _MOST_FAILURES_KEPT:
            failure = {"id": quickbooks_id, "error": type(error).__name__, "message": str(error)}
            total["failures"].append(failure)
    return total

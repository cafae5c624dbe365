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


@dataclass(frozen=True, slots=True)
class Written:
    """A revision that was written of one invoice, by Infactor's id, and what that did there."""

    invoice_id: str
    revision: int
    action: Action


@dataclass
class Recorded:
    """The outcomes of a batch, and what could not be recorded, by QuickBooks id.

    `changed` are those of which the record says something else than before; `written` has what was
    written of them, and of those that were mapped anew.
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    failed: dict[str, SyncError] = field(default_factory=dict)
    unnamed: dict[str, SyncError] = field(default_factory=dict)  # by place: see InvoiceReads
    changed: set[str] = field(default_factory=set)
    written: dict[str, Written] = field(default_factory=dict)
    remapped: int = 0

    @property
    def withdrawn(self) -> list[str]:
        """Infactor's ids of what was withdrawn, also by mapping it anew."""
        return [w.invoice_id for w in self.written.values() if w.action is Action.WITHDRAW]


def add(tally: dict[str, Any], recorded: Recorded) -> dict[str, Any]:
    """Return the run's tally with this batch counted in.

    Each invoice counts once: as failed, as held for its reason, or as what was done to it. Those
    that were not read, but withdrawn by mapping them anew, count as withdrawn too.
    """
    total = {**tally, "held": dict(tally["held"]), "failures": list(tally["failures"])}
    failures = _failures(recorded, known={failure["id"] for failure in total["failures"]})
    total["read"] += len(recorded.outcomes) + len(failures)
    for outcome in recorded.outcomes.values():
        if outcome.action is Action.WITHDRAW:
            continue
        if outcome.hold is not None and outcome.action is not Action.FROZEN:
            total["held"][outcome.hold] = total["held"].get(outcome.hold, 0) + 1
        elif outcome.action is Action.HOLD:  # gone before it was ever read
            total["unchanged"] += 1
        else:
            total[_COUNTED_AS[outcome.action]] += 1
    total["withdrawn"] += len(recorded.withdrawn)
    total["failed"] += len(failures)
    total["failures"] = [*total["failures"], *failures][:_MOST_FAILURES_KEPT]
    return total


def _failures(recorded: Recorded, known: set[str]) -> list[dict[str, str]]:
    """Return what failed and is not among those that are known to have failed before."""
    return [
        {"id": name, "error": type(error).__name__, "message": str(error)}
        for name, error in {**recorded.failed, **recorded.unnamed}.items()
        if name not in known
    ]

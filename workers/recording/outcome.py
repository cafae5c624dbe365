"""The outcome of each invoice of a batch, and the tally that a run shows."""

from collections import Counter

import msgspec

from service.database.tables import Failure, Tally
from service.domain import Action, RuleCode
from service.errors import SyncError
from service.store import inbox
from workers.reading.reads import Place

_MOST_FAILURES_KEPT = 200


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one invoice.

    `action` is what its record led to in Infactor. `revision` is the one written, None if nothing
    changed. With an `error` nothing was recorded. An unreadable invoice whose Id is unknown has a
    `place` instead (see InvoiceReads.unnamed).
    """

    quickbooks_id: str = ""
    invoice_id: str = ""  # Infactor's
    place: Place | None = None
    action: Action = Action.UNCHANGED
    hold: RuleCode | None = None
    revision: int | None = None
    remapped: bool = False  # not read, but mapped again with a customer that has changed
    was_unproven: bool = False  # it was withdrawn, or may be, only because nothing proved it
    judged_unproven: bool = False  # it was judged without a read, and nothing proves it
    withheld: bool = False  # nothing was recorded: an operator has to approve its withdrawal
    error: SyncError | None = None

    @property
    def withdraws(self) -> bool:
        """True if it takes the invoice away from its buyer, for a reason that the record gives.

        That nothing proves the record is no such reason: it ends by itself. Where another one
        joins it, the invoice is withdrawn then.
        """
        if self.hold in (None, RuleCode.UNPROVEN):
            return False
        joined = self.was_unproven and self.action is Action.UNCHANGED
        return joined or (self.action is Action.WITHDRAW and not self.judged_unproven)

    def __str__(self) -> str:
        if self.withheld:
            return f"not withdrawn though {self.hold}: so many wait for an operator's confirmation"
        if self.action is Action.FROZEN:
            return inbox.kept("withdrawn" if self.hold else "refreshed")
        return f"{self.action.past}: {self.hold}" if self.hold else self.action.past


class Recorded(list[Outcome]):
    @property
    def read(self) -> list[Outcome]:
        return [one for one in self if one.error is None and not one.remapped]

    @property
    def remapped(self) -> list[Outcome]:
        return [one for one in self if one.remapped]

    @property
    def failed(self) -> dict[str, SyncError]:
        """Errors by QuickBooks Id."""
        return {one.quickbooks_id: one.error for one in self if one.error and not one.place}

    @property
    def unnamed(self) -> dict[Place, SyncError]:
        """Errors of invoices whose Id is unknown, by their place."""
        return {one.place: one.error for one in self if one.error and one.place}

    @property
    def answered(self) -> set[str]:
        """QuickBooks Ids of what was recorded or failed."""
        return {one.quickbooks_id for one in self.read} | self.failed.keys()

    @property
    def changed(self) -> set[str]:
        """QuickBooks Ids of what was read and differs from the record before."""
        return {one.quickbooks_id for one in self.read if one.revision is not None}

    @property
    def withheld(self) -> set[str]:
        """QuickBooks ids of what waits for an operator before it is withdrawn."""
        return {one.quickbooks_id for one in self if one.withheld}

    @property
    def withdrawn(self) -> dict[str, str]:
        """The hold of what was withdrawn, also by mapping it again, by Infactor's ids.

        See `Outcome.withdraws`.
        """
        return {one.invoice_id: str(one.hold) for one in self if one.withdraws}


def add(tally: Tally, recorded: Recorded) -> Tally:
    """Return the run's tally with this batch counted in.

    Each invoice counts once: as failed, as held, or by its action. Invoices that were only mapped
    again count if that withdrew them.
    """
    failures = _failures(recorded, known={failure["id"] for failure in tally["failures"]})
    counted = Counter(_counted_as(outcome) for outcome in recorded.read)
    held = Counter(str(one.hold) for one in recorded.read if _counted_as(one) == Action.HOLD.past)
    return {
        **tally,
        "read": tally["read"] + len(recorded.read) + len(failures),
        "created": tally["created"] + counted["created"],
        "refreshed": tally["refreshed"] + counted["refreshed"],
        "unchanged": tally["unchanged"] + counted["unchanged"],
        "withdrawn": tally["withdrawn"] + len(recorded.withdrawn),
        "restored": tally["restored"] + counted["restored"],
        "held": dict(Counter(tally["held"]) + held),
        "failed": tally["failed"] + len(failures),
        "failures": [*tally["failures"], *failures][:_MOST_FAILURES_KEPT],
    }


def _counted_as(outcome: Outcome) -> str:
    if outcome.action is Action.FROZEN:
        return Action.UNCHANGED.past
    if outcome.action is Action.WITHDRAW or outcome.withdraws:
        return Action.WITHDRAW.past
    if outcome.hold is not None:
        return Action.HOLD.past
    # HOLD without a reason: it was deleted before it was ever read.
    counts_as = Action.UNCHANGED if outcome.action is Action.HOLD else outcome.action
    return counts_as.past


def _failures(recorded: Recorded, known: set[str]) -> list[Failure]:
    """Return the failures that the run does not know yet."""
    by_place = {str(place): error for place, error in recorded.unnamed.items()}
    return [
        {"id": name, "error": type(error).__name__, "message": str(error)}
        for name, error in {**recorded.failed, **by_place}.items()
        if name not in known
    ]

"""What a run counts: each invoice once, whatever became of it."""

from typing import Any

import pytest

from service.domain import Action, RuleCode
from service.errors import Poisoned, Unmappable
from service.store.runs import EMPTY_TALLY
from workers.recording.outcome import Outcome, Recorded, add

PLACE = "the first invoice after Id 144 in the order of changes"


def an_outcome(action: Action, hold: RuleCode | None = None, **fields: Any) -> Outcome:
    return Outcome(quickbooks_id="1", invoice_id="qbk-1", action=action, hold=hold, **fields)


def changes(*outcomes: Outcome) -> dict[str, Any]:
    """Return what a tally says otherwise once these are counted in."""
    tally = add(EMPTY_TALLY, Recorded(outcomes))
    return {name: value for name, value in tally.items() if value != EMPTY_TALLY.get(name)}


@pytest.mark.parametrize(
    ("outcome", "counted"),
    [
        (an_outcome(Action.CREATE, revision=1), {"created": 1}),
        (an_outcome(Action.REFRESH, revision=2), {"refreshed": 1}),
        (an_outcome(Action.RESTORE, revision=2), {"restored": 1}),
        (an_outcome(Action.UNCHANGED), {"unchanged": 1}),
        (an_outcome(Action.WITHDRAW, RuleCode.VOID, revision=2), {"withdrawn": 1}),
        (an_outcome(Action.HOLD, RuleCode.PAID, revision=1), {"held": {"paid": 1}}),
        (an_outcome(Action.UNCHANGED, RuleCode.PAID), {"held": {"paid": 1}}),
        (an_outcome(Action.FROZEN, RuleCode.PAID, revision=2), {"unchanged": 1}),
        (an_outcome(Action.FROZEN, revision=2), {"unchanged": 1}),
        # Gone before it was ever read, where deleted invoices are not held.
        (an_outcome(Action.HOLD, revision=1), {"unchanged": 1}),
    ],
    ids=[
        *("created", "refreshed", "restored", "unchanged", "withdrawn", "held", "held as before"),
        *("held and decided", "decided", "gone unread"),
    ],
)
def test_each_invoice_that_was_read_counts_once(outcome: Outcome, counted: Any) -> None:
    assert changes(outcome) == {"read": 1, **counted}


def test_what_was_only_mapped_again_counts_where_it_was_withdrawn() -> None:
    again = an_outcome(Action.REFRESH, revision=2, remapped=True)
    withdrawn = an_outcome(Action.WITHDRAW, RuleCode.VOID, revision=2, remapped=True)
    assert changes(again, withdrawn) == {"withdrawn": 1}


def test_failures_are_counted_and_named_once_however_often_they_are_met() -> None:
    bad = Outcome(quickbooks_id="5", error=Unmappable("TotalAmt", "is not a number"))
    unseen = Outcome(place=PLACE, error=Poisoned("QuickBooks cannot show it", code="4002"))
    once = add(EMPTY_TALLY, Recorded([bad, unseen]))
    twice = add(once, Recorded([bad, unseen]))
    assert twice == once
    assert (once["read"], once["failed"]) == (2, 2)
    assert once["failures"] == [
        {"id": "5", "error": "Unmappable", "message": str(bad.error)},
        {"id": PLACE, "error": "Poisoned", "message": "QuickBooks cannot show it"},
    ]


def test_counting_leaves_the_tally_before_as_it_was() -> None:
    before = add(EMPTY_TALLY, Recorded([an_outcome(Action.HOLD, RuleCode.PAID, revision=1)]))
    after = add(before, Recorded([an_outcome(Action.UNCHANGED, RuleCode.PAID)]))
    assert (before["held"], after["held"]) == ({"paid": 1}, {"paid": 2})

"""An invoice as Infactor's own supplier dashboard words it."""

from datetime import date

from service.infactor.document import State
from service.infactor.source import calendar_date

_WORDING = {
    State.DRAFT: "Draft",
    State.INVOICE_CREATED: "Approval Awaited",
    State.INVOICE_REJECTED: "Rejected",
    State.INVOICE_ACCEPTED: "Approved",
    State.IFACTOR_REQUEST: "Factoring Requested",
    State.IFACTOR_REJECTED: "Rejected",
    State.IFACTOR_PROPOSED: "Proposal Received",
    State.IFACTOR_PROPOSAL_ACCEPTED: "Proposal Accepted",
    State.IFACTOR_PROPOSAL_REJECTED: "Proposal Rejected",
    State.IFACTOR_PREPAID: "In Progress",
    State.INVOICE_PAID: "In Progress",
    State.COMPLETED: "Completed",
}


def states_by_word() -> dict[str, tuple[str, ...]]:
    """Return Infactor's words in the order of an invoice's life, with the states that each says."""
    found: dict[str, tuple[str, ...]] = {}
    for state, word in _WORDING.items():
        found[word] = (*found.get(word, ()), state.value)
    return found


def status(state: str) -> str:
    """Return Infactor's word for a state, or "-" for one that it does not know."""
    return _WORDING[State(state)] if state in list(State) else "-"


def days_to_payout(payable_date: str, today: date) -> int:
    """Return the days left until the document's `payableDate`, in years of 360 days.

    `today` is the day in UTC, in which Infactor's page reads `payableDate`. Past and missing
    dates give 0, and so does text that is no date.
    """
    due = calendar_date(payable_date)
    days = (due - today).days if due else 0
    # Rounded to the nearest in whole numbers; 72/73 of a day never ends in a half.
    return max(0, (2 * days * 72 + 73) // 146)

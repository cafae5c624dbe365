"""What a notice is about and what became of it, in words for operators' pages and commands."""

from service.store.tables import Notice

OWN = {
    "sync": "What changed, asked for by an operator",
    "resumed": "What changed while it was paused",
    "renewed": "What changed until it was connected again",
    "unrecorded": "Invoice {}, which could not be recorded",
    "unreadable": "What QuickBooks cannot show",
}
_TO_BE_SAVED = (
    "Whoever keeps the books has to open and save it in QuickBooks, and then this can be put back;"
    " or Intuit's support is asked, with this intuit_tid."
)


def what(notice: Notice, called: str | None = None) -> str:
    """Return what the notice is about: in QuickBooks' own words, or what we ask ourselves.

    An invoice is named as people have `called` it, where that is known.
    """
    about = called or notice.entity_id
    if notice.format == "own" and notice.operation in OWN:
        return OWN[notice.operation].format(about)
    parts = (notice.entity, about, notice.operation)
    return " ".join(part for part in parts if part) or "could not be read"


def why(notice: Notice) -> str | None:
    """Return how the notice has ended, or why it has not; None where nothing is known of that."""
    if notice.status == "done" or not notice.error_message:
        return notice.reason
    if notice.status == "parked" and notice.format == "own" and notice.operation == "unreadable":
        return f"{notice.reason}: {notice.error_message}. {_TO_BE_SAVED}"
    given_up = f" ({notice.reason})" if notice.reason and notice.status == "parked" else ""
    return f"{notice.error_message}{given_up}"

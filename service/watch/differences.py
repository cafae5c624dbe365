"""What a reconcile has left as it was, in words: by name for operators, and without for messages.

An invoice's number is whatever a supplier has typed, so it may be a person's name.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from service.watch.condition import several

UNREADABLE = "unreadable"
ADVICE = (
    "What QuickBooks cannot show, whoever keeps the books has to open and save there; or Intuit's"
    " support is asked, with the intuit_tid of the parked notice"
)
_MOST_NAMED = 10


def called(quickbooks_id: str, number: str) -> str:
    """Return what people call an invoice, and its Id."""
    return f"{number} (Id {quickbooks_id})" if number else f"Id {quickbooks_id}"


def by_name(tally: Mapping[str, Any]) -> str | None:
    """Say what was left, with the first names of each kind; None where nothing was."""
    return "; ".join(_texts(tally, names=True)) or None


def gist(tally: Mapping[str, Any]) -> str | None:
    """Say what was left without naming an invoice, so that it may be sent."""
    return "; ".join(_texts(tally, names=False)) or None


def advice(tally: Mapping[str, Any]) -> str | None:
    """Say what people can do about what no reconcile can mend; None where there is nothing."""
    return ADVICE if _unreadable(tally) else None


def is_beyond_mending(tally: Mapping[str, Any]) -> bool:
    """Return whether all that was left is what QuickBooks cannot show."""
    return bool(_unreadable(tally)) and not _differing(tally) and not tally.get("infactor")


def _texts(tally: Mapping[str, Any], *, names: bool) -> Iterator[str]:
    infactor = tally.get("infactor", [])
    differing, documents = _differing(tally), [one for one in infactor if one["id"]]
    if unreadable := _unreadable(tally):
        text = f"QuickBooks cannot show {several(len(unreadable), 'invoice', 'invoices')}"
        yield text + (_named([_name(one) for one in unreadable]) if names else "")
    if differing:
        text = several(len(differing), "invoice differs", "invoices differ") + " from QuickBooks"
        yield text + (_named([_with_kind(one) for one in differing]) if names else "")
    if documents:
        text = several(len(documents), "document differs", "documents differ") + " in Infactor"
        yield text + (_named([_with_kind(one) for one in documents]) if names else "")
    for one in infactor:
        if not one["id"]:
            yield f"Infactor's documents could not be compared: {one['there']}"


def _unreadable(tally: Mapping[str, Any]) -> list[dict[str, str]]:
    return [one for one in tally.get("differences", []) if one["kind"] == UNREADABLE]


def _differing(tally: Mapping[str, Any]) -> list[dict[str, str]]:
    return [one for one in tally.get("differences", []) if one["kind"] != UNREADABLE]


def _named(names: list[str]) -> str:
    more = ", …" if len(names) > _MOST_NAMED else ""
    return f": {', '.join(names[:_MOST_NAMED])}{more}"


def _name(one: dict[str, str]) -> str:
    """Return what an invoice is called; its place, where that is all that is known of it."""
    return called(one["id"], one["number"]) if one["id"].isdigit() else one["id"]


def _with_kind(one: dict[str, str]) -> str:
    if one["number"]:
        return f"{one['number']} (Id {one['id']}, {one['kind']})"
    return f"Id {one['id']} ({one['kind']})"

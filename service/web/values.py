"""The values of an invoice's fields as people read them, where something about it was found."""

from decimal import Decimal, InvalidOperation
from typing import Any

from service.infactor.dashboard import status
from service.infactor.document import State
from service.infactor.labels import AMOUNTS, DATES, WORDS
from service.store.findings import CHANGED
from service.store.tables import Finding, Invoice
from service.web.pages import day, money


def of_finding(
    finding: Finding, invoice: Invoice, approved_currency: str | None, currency: str
) -> tuple[str, str]:
    """Return what was approved and what is now; whatever names no currency is in `currency`."""
    before = approved_currency or currency
    # Whatever was found in Infactor's document alone is in the document's currency.
    now = (invoice.currency or currency) if finding.kind == CHANGED else before
    return (
        written(finding.field, finding.approved, before),
        written(finding.field, finding.current, now),
    )


def written(field: str, value: Any, currency: str | None = None) -> str:
    """Return a value for people; what somebody else has put in its place stays as it is."""
    if value in ("", None):
        return "-"
    text = str(value)
    if field in AMOUNTS:
        try:
            return money(Decimal(text), currency)
        except InvalidOperation:
            return text
    if field in DATES:
        return day(text)
    if field in WORDS:
        return status(text) if text in list(State) else text.replace("_", " ")
    return text

"""Matches the rows of Infactor's old QuickBooks import with recorded invoices.

The old import knew no realm, gave each row a random `invoiceId`, and wrote another copy at each
run. Sometimes it wrote another company's invoices under this supplier's e-mail address. QuickBooks'
Ids are small numbers that every company has, so an Id alone proves nothing.

A row is adopted by an invoice if Id, DocNumber, buyer (an e-mail address or the name) and amount
agree. An amount of 0 proves nothing: every void has it. Buyer or amount is enough if somebody has
decided about the row, and for a copy of an invoice that has a row or document already: the old
import never updated a row. If neither has a DocNumber, buyer and amount must agree in any case. If
a row fits invoices of several of the supplier's companies, the one with the most agreements gets
it; with a tie, none.

Of several copies of an invoice, the one furthest in Infactor's workflow is adopted; then one that
can still go on before a rejected one; then the oldest. A row in `draft` or an unknown state is
never adopted.

All other rows are listed each time, and never changed:

- A row that nobody can explain holds its Id: what we create under that Id could be an invoice that
  is offered there already. It holds no invoice that was delivered before the row turned up, or
  has a document of our own all the same, whatever other invoice of that Id it holds.
- A row that was adopted before by an invoice which was forgotten since, or lost with a restored
  backup, is matched like any other, so that its invoice is not offered twice when it comes back.
  It holds nothing once it has ended.
- A copy holds nothing: its invoice is in Infactor already, as the adopted row or our own document.
  But while a copy can be approved or paid, a lender may pay twice for one invoice. Only Infactor's
  staff can end that, so it is reported for as long as the copy exists.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from service.domain import State
from service.infactor.buyers import same_name
from service.infactor.money import round_to_minor_unit
from service.infactor.old_import.values import (
    amount,
    id_of,
    mails,
    row_id,
    same_number,
    text,
    was_adopted,
)

Row = Mapping[str, Any]
"""A row as the database has it: any field may be missing, or of any type."""

_DISTANCE = {
    State.INVOICE_CREATED: 1,
    State.INVOICE_REJECTED: 1,
    State.INVOICE_ACCEPTED: 2,
    State.IFACTOR_REQUEST: 3,
    State.IFACTOR_REJECTED: 3,
    State.IFACTOR_PROPOSED: 4,
    State.IFACTOR_PROPOSAL_REJECTED: 4,
    State.IFACTOR_PROPOSAL_ACCEPTED: 5,
    State.IFACTOR_PREPAID: 6,
    State.INVOICE_PAID: 7,
    State.COMPLETED: 8,
}
"""How far a row came; a rejection is as far as what was rejected."""

_NOT_ENOUGH = "neither buyer nor amount agree, or not enough of them"
_ENDED = (
    State.INVOICE_REJECTED,
    State.IFACTOR_REJECTED,
    State.IFACTOR_PROPOSAL_REJECTED,
    State.COMPLETED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedInvoice:
    """What is recorded of one invoice.

    `adopted` is its row, as 24 hexadecimal digits, and `document_id` the invoiceId of that; "" for
    our own. `own_document`: we have a document in Infactor. `delivered`: its document, of either
    kind, was delivered once. `deliverable`: one may be created right now, so a row found now can
    only be held, not adopted.
    """

    invoice_id: str
    quickbooks_id: str
    doc_number: str
    buyer_emails: tuple[str, ...] = ()
    buyer_name: str = ""
    total: Decimal | None = None
    currency: str = "USD"
    document_id: str = ""
    adopted: str | None = None
    own_document: bool = False
    delivered: bool = False
    deliverable: bool = False


@dataclass(frozen=True, slots=True)
class OldRows:
    """`adopted` by our invoice id, `unexplained` with the reasons, `held` QuickBooks Ids.

    `copies`, by our invoice id, are the unexplained rows of an invoice that has another document,
    and that can still be financed: a lender may pay for both. `kept` are the invoices of `adopted`
    that had their row before.
    """

    adopted: dict[str, Row] = field(default_factory=dict)
    copies: dict[str, list[Row]] = field(default_factory=dict)
    unexplained: list[tuple[Row, str]] = field(default_factory=list)
    held: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()


def match(recorded: Iterable[RecordedInvoice], rows: Sequence[Row]) -> OldRows:
    """Return which row belongs to which invoice, which are listed and why, and which Ids are held.

    `recorded` are the supplier's invoices that have an Id of a row, or have adopted a row.
    """
    matching = _Matching(recorded)
    matching.take(rows)
    return OldRows(
        matching.adopted,
        matching.copies,
        matching.unexplained,
        frozenset(matching.held),
        frozenset(matching.kept),
    )


def is_copy(invoice: RecordedInvoice, row: Row) -> bool:
    """Return whether the row with the invoice's Id is the invoice's, and not another company's."""
    return same_number(invoice.doc_number, row) and bool(_agreement(invoice, row))


def can_go_on(row: Row) -> bool:
    """Return whether it may still be approved, financed or paid.

    Infactor shows a row in an unknown state to every financier.
    """
    return row.get("state") not in _ENDED


class _Matching:
    def __init__(self, recorded: Iterable[RecordedInvoice]) -> None:
        self.adopted: dict[str, Row] = {}
        self.copies: dict[str, list[Row]] = {}
        self.unexplained: list[tuple[Row, str]] = []
        self.held: set[str] = set()
        self.kept: set[str] = set()
        self._by_id: dict[str, list[RecordedInvoice]] = defaultdict(list)
        self._owners: dict[str, RecordedInvoice] = {}
        for one in recorded:
            self._by_id[one.quickbooks_id].append(one)
            if one.adopted:
                self._owners[one.adopted] = one

    def take(self, rows: Sequence[Row]) -> None:
        copies: dict[str, tuple[RecordedInvoice, list[Row]]] = {}
        for row in rows:
            owner = self._owners.get(row_id(row) or "")
            if owner is not None:
                self.adopted[owner.invoice_id] = row
                self.kept.add(owner.invoice_id)
                continue
            found = self._invoice_of(row)
            if isinstance(found, str):
                self._hold(row, found)
            else:
                copies.setdefault(found.invoice_id, (found, []))[1].append(row)
        for invoice, same in copies.values():
            self._settle(invoice, same)

    def _invoice_of(self, row: Row) -> RecordedInvoice | str:
        """Return the invoice that the row belongs to, or why that is unknown."""
        quickbooks_id = id_of(row)
        if quickbooks_id is None:
            return "its qbkInvoiceId is no Id of QuickBooks"
        candidates = self._by_id.get(quickbooks_id, [])
        if not candidates:
            return "no invoice with this Id is recorded"
        numbered = [one for one in candidates if same_number(one.doc_number, row)]
        if not numbered:
            return "another DocNumber than the invoice with this Id"
        grades = [(_agreement(one, row), one) for one in numbered]
        best = max(grade for grade, _ in grades)
        if not best:
            return _NOT_ENOUGH
        (one, *others) = (one for grade, one in grades if grade == best)
        return "fits invoices of several companies" if others else one

    def _settle(self, invoice: RecordedInvoice, copies: list[Row]) -> None:
        """Adopt the best row of one invoice, if any may be, and list the others."""
        if invoice.adopted or invoice.own_document:
            self._list_copies(invoice, copies)
            return
        able = [row for row in copies if _may_be_adopted(invoice, row)]
        if not able or invoice.deliverable:
            for row in copies:
                self._hold(row, _why_not(invoice, row))
            return
        best = min(able, key=_order)
        self.adopted[invoice.invoice_id] = best
        self._list_copies(invoice, [row for row in copies if row is not best])

    def _list_copies(self, invoice: RecordedInvoice, copies: Iterable[Row]) -> None:
        adopted = self.adopted.get(invoice.invoice_id)
        # As it is called in Infactor, also on the day on which it is adopted.
        original = "" if adopted is None else text(adopted.get("invoiceId")) or row_id(adopted)
        original = original or invoice.document_id or invoice.invoice_id
        for row in copies:
            goes_on = can_go_on(row)
            if goes_on:
                self.copies.setdefault(invoice.invoice_id, []).append(row)
            end = "can still be financed" if goes_on else "has come to its end"
            self.unexplained.append((row, f"copy of {original}; {end}"))

    def _hold(self, row: Row, why: str) -> None:
        self.unexplained.append((row, why))
        quickbooks_id = id_of(row)
        if quickbooks_id is None or (was_adopted(row) and not can_go_on(row)):
            return
        candidates = self._by_id.get(quickbooks_id, [])
        # Where each has its document already, a delivery offers nothing anew, and may withdraw.
        if not candidates or not all(one.delivered or one.own_document for one in candidates):
            self.held.add(quickbooks_id)


def _agreement(invoice: RecordedInvoice, row: Row) -> int:
    """Return in how many ways buyer and amount agree; 0 if that proves nothing."""
    ways = _ways(invoice, row)
    if not invoice.doc_number.strip() and not _is_proof(ways):
        return 0
    return sum(ways)


def _ways(invoice: RecordedInvoice, row: Row) -> tuple[bool, bool, bool]:
    """Return whether the buyer's address agrees, their name, and the amount."""
    addresses = {mail.casefold() for mail in invoice.buyer_emails} & mails(row)
    names = (row.get("companyName"), row.get("contactName"))
    theirs = amount(row.get("invoiceAmount"))
    return (
        bool(addresses),
        any(same_name(invoice.buyer_name, name, same_customer=True) for name in names),
        bool(invoice.total)
        and theirs is not None
        and round_to_minor_unit(theirs, invoice.currency) == invoice.total,
    )


def _is_proof(ways: tuple[bool, bool, bool]) -> bool:
    address, name, same_amount = ways
    return same_amount and (address or name)


def _may_be_adopted(invoice: RecordedInvoice, row: Row) -> bool:
    return row_id(row) is not None and _distance(row) > 0 and _is_sure(invoice, row)


def _is_sure(invoice: RecordedInvoice, row: Row) -> bool:
    """Return whether the row agrees in enough to become the invoice's document."""
    return row.get("state") != State.INVOICE_CREATED or _is_proof(_ways(invoice, row))


def _why_not(invoice: RecordedInvoice, row: Row) -> str:
    if row_id(row) is None:
        return "its _id is none that the old import gives"
    if not _distance(row):
        return f"its state is {text(row.get('state')) or 'missing'}"
    if not _is_sure(invoice, row):
        return _NOT_ENOUGH
    return "came after the first check, and is adopted at the next one"


def _order(row: Row) -> tuple[int, bool, Decimal, str]:
    created = amount(row.get("created"))
    oldest = Decimal("Infinity") if created is None else created
    return -_distance(row), not can_go_on(row), oldest, row_id(row) or ""


def _distance(row: Row) -> int:
    state = row.get("state")
    return _DISTANCE.get(State(state), 0) if state in list(State) else 0

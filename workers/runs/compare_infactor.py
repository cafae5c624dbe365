"""The part of a full comparison that compares the record with Infactor's documents.

Leaves out invoices with a delivery due, and decided documents, which findings cover.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy.orm import Session

from service.database.tables import (
    DifferenceRow,
    Document,
    DocumentCursor,
    Invoice,
    ReconcileCursor,
    Run,
    Tally,
)
from service.domain import ENDED, DifferenceKind, State
from service.infactor.collection import REVISION, state_of
from service.infactor.deviations import text_of
from service.infactor.document_lifecycle import QUICKBOOKS_OWNED
from service.infactor.mongo import from_bson, to_bson
from service.infactor.old_import.matching import can_go_on, is_copy
from service.infactor.old_import.values import text
from service.infactor.wording import status
from service.store import documents, infactor_outbox, old_rows, runs
from workers.company import CompanyContext
from workers.delivery.adoption import recorded_of
from workers.delivery.circuit import InfactorUnavailable, reaching_infactor
from workers.delivery.deliver import key_of, may_create
from workers.runs import unrecorded

_NOT_POLLED = frozenset({*ENDED, State.INVOICE_REJECTED})
_FIXABLE = frozenset(
    {DifferenceKind.MISSING, DifferenceKind.EDITED, DifferenceKind.BEHIND, DifferenceKind.AHEAD}
)
_PAGE = 200
# All companies share the workers.
_PAGES_A_STEP = 10
_MOST_NAMED = 1000
_FIELDS = ("state", REVISION, *QUICKBOOKS_OWNED)
_LONGEST_VALUE = 60
_BEGINNING: DocumentCursor = {"after": "", "done": False}


@dataclass(frozen=True, slots=True)
class InfactorDifference:
    """One invoice whose document in Infactor is not what we delivered."""

    invoice: Invoice
    seen: Document | None
    kind: DifferenceKind
    there: str
    here: str

    def as_json(self) -> DifferenceRow:
        return {
            "id": self.invoice.quickbooks_id,
            "number": self.invoice.doc_number,
            "kind": self.kind,
            "there": self.there,
            "here": self.here,
        }


def step(company: CompanyContext, run: Run, order: ReconcileCursor, tally: Tally) -> bool:
    """Compare the next documents, and store the result in the run; return whether there are more.

    With `order["fix"]`, what can be fixed is delivered again. Updates `order` and `tally` in place.
    """
    place = order.get("infactor") or _BEGINNING
    pages = 0
    while not place["done"] and pages < _PAGES_A_STEP:
        page = _page(company, place["after"])
        found = _ask(company, page)
        place = _onwards(page, away=isinstance(found, str))
        more = _unrecorded(company) if place["done"] and not isinstance(found, str) else []
        order["infactor"] = place
        with company.services.database.write() as session:
            if isinstance(found, str):
                tally["infactor"] = [*tally["infactor"], _not_compared(found)]
            else:
                left = _still_so(session, company.connection_id, found)
                _keep(session, tally, left, fix=order["fix"])
                tally["infactor_compared"] = (tally["infactor_compared"] or 0) + len(page)
            if isinstance(more, str):
                tally["infactor"] = [*tally["infactor"], _not_compared(more)]
            else:
                _keep_unrecorded(session, company.connection_id, tally, more, fix=order["fix"])
            runs.checkpoint(session, run, order, tally)
        pages += 1
    if place["done"] and tally["infactor_fixed"]:
        company.services.jobs.deliver(company.connection_id)
    return not place["done"]


def _onwards(page: Sequence[tuple[Invoice, Document | None]], *, away: bool) -> DocumentCursor:
    after = page[-1][0].id if page else ""
    return {"after": after, "done": away or len(page) < _PAGE}


def _page(company: CompanyContext, after: str) -> Sequence[tuple[Invoice, Document | None]]:
    with company.services.database.read() as session:
        return documents.of_company(session, company.connection_id, after, _PAGE)


def _ask(
    company: CompanyContext, page: Sequence[tuple[Invoice, Document | None]]
) -> list[InfactorDifference] | str:
    """Return how Infactor's documents differ from this page, or why they cannot be compared."""
    try:
        with reaching_infactor(company.services) as infactor:
            there = infactor.invoices.read([key_of(invoice) for invoice, _ in page], _FIELDS)
            doubles = infactor.invoices.others(*_identities(page)) if page else []
    except InfactorUnavailable as e:
        return str(e)
    with company.services.database.read() as session:
        taken = old_rows.taken(session, [str(other["_id"]) for other in doubles])
    doubles = [other for other in doubles if str(other["_id"]) not in taken]
    single = (_differs(i, seen, there.get(key_of(i))) for i, seen in page)
    currency = company.services.settings.infactor_currency
    return [*filter(None, single), *_doubled(page, doubles, currency)]


def _unrecorded(company: CompanyContext) -> list[DifferenceRow] | str:
    """Return the documents of which nothing is recorded, or why that is not known."""
    try:
        return unrecorded.find(company)
    except InfactorUnavailable as e:
        return str(e)


def _keep_unrecorded(
    session: Session,
    connection_id: str,
    tally: Tally,
    found: list[DifferenceRow],
    *,
    fix: bool,
) -> None:
    where: Literal["infactor_fixed", "infactor"] = "infactor_fixed" if fix else "infactor"
    tally[where] = [*tally[where], *found][:_MOST_NAMED]
    if fix:
        unrecorded.ask_for(session, connection_id, found)


def _identities(
    page: Sequence[tuple[Invoice, Document | None]],
) -> tuple[list[str], list[str]]:
    mapped = [invoice.mapped or {} for invoice, _ in page]
    return [m["qbkInvoiceId"] for m in mapped], sorted({m["supplierEmail"] for m in mapped})


def _is_outgoing(invoice: Invoice) -> bool:
    return invoice.delivered_revision < invoice.revision


def _differs(
    invoice: Invoice, seen: Document | None, there: Mapping[str, Any] | None
) -> InfactorDifference | None:
    if _is_outgoing(invoice):
        return None
    if there is None:
        return _absent(invoice, seen)
    state = state_of(there)
    if state.state != State.INVOICE_CREATED:
        return None
    if seen is not None and seen.state in _NOT_POLLED:
        texts = (status(state.state), status(seen.state))
        return InfactorDifference(invoice, seen, DifferenceKind.EDITED, *texts)
    delivered = seen.revision if seen else invoice.delivered_revision
    if state.revision != delivered:
        kind = DifferenceKind.BEHIND if state.revision < delivered else DifferenceKind.AHEAD
        texts = (f"revision {state.revision}", f"revision {delivered}")
        return InfactorDifference(invoice, seen, kind, *texts)
    return _edited(invoice, seen, there) if seen else None


def _absent(invoice: Invoice, seen: Document | None) -> InfactorDifference | None:
    """Return what is wrong with a document that is not there; None if it need not be.

    It is called missing only if the next delivery creates it.
    """
    if seen is None and invoice.hold:
        return None
    comes_back = may_create(invoice, seen) and not invoice.hold
    kind = DifferenceKind.MISSING if comes_back else DifferenceKind.DELETED_IN_INFACTOR
    here = status(seen.state) if seen else "delivered"
    return InfactorDifference(invoice, seen, kind, "not there", here)


def _edited(
    invoice: Invoice, seen: Document, there: Mapping[str, Any]
) -> InfactorDifference | None:
    """Compare with what was last written, not with what is mapped, both as doubles."""
    now = {name: from_bson(there[name]) for name in QUICKBOOKS_OWNED if name in there}
    ours = {name: seen.document[name] for name in QUICKBOOKS_OWNED if name in seen.document}
    written = from_bson(to_bson(ours))
    names = [n for n in QUICKBOOKS_OWNED if now.get(n) != written.get(n)]
    if not names:
        return None
    return InfactorDifference(
        invoice, seen, DifferenceKind.EDITED, _values(names, now), _values(names, written)
    )


def _values(names: Sequence[str], document: Mapping[str, Any]) -> str:
    values = {name: document.get(name) for name in names}
    return ", ".join(
        name if isinstance(v, list | dict) else f"{name} {(text_of(v) or 'none')[:_LONGEST_VALUE]}"
        for name, v in values.items()
    )


def _doubled(
    page: Sequence[tuple[Invoice, Document | None]],
    others: Sequence[Mapping[str, Any]],
    currency: str,
) -> Iterator[InfactorDifference]:
    """Yield the other documents of these invoices that a lender could still finance besides.

    Under a supplier's e-mail address and an Id there are also other companies' invoices.
    """
    ours = {(m["qbkInvoiceId"], m["supplierEmail"]): (i, d) for i, d in page if (m := i.mapped)}
    for other in others:
        invoice, seen = ours.get((other["qbkInvoiceId"], other["supplierEmail"]), (None, None))
        if invoice is None or not can_go_on(other):
            continue
        if not is_copy(recorded_of(invoice, currency), other):
            continue
        name = text(other.get("invoiceId")) or str(other["_id"])
        there = f"also {name[:_LONGEST_VALUE]}: {status(state_of(other).state)}"
        amount = text_of(from_bson(other.get("invoiceAmount"))) or "none"
        yield InfactorDifference(
            invoice,
            seen,
            DifferenceKind.DOUBLED,
            f"{there}, amount {amount[:_LONGEST_VALUE]}",
            status(seen.state) if seen else "not in Infactor",
        )


def _still_so(
    session: Session, connection_id: str, found: Sequence[InfactorDifference]
) -> list[InfactorDifference]:
    """Leave out what was delivered, or became due for delivery, since this page was read."""
    ids = [difference.invoice.id for difference in found]
    current = infactor_outbox.lock_invoices(session, connection_id, ids)
    seen = infactor_outbox.documents_of(session, ids)

    def still_so(one: InfactorDifference) -> bool:
        if one.kind == DifferenceKind.DOUBLED:
            return True
        invoice, before, now = current.get(one.invoice.id), one.seen, seen.get(one.invoice.id)
        if invoice is None or _is_outgoing(invoice):
            return False
        return (before and before.seen_at) == (now and now.seen_at)

    return [one for one in found if still_so(one)]


def _keep(
    session: Session, tally: Tally, found: Sequence[InfactorDifference], *, fix: bool
) -> None:
    """Add the differences to the tally; with `fix`, ask for the deliveries that can fix them."""
    fixed = [one for one in found if fix and one.kind in _FIXABLE]
    # An edited document has the recorded revision, and only a later one is written over it.
    anew = [one.invoice.id for one in fixed if one.kind == DifferenceKind.EDITED]
    infactor_outbox.deliver_as_new_revision(session, anew)
    infactor_outbox.deliver_again(
        session, [one.invoice.id for one in fixed if one.kind != DifferenceKind.EDITED]
    )
    left = [one for one in found if one not in fixed]
    tally["infactor"] = _named(tally["infactor"], left)
    tally["infactor_fixed"] = _named(tally["infactor_fixed"], fixed)


def _named(before: list[DifferenceRow], more: Sequence[InfactorDifference]) -> list[DifferenceRow]:
    return [*before, *(one.as_json() for one in more)][:_MOST_NAMED]


def _not_compared(why: str) -> DifferenceRow:
    return {"id": "", "number": "", "kind": DifferenceKind.NOT_COMPARED, "there": why, "here": ""}

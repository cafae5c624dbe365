"""Finds documents of a company in Infactor of which nothing is recorded here.

Our database was restored from a backup, or the company was forgotten. What was deleted in
QuickBooks since is in no list of it, and would stay offered.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from service.database.tables import DifferenceRow
from service.domain import DifferenceKind, OwnNotice
from service.infactor.collection import state_of
from service.infactor.old_import.values import text
from service.infactor.wording import status
from service.kit.clock import now
from service.store import invoices, own_notices
from workers.company import CompanyContext
from workers.delivery.circuit import reaching_infactor


def find(company: CompanyContext) -> list[DifferenceRow]:
    """Return the documents; raises InfactorUnavailable."""
    found: list[DifferenceRow] = []
    with reaching_infactor(company.services) as infactor:
        # Not all at once: a supplier may have a million.
        for some in infactor.invoices.in_name_of(company.supplier.email):
            found += _unknown(company, some)
    return sorted(found, key=lambda one: one["id"])


def _unknown(company: CompanyContext, some: Sequence[Mapping[str, Any]]) -> list[DifferenceRow]:
    own = {one["_id"]: one for one in some if one["_id"] == _id_by_quickbooks(company, one)}
    with company.services.database.read() as session:
        known = invoices.recorded(session, own.keys())
    return [_difference(one) for key, one in own.items() if key not in known]


def _id_by_quickbooks(company: CompanyContext, document: Mapping[str, Any]) -> str:
    return company.invoice_id(text(document.get("qbkInvoiceId")))


def _difference(document: Mapping[str, Any]) -> DifferenceRow:
    return {
        "id": text(document["qbkInvoiceId"]),
        "number": text(document.get("invoiceNo")),
        "kind": DifferenceKind.UNRECORDED,
        "there": status(state_of(document).state),
        "here": "not recorded",
    }


def ask_for(session: Session, connection_id: str, found: Sequence[DifferenceRow]) -> None:
    """Ask QuickBooks for each of these: what is deleted there is recorded so, and withdrawn."""
    wanted = [one["id"] for one in found]
    own_notices.ask_for_invoices(session, connection_id, wanted, OwnNotice.ORPHANED, now())

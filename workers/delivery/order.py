"""Turns a recorded invoice into the order that delivers it."""

from collections.abc import Mapping
from dataclasses import asdict

from service.database.tables import Connection, Document, Invoice
from service.domain import RuleCode, State
from service.infactor.collection import DeliveryOrder, Key, own_key
from service.infactor.users import Account, preferred
from service.infactor.warnings import WarningCode, warning

_NOT_REGISTERED = {
    name: str(value) for name, value in asdict(warning(WarningCode.BUYER_NOT_REGISTERED)).items()
}


def order_for(
    invoice: Invoice,
    seen: Document | None,
    company: Connection,
    registered: Mapping[str, str],
    account: Account | None,
) -> DeliveryOrder:
    """Return the order that delivers this invoice; `seen` is its document as last seen.

    The buyer's address is spelled as in their account, because Infactor compares it exactly.
    `registered` is the result of `Users.registered_buyers`. A new document gets the name and
    address of the supplier's `account`.
    """
    mapped, warnings = invoice.mapped, []
    if mapped is not None:
        address, known = preferred(addresses_of(invoice), registered)
        mapped = {**mapped, "buyerEmail": address, "companyEmail": address}
        if account is not None:
            mapped |= {"supplierName": account.name, "supplierAddress": account.address}
        if address and not known:
            warnings = [dict(_NOT_REGISTERED)]
    return DeliveryOrder(
        key=key_of(invoice),
        revision=invoice.revision,
        mapped=mapped,
        hold=RuleCode(invoice.hold) if invoice.hold else None,
        handed_over=seen is not None and seen.supplier_id != company.supplier_id,
        may_create=_may_create(invoice, seen),
        warnings=warnings,
    )


def _may_create(invoice: Invoice, seen: Document | None) -> bool:
    """Return whether a missing document may be created.

    A decided or adopted one was deleted by hand: created again, it would be offered as undecided.
    """
    undecided = seen is None or seen.state == State.INVOICE_CREATED
    return undecided and invoice.adopted is None


def key_of(invoice: Invoice) -> Key:
    """Return the `_id` of the invoice's document. No other function decides it."""
    return invoice.id if invoice.adopted is None else own_key(invoice.adopted)


def addresses_of(invoice: Invoice) -> list[str]:
    """Return the buyer's addresses. Invoices recorded before these were stored have at most one."""
    known = [email for email in invoice.buyer_emails if isinstance(email, str)]
    return known or [email for email in [(invoice.mapped or {}).get("buyerEmail")] if email]

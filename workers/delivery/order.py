"""One recorded invoice on its way to Infactor: for which document, and in which words."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from service.database.tables import Connection, Document, Invoice
from service.infactor.bson import stored
from service.infactor.collection import Key, Order, own_key
from service.infactor.document import State
from service.infactor.holds import Hold
from service.infactor.users import Account, preferred
from service.infactor.warnings import WarningCode, warning

_NOT_REGISTERED = {
    name: str(value) for name, value in asdict(warning(WarningCode.BUYER_NOT_REGISTERED)).items()
}


@dataclass(frozen=True, slots=True)
class Parcel:
    """An invoice as it is to be delivered; `mapped` is None where there is nothing to say of it.

    `seen` is what was last seen of its document, `warnings` what only Infactor's accounts tell.
    """

    invoice: Invoice
    seen: Document | None
    mapped: dict[str, Any] | None
    warnings: list[dict[str, str]]

    @classmethod
    def of(
        cls,
        invoice: Invoice,
        seen: Document | None,
        registered: Mapping[str, str],
        supplier: Account | None = None,
    ) -> "Parcel":
        """Return the invoice addressed to a registered buyer, in their account's own spelling.

        Infactor matches an address to the letter: in another one, no buyer would ever see it. A new
        document gets name and address of the supplier's account, where there is one.
        """
        if invoice.mapped is None:
            return cls(invoice, seen, None, [])
        address, known = preferred(addresses_of(invoice), registered)
        mapped = {**invoice.mapped, "buyerEmail": address, "companyEmail": address}
        if supplier is not None:
            mapped |= {"supplierName": supplier.name, "supplierAddress": supplier.address}
        unknown = bool(address) and not known
        return cls(invoice, seen, mapped, [dict(_NOT_REGISTERED)] if unknown else [])

    def order(self, company: Connection) -> Order:
        """Return what to bring to Infactor."""
        seen, hold = self.seen, self.invoice.hold
        return Order(
            key=key_of(self.invoice),
            revision=self.invoice.revision,
            mapped=stored(self.mapped),
            hold=Hold(hold) if hold else None,
            handed_over=seen is not None and seen.supplier_id != company.supplier_id,
            may_create=self._may_create(),
        )

    def _may_create(self) -> bool:
        """Return whether a document that is not there may be made.

        One that somebody had decided about and that is gone was deleted by hand: made anew it
        would be offered as if nobody ever had. So would one of Infactor's own that was adopted.
        """
        undecided = self.seen is None or self.seen.state == State.INVOICE_CREATED
        return undecided and self.invoice.adopted is None


def key_of(invoice: Invoice) -> Key:
    """Return the `_id` of the invoice's document: whoever looks for it in Infactor asks here."""
    return invoice.id if invoice.adopted is None else own_key(invoice.adopted)


def addresses_of(invoice: Invoice) -> list[str]:
    """Return the buyer's addresses; an invoice recorded before they were kept has one at most."""
    known = [email for email in invoice.buyer_emails if isinstance(email, str)]
    return known or [email for email in [(invoice.mapped or {}).get("buyerEmail")] if email]

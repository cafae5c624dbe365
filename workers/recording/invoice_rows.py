"""Builds the row of one version of an invoice, from what was read and what was recorded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from typing import Any

import msgspec

from service.config.settings import Settings
from service.database.tables import Customer, Invoice
from service.domain import RevisionCause
from service.infactor.document_lifecycle import SUPPLIER
from service.infactor.edition import EDITION
from service.infactor.mapping import map_invoice
from service.infactor.rules.facts import InvoiceFacts, decoded, encoded, facts_of
from service.infactor.rules.twins import twin_keys
from service.infactor.warnings import InvoiceWarning
from service.kit import exact_json
from service.quickbooks.entity import Entity
from service.store import customers
from service.store.invoices import InvoiceRow
from workers.company import RecordedCompany
from workers.reading.reads import customer_id_of

# Fits the column; a currency has three letters.
_LONGEST_CURRENCY = 8
# The content of a row; the other columns say when and how it was read.
_CONTENT = (
    "source",
    "deleted",
    "void_noticed",
    "mapped",
    "holds",
    "signals",
    "warnings",
    "total",
    "balance",
    "buyer_emails",
)


@dataclass(frozen=True, slots=True)
class InvoiceBasis:
    """All that the content of an invoice's row is made from, but the rules.

    `chain` is the invoice's customer, then its parents; `called_void` says that a notice has ever
    called the invoice void.
    """

    found: Entity
    fetch_number: int
    chain: Sequence[Customer]
    called_void: bool

    @property
    def buyer_name(self) -> str | None:
        """The buyer's new name if it was renamed after the invoice was read."""
        chain = self.chain
        renamed_at = chain[0].renamed_at_fetch if chain else None
        if renamed_at is None or renamed_at < self.fetch_number:
            return None
        return customers.display_name(chain[0].source)

    @property
    def customer_versions(self) -> str:
        return " ".join(f"{c.quickbooks_id}:{c.sync_token}" for c in self.chain)


class InvoiceRows:
    """Builds the rows of one batch, all with the same time of recording, not judged yet."""

    def __init__(self, company: RecordedCompany, at: datetime, latest: datetime) -> None:
        self.company = company
        self.settings: Settings = company.services.settings
        self.at = at
        self.latest = latest  # a change that QuickBooks dates later than that is not believed so
        supplier, settings = company.supplier, self.settings
        self._rules = [
            *(EDITION, supplier.email, supplier.name, supplier.address, company.country),
            # What was held yesterday, or by other rules, is judged again when it is read again.
            *(settings.infactor_currency, settings.rules.digest, settings.today(at)),
        ]

    def digest(self, basis: InvoiceBasis) -> str:
        """Return a digest of all that decides the row's content; equal ones mean equal content."""
        made_from = (
            *(basis.found.raw, basis.customer_versions, basis.buyer_name, basis.called_void),
            self._rules,
        )
        return blake2b(exact_json.encode(made_from), digest_size=16).hexdigest()

    def read(self, basis: InvoiceBasis, before: Invoice | None) -> InvoiceRow:
        """Return the row of an invoice as it was read; raises Unmappable.

        That it was called void is remembered as long as its total stays zero.
        """
        found = basis.found
        invoice_id = self.company.invoice_id(found.id)
        mapped = map_invoice(
            found.raw,
            [customer.source for customer in basis.chain],
            self.company.supplier,
            invoice_id,
            buyer_name=basis.buyer_name,
            currency=self.settings.infactor_currency,
            country=self.company.country,
        )
        void_noticed = mapped.total == 0 and basis.called_void
        facts = facts_of(
            found.raw,
            mapped,
            called_void=void_noticed,
            before=decoded(before.facts) if before else None,
            today=self.settings.today(self.at),
            top_customer_id=basis.chain[-1].quickbooks_id if basis.chain else None,
        )
        twin = twin_keys(facts)
        return InvoiceRow(
            id=invoice_id,
            connection_id=self.company.connection_id,
            quickbooks_id=found.id,
            sync_token=found.sync_token,
            last_updated=found.last_updated if found.last_updated <= self.latest else None,
            fetch_number=basis.fetch_number,
            digest=self.digest(basis),
            deleted=False,
            void_noticed=void_noticed,
            source=found.raw,
            mapped=mapped.document,
            facts=encoded(facts),
            hold=None,
            holds=[],
            signals=[],
            warnings=[_plain(warning) for warning in mapped.warnings],
            customer_id=customer_id_of(found.raw),
            customer_versions=basis.customer_versions,
            doc_number=mapped.doc_number or "",
            total=mapped.total,
            balance=mapped.balance,
            currency=mapped.currency[:_LONGEST_CURRENCY] if mapped.currency else None,
            created_ms=mapped.document["created"],
            revision=before.revision + 1 if before else 1,
            recorded_at=self.at,
            buyer_emails=list(mapped.buyer_emails),
            twin_number=twin.number,
            twin_buyer=twin.buyer,
            twin_name=twin.name,
            twin_email=twin.email,
        )

    def deletion(self, quickbooks_id: str, fetch_number: int, before: Invoice | None) -> InvoiceRow:
        """Return the row of a deleted invoice: its last content, if there was any."""
        if before is not None:
            facts = msgspec.structs.replace(decoded(before.facts), deleted=True)
            return replace(
                row_of(before),
                fetch_number=fetch_number,
                digest="",
                deleted=True,
                facts=encoded(facts),
                revision=before.revision + 1,
                recorded_at=self.at,
            )
        return InvoiceRow(
            id=self.company.invoice_id(quickbooks_id),
            connection_id=self.company.connection_id,
            quickbooks_id=quickbooks_id,
            sync_token=0,
            last_updated=self.at,
            fetch_number=fetch_number,
            digest="",
            deleted=True,
            void_noticed=False,
            source={"Id": quickbooks_id},
            mapped=None,
            facts=encoded(InvoiceFacts(deleted=True)),
            hold=None,
            holds=[],
            signals=[],
            warnings=[],
            customer_id=None,
            customer_versions="",
            doc_number="",
            total=None,
            balance=None,
            currency=None,
            created_ms=0,
            revision=1,
            recorded_at=self.at,
            buyer_emails=[],
        )


def row_of(invoice: Invoice) -> InvoiceRow:
    return InvoiceRow(**{name: getattr(invoice, name) for name in InvoiceRow.__slots__})


def sale(row: InvoiceRow) -> tuple[object, ...]:
    """Return what decides which invoices it is a duplicate of, or they of it."""
    keys = (row.twin_number, row.twin_buyer, row.twin_name, row.twin_email)
    return (*keys, row.deleted, bool(row.total), row.created_ms)


def same(before: InvoiceRow | None, row: InvoiceRow) -> bool:
    """Return whether both have the same content, however and whenever they were read."""
    return before is not None and all(
        getattr(before, name) == getattr(row, name) for name in _CONTENT
    )


def revision(row: InvoiceRow, before: InvoiceRow | None, cause: RevisionCause) -> dict[str, Any]:
    """Return the line that this row adds to the history; `changes` is {field: [before, after] or
    None}.
    """
    return {
        "invoice_id": row.id,
        "number": row.revision,
        "recorded_at": row.recorded_at,
        "cause": cause,
        "sync_token": row.sync_token,
        "last_updated": row.last_updated,
        "customer_versions": row.customer_versions,
        "hold": row.hold,
        "holds": row.holds,
        "signals": row.signals,
        "changes": _changes(before.mapped if before else None, row.mapped),
    }


def _changes(before: dict[str, Any] | None, after: dict[str, Any] | None) -> dict[str, Any]:
    if before is None or after is None:
        return {}
    return {
        name: None if _is_told_alone(name, value) else [before.get(name), value]
        for name, value in after.items()
        if before.get(name) != value
    }


def _is_told_alone(name: str, value: Any) -> bool:
    """Return whether the history hides the values; it must not show who had the company before."""
    return isinstance(value, list | dict) or name in SUPPLIER


def _plain(warning: InvoiceWarning) -> dict[str, str]:
    return {"code": warning.code.value, "field": warning.field, "text": warning.text}

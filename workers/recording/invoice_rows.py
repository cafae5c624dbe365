"""Builds the row of one version of an invoice, from what was read and what was recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import blake2b
from typing import Any

from msgspec.structs import replace

from service.config.settings import Settings
from service.database.tables import Customer
from service.domain import RevisionCause
from service.infactor.deviations import text_of
from service.infactor.document_lifecycle import SUPPLIER
from service.infactor.mapping import map_invoice
from service.infactor.rules.facts import InvoiceFacts, decoded, encoded, facts_of
from service.infactor.rules.twins import twin_keys
from service.infactor.source_digest import MAPPING_VERSION
from service.infactor.warnings import InvoiceWarning
from service.kit import exact_json
from service.store import customers, invoice_twins
from service.store.invoice_events import RevisedInvoice
from service.store.invoice_twins import Key
from service.store.invoices import NO_DUE_KEY, InvoiceRow
from service.store.judging_queue import RecordedReasons
from workers.company import RecordedCompany
from workers.reading.reads import Read

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


@dataclass(frozen=True)
class InvoiceBasis:
    """All that the content of an invoice's row is made from.

    `chain` is the invoice's customer, then its parents; `called_void` says that a notice has ever
    called the invoice void; `rules` is the digest, so far, of what all invoices share.
    """

    read: Read
    chain: Sequence[Customer]
    called_void: bool
    rules: blake2b

    @cached_property
    def digest(self) -> str:
        """A digest of all that decides the row's content; equal ones mean equal content."""
        others = (self.customer_versions, self.buyer_name, self.called_void)
        digest = self.rules.copy()
        digest.update(exact_json.encode(others))
        digest.update(self.read.text)
        return digest.hexdigest()

    @cached_property
    def buyer_name(self) -> str | None:
        """The buyer's new name if it was renamed after the invoice was read."""
        chain = self.chain
        renamed_at = chain[0].renamed_at_fetch if chain else None
        if renamed_at is None or renamed_at < self.read.fetch_number:
            return None
        return customers.display_name(chain[0].source)

    @cached_property
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
        self._today = settings.today(at)
        rules = [
            *(MAPPING_VERSION, supplier.email, supplier.name, supplier.address, company.country),
            # What was held yesterday, or by other rules, is judged again when it is read again.
            *(settings.infactor_currency, settings.rules.digest, self._today),
        ]
        self._rules = blake2b(exact_json.encode(rules), digest_size=16)

    def basis(self, read: Read, chain: Sequence[Customer], *, called_void: bool) -> InvoiceBasis:
        return InvoiceBasis(read, chain, called_void, self._rules)

    def read(self, basis: InvoiceBasis, before: InvoiceRow | None) -> InvoiceRow:
        """Return the row of an invoice as it was read; raises Unmappable.

        That it was called void is remembered as long as its total stays zero.
        """
        read, found = basis.read, basis.read.entity
        invoice_id = self.company.invoice_id(found.id)
        mapped = map_invoice(
            read.raw,
            [customer.source for customer in basis.chain],
            self.company.supplier,
            invoice_id,
            buyer_name=basis.buyer_name,
            currency=self.settings.infactor_currency,
            country=self.company.country,
            text=read.text,
        )
        void_noticed = mapped.total == 0 and basis.called_void
        facts = facts_of(
            read.raw,
            mapped,
            called_void=void_noticed,
            before=decoded(before.facts) if before and before.facts else None,
            today=self._today,
            top_customer_id=basis.chain[-1].quickbooks_id if basis.chain else None,
        )
        twin = twin_keys(facts)
        return InvoiceRow(
            id=invoice_id,
            connection_id=self.company.connection_id,
            quickbooks_id=found.id,
            sync_token=found.sync_token,
            last_updated=found.last_updated if found.last_updated <= self.latest else None,
            fetch_number=read.fetch_number,
            digest=basis.digest,
            deleted=False,
            void_noticed=void_noticed,
            source=read.raw,
            source_text=read.text,
            mapped=mapped.document,
            facts=encoded(facts),
            hold=None,
            holds=[],
            signals=[],
            warnings=[_plain(warning) for warning in mapped.warnings],
            customer_id=read.customer_id,
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

    def deletion(
        self, quickbooks_id: str, fetch_number: int, before: InvoiceRow | None
    ) -> InvoiceRow:
        """Return the row of a deleted invoice: its last content, if there was any."""
        if before is not None:
            facts = replace(decoded(before.facts), deleted=True)
            return replace(
                before,
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


def sale(row: InvoiceRow) -> tuple[object, ...]:
    """Return what decides which invoices it is a duplicate of, or they of it."""
    return (*_keys(row), row.deleted, bool(row.total), row.created_ms)


def keys_of(row: InvoiceRow) -> tuple[Key, ...]:
    """Return what it may share with others, as the store looks it up."""
    return invoice_twins.keys_of(_keys(row))


def _keys(row: InvoiceRow) -> tuple[int | None, ...]:
    return (row.twin_number, row.twin_buyer, row.twin_name, row.twin_email)


def same(before: InvoiceRow | None, row: InvoiceRow) -> bool:
    """Return whether both have the same content, however and whenever they were read."""
    # The token is a part of the source, which takes much longer to compare.
    return (
        before is not None
        and before.sync_token == row.sync_token
        and all(getattr(before, name) == getattr(row, name) for name in _CONTENT)
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
        "entry": _entry(row, row.recorded_at, (row.mapped or {}).get("payableDate") or None, cause),
    }


def judged_revision(row: RecordedReasons, at: datetime, cause: RevisionCause) -> dict[str, Any]:
    """Return the line that this row adds to the history, judged again at this moment."""
    due = None if row.due_key == NO_DUE_KEY else row.due_key
    return {
        "invoice_id": row.id,
        "number": row.revision,
        "recorded_at": at,
        "cause": cause,
        "sync_token": row.sync_token,
        "last_updated": row.last_updated,
        "customer_versions": row.customer_versions,
        "hold": row.hold,
        "holds": row.holds,
        "signals": row.signals,
        "changes": {},
        "entry": _entry(row, at, due, cause),
    }


def _entry(row: RevisedInvoice, at: datetime, due: str | None, cause: RevisionCause) -> str:
    """Return what an auditor reads of this revision, as JSON; nobody is named in it."""
    entry = {
        "invoice": row.id,
        "revision": row.revision,
        "at": at.isoformat(),
        "cause": cause.value,
        "sync_token": row.sync_token,
        "number": row.doc_number,
        "customer": row.customer_id,
        "total": text_of(row.total),
        "balance": text_of(row.balance),
        "currency": row.currency,
        "due": due,
        "deleted": row.deleted,
        "holds": [one["code"] for one in row.holds],
    }
    return exact_json.encode(entry).decode()


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
    plain = {"code": warning.code.value, "field": warning.field, "text": warning.text}
    return plain | ({"value": warning.value} if warning.value else {})

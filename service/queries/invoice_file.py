"""One invoice's file as programs read it: the API and `infactor-quickbooks invoice --json`.

Amounts are decimals; `document` and `original` keep the digits that Infactor and QuickBooks wrote.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from msgspec import Meta, Raw, Struct, convert, structs

from service.database.tables import (
    Connection,
    Document,
    Finding,
    Invoice,
    Revision,
    SettlementRow,
    Supplier,
)
from service.domain import FindingKind, RuleCode
from service.infactor.rules.catalogue import is_private, word
from service.infactor.rules.judge import Reason, reasons_of
from service.kit import exact_json
from service.queries.invoice_record import InvoiceRecord
from service.wording import plain

Time = Annotated[datetime, Meta(tz=True)]
_PRIVATE = "Never show it to a supplier: it may name another one's invoice, or what is suspect."
Amount = Annotated[Decimal, Meta(description="A decimal number as text, such as 100.00.")]


class ReasonEntry(Struct, frozen=True, kw_only=True):
    """A rule that applies to an invoice."""

    code: Annotated[str, Meta(description="The rule, such as overdue; it never changes.")]
    words: Annotated[str, Meta(description="The rule in a few words.")]
    text: Annotated[str, Meta(description="Why it applies, in a sentence.")]
    figures: Annotated[dict[str, str], Meta(description="What the sentence is made of.")]
    private: Annotated[bool, Meta(description=_PRIVATE)]


class WarningEntry(Struct, frozen=True, kw_only=True):
    """What the supplier should fix on an invoice; it stops nothing."""

    code: str
    field: Annotated[str, Meta(description="QuickBooks' name of the field.")]
    text: Annotated[str, Meta(description="What to do, for the supplier.")]


class FieldEntry(Struct, frozen=True, kw_only=True):
    """One field of a finding."""

    field: str
    severity: str
    approved: Annotated[str | None, Meta(description="What was approved.")]
    current: Annotated[str | None, Meta(description="What is so now.")]


class FindingFacts(Struct, frozen=True, kw_only=True):
    """A difference between what was approved and what is so now, for somebody to review."""

    id: int
    kind: Annotated[str, Meta(description="What it says: changed, rule, missing, settled …")]
    cause: Annotated[str, Meta(description="The rule's code where the kind is rule, else empty.")]
    severity: Annotated[str, Meta(description="critical, warning or info.")]
    state: Annotated[str, Meta(description="Infactor's state when it was found.")]
    fields: list[FieldEntry]
    found_at: Time
    changed_at: Time
    closed_at: Annotated[Time | None, Meta(description="When it was over; null if open.")]
    acknowledged_at: Annotated[Time | None, Meta(description="When an operator took note.")]
    note: Annotated[str | None, Meta(description="What the operator wrote.")]
    private: Annotated[bool, Meta(description=_PRIVATE)]


class RevisionEntry(Struct, frozen=True, kw_only=True):
    """One change of the invoice's record."""

    number: int
    recorded_at: Time
    cause: Annotated[str, Meta(description="Why it was read: notice, backfill, rules …")]
    sync_token: int
    last_updated: Time | None
    customer_versions: Annotated[str, Meta(description="Id:SyncToken of the customers.")]
    hold: Annotated[str | None, Meta(description="The leading reason for the hold.")]
    holds: list[ReasonEntry]
    signals: list[ReasonEntry]
    changes: Annotated[Raw, Meta(description="{field: [before, after]}; null for long values.")]
    sequence: Annotated[int, Meta(description="Its place in the company's chain.")]
    entry: Annotated[str, Meta(description="What it says to an auditor, as JSON.")]
    entry_digest: str
    link: str


class ReceiptEntry(Struct, frozen=True, kw_only=True):
    """One delivery into Infactor."""

    id: int
    revision: int
    at: Time
    outcome: Annotated[str, Meta(description="created, refreshed, withdrawn, frozen …")]
    state: str | None
    changed: Annotated[list[str], Meta(description="The fields that were written.")]


class PaymentEntry(Struct, frozen=True, kw_only=True):
    """What one transaction settled of the invoice: cash, a credit note or a write-off."""

    payment_id: Annotated[
        str,
        Meta(
            description="The payment that applied it; empty if the invoice names the credit itself."
        ),
    ]
    source_id: Annotated[
        str, Meta(description="The payment, credit memo or journal entry that settled it.")
    ]
    kind: Annotated[str, Meta(description="cash, credit_note or write_off.")]
    amount: Amount
    paid_on: Annotated[str, Meta(description="The day it was applied; empty if nobody says.")]
    payer: Annotated[str, Meta(description="The customer who paid or was credited.")]
    account: Annotated[
        str, Meta(description="Where the cash went, or what the credit was booked on.")
    ]
    number: Annotated[
        str, Meta(description="The reference of the cash, or the credit's own number.")
    ]
    dated: Annotated[str, Meta(description="The credit's own day; empty for cash.")]
    read_at: Time


class NoticeEntry(Struct, frozen=True, kw_only=True):
    """One event about the invoice, of QuickBooks' or our own."""

    id: int
    format: str
    event_id: str | None
    entity: str | None
    operation: str | None
    received_at: Time
    changed_at: Time | None
    webhook_id: Annotated[str | None, Meta(description="The webhook that brought it.")]
    duplicates: int
    status: str
    reason: str | None
    attempts: int
    due_at: Time | None
    last_attempt_at: Time | None
    error_class: str | None
    error_message: str | None
    intuit_tid: str | None
    handled_at: Time | None


class InvoiceSummary(Struct, frozen=True, kw_only=True):
    """What one invoice is, where it is in Infactor, and what speaks against it."""

    id: Annotated[str, Meta(description="Our own id; no other invoice has it.")]
    infactor_id: Annotated[str, Meta(description="Infactor's invoiceId: another if adopted.")]
    quickbooks_id: str
    number: str
    connection: str
    company: str
    supplier: Annotated[str, Meta(description="The supplier's e-mail address.")]
    buyer: Annotated[str | None, Meta(description="The buyer's name.")]
    total: Amount | None
    balance: Amount | None
    currency: Annotated[str | None, Meta(description="Three letters; null where none is named.")]
    deleted: Annotated[bool, Meta(description="Deleted in QuickBooks.")]
    state: Annotated[str | None, Meta(description="Infactor's state; null if not there.")]
    holds: Annotated[list[ReasonEntry], Meta(description="Every rule that holds it back.")]
    signals: Annotated[list[ReasonEntry], Meta(description="Rules that apply and stop nothing.")]
    warnings: Annotated[list[WarningEntry], Meta(description="What the supplier should fix.")]
    revision: Annotated[int, Meta(description="The version of the record.")]
    delivered_revision: Annotated[int, Meta(description="The version that Infactor has; 0: none.")]
    recorded_at: Time


class InvoiceFile(InvoiceSummary, frozen=True, kw_only=True):
    """Everything that is known of one invoice, each list with the newest first."""

    findings: list[FindingFacts]
    revisions: list[RevisionEntry]
    receipts: list[ReceiptEntry]
    payments: list[PaymentEntry]
    notices: list[NoticeEntry]
    document: Annotated[Raw, Meta(description="Infactor's document as last seen; null if none.")]
    original: Annotated[Raw, Meta(description="The invoice as QuickBooks sent it.")]


def invoice_file(found: InvoiceRecord) -> InvoiceFile:
    """Return the file of this invoice."""
    invoice, document = found.invoice, found.document
    return InvoiceFile(
        **invoice_summary(invoice, document, found.company, found.supplier),
        findings=[finding_facts(one) for one in found.findings],
        revisions=[_revision(one) for one in found.revisions],
        receipts=convert(found.receipts, list[ReceiptEntry], from_attributes=True),
        payments=[_payment(one) for one in found.settlements],
        notices=convert(found.notices, list[NoticeEntry], from_attributes=True),
        document=exact_json.encoded(document.document if document else None),
        original=exact_json.encoded(invoice.source),
    )


def invoice_summary(
    invoice: Invoice, document: Document | None, company: Connection, supplier: Supplier
) -> dict[str, Any]:
    """Return the values of `InvoiceSummary`' fields."""
    return {
        "id": invoice.id,
        "infactor_id": invoice.document_id,
        "quickbooks_id": invoice.quickbooks_id,
        "number": invoice.doc_number,
        "connection": company.id,
        "company": company.company_name or company.id,
        "supplier": supplier.email,
        "buyer": (invoice.mapped or {}).get("companyName") or None,
        "total": amount(invoice.total),
        "balance": amount(invoice.balance),
        "currency": invoice.currency,
        "deleted": invoice.deleted,
        "state": document.state if document else None,
        "holds": reasons(invoice.holds),
        "signals": reasons(invoice.signals),
        "warnings": convert(invoice.warnings + invoice.delivery_warnings, list[WarningEntry]),
        "revision": invoice.revision,
        "delivered_revision": invoice.delivered_revision,
        "recorded_at": invoice.recorded_at,
    }


def amount(value: Decimal | None) -> Decimal | None:
    """Return an amount with two decimals, or more where it has them."""
    return None if value is None else plain(value)


def reason(one: Reason) -> ReasonEntry:
    figures = {name: str(value) for name, value in one.figures.items()}
    return ReasonEntry(
        code=one.code.value,
        words=word(one.code),
        text=str(one),
        figures=figures,
        private=is_private(one.code),
    )


def reasons(kept: Sequence[Any]) -> list[ReasonEntry]:
    """Return the reasons that an invoice's row keeps."""
    return [reason(one) for one in reasons_of(kept)]


def finding_facts(one: Finding) -> FindingFacts:
    return FindingFacts(
        id=one.id,
        kind=one.kind,
        cause=one.cause,
        severity=one.severity,
        state=one.state,
        fields=convert(one.fields, list[FieldEntry]),
        found_at=one.found_at,
        changed_at=one.changed_at,
        closed_at=one.closed_at,
        acknowledged_at=one.acknowledged_at,
        note=one.note,
        private=one.kind == FindingKind.RULE and is_private(RuleCode(one.cause)),
    )


def _revision(one: Revision) -> RevisionEntry:
    return RevisionEntry(
        number=one.number,
        recorded_at=one.recorded_at,
        cause=one.cause,
        sync_token=one.sync_token,
        last_updated=one.last_updated,
        customer_versions=one.customer_versions,
        hold=one.hold,
        holds=reasons(one.holds),
        signals=reasons(one.signals),
        changes=exact_json.encoded(one.changes),
        sequence=one.sequence,
        entry=one.entry,
        entry_digest=one.entry_digest,
        link=one.link,
    )


def _payment(one: SettlementRow) -> PaymentEntry:
    entry = convert(one, PaymentEntry, from_attributes=True)
    return structs.replace(entry, amount=plain(one.amount))

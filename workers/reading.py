"""Reading invoices by id: in few queries, and without one bad record spoiling the others."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from service.errors import Gone, Poisoned, SyncError, TooLarge, TransientError
from service.quickbooks import statements
from workers.company import Company

MAX_IDS = 500


@dataclass
class InvoiceReads:
    """What QuickBooks answered about some invoices.

    `gone` are those for which a read of their own answered 610; `failed` those that QuickBooks
    cannot even show.
    """

    found: list["InvoiceRead"] = field(default_factory=list)
    gone: dict[str, int] = field(default_factory=dict)  # id -> fetch number
    failed: dict[str, SyncError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InvoiceRead:
    """One invoice as QuickBooks wrote it, and the number of the read that brought it."""

    raw: dict[str, Any]
    fetch_number: int


def read_invoices(company: Company, ids: Sequence[str]) -> InvoiceReads:
    """Return the present state of these invoices.

    One that a query does not show is read by itself before it is believed to be deleted.
    """
    reads = InvoiceReads()
    wanted = list(dict.fromkeys(ids))
    for start in range(0, len(wanted), MAX_IDS):
        _query(company, wanted[start : start + MAX_IDS], reads)
    _doubt_an_outage(reads)
    shown = {read.raw.get("Id") for read in reads.found}
    for missing in [i for i in wanted if i not in shown and i not in reads.failed]:
        _confirm(company, missing, reads)
    return reads


def _query(company: Company, ids: list[str], reads: InvoiceReads) -> None:
    """Query these ids, in halves where QuickBooks refuses them together."""
    fetch_number = company.draw_fetch_number()
    try:
        raws = company.api.query(statements.by_ids("Invoice", ids))
    except (TooLarge, Poisoned) as e:
        if len(ids) == 1:
            reads.failed[ids[0]] = e
            return
        middle = len(ids) // 2
        _query(company, ids[:middle], reads)
        _query(company, ids[middle:], reads)
    else:
        reads.found += [InvoiceRead(raw, fetch_number) for raw in raws]


def _doubt_an_outage(reads: InvoiceReads) -> None:
    """Raise TransientError where nothing could be read: that is QuickBooks' trouble, not ours.

    10000 is what QuickBooks says of one bad record, and of itself when it is unwell.
    """
    errors = list(reads.failed.values())
    if errors and not reads.found and all(error.code == "10000" for error in errors):
        raise TransientError(str(errors[0]), intuit_tid=errors[0].intuit_tid, code="10000")


def _confirm(company: Company, invoice_id: str, reads: InvoiceReads) -> None:
    fetch_number = company.draw_fetch_number()
    try:
        reads.found.append(InvoiceRead(company.api.read("Invoice", invoice_id), fetch_number))
    except Gone:
        reads.gone[invoice_id] = fetch_number

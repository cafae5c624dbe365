"""Reads objects by id, in few queries; one bad record does not spoil the others."""

from collections.abc import Iterable, Sequence

from service.errors import Gone, Poisoned, SyncError, TooLarge, TransientError
from service.quickbooks import queries
from service.quickbooks.faults import GONE, SPOILT
from service.quickbooks.queries import EntityName
from workers.company import CompanyContext
from workers.reading.reads import InvoiceReads, Read
from workers.retry import is_ambiguous, may_pass_in_parts

MAX_IDS = 500
# It takes nine queries to isolate one bad record among 500. After more than that without any
# answer, QuickBooks itself is down.
_MOST_VAIN_QUERIES = 12


class Query:
    """Queries objects by id, and halves a query that QuickBooks refuses."""

    def __init__(self, company: CompanyContext, entity: EntityName) -> None:
        self.found: list[Read] = []
        self.failed: dict[str, SyncError] = {}
        self._company = company
        self._entity = entity
        self._vain = 0

    def ask(self, ids: Sequence[str]) -> None:
        """Add what QuickBooks shows of these ids to `found`, the others to `failed`.

        Raises TransientError if QuickBooks itself is down.
        """
        for start in range(0, len(ids), MAX_IDS):
            self._ask(ids[start : start + MAX_IDS])

    def _ask(self, ids: Sequence[str]) -> None:
        fetch_number = self._company.draw_fetch_number()
        try:
            raws = self._company.api.query(queries.by_ids(self._entity, ids))
        except SyncError as e:
            if e.code == GONE:
                return  # each is read by itself before it is believed to be deleted
            if not may_pass_in_parts(e):
                raise
            self._doubt_an_outage(e)
            if len(ids) == 1:
                self.failed[ids[0]] = e
                return
            middle = len(ids) // 2
            self._ask(ids[:middle])
            self._ask(ids[middle:])
        else:
            self._vain = 0
            self.found += [Read(raw, fetch_number) for raw in raws]

    def _doubt_an_outage(self, error: SyncError) -> None:
        self._vain += 1
        if is_ambiguous(error) and self._vain >= _MOST_VAIN_QUERIES:
            raise TransientError(str(error), intuit_tid=error.intuit_tid, code=error.code)
        if error.code == SPOILT and self._vain == _MOST_VAIN_QUERIES:
            # Many records may share what spoils them. An answer without records tells.
            self._company.api.count(queries.count(self._entity))


def read_invoices(company: CompanyContext, ids: Sequence[str]) -> InvoiceReads:
    """Return the present state of these invoices, reading alone those that a query leaves out."""
    wanted = list(dict.fromkeys(ids))
    query = Query(company, "Invoice")
    query.ask(wanted)
    reads = InvoiceReads(found=query.found, failed=query.failed)
    shown = {read.raw.get("Id") for read in reads.found}
    confirm(company, [i for i in wanted if i not in shown and i not in reads.failed], reads)
    return reads


def confirm(company: CompanyContext, ids: Iterable[str], reads: InvoiceReads) -> None:
    """Read each of these invoices alone; add the answer to the reads: found, gone, or failed."""
    for invoice_id in ids:
        _confirm(company, invoice_id, reads)


def _confirm(company: CompanyContext, invoice_id: str, reads: InvoiceReads) -> None:
    fetch_number = company.draw_fetch_number()
    try:
        reads.found.append(Read(company.api.read("Invoice", invoice_id), fetch_number))
    except Gone:
        reads.gone[invoice_id] = fetch_number
    except (TooLarge, Poisoned) as e:
        reads.failed[invoice_id] = e

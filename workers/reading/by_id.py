"""Reads objects by id, in few queries; one bad record does not spoil the others."""

from collections.abc import Iterable, Sequence

from service.errors import Gone, Poisoned, SyncError, TooLarge, TransientError
from service.quickbooks import queries
from service.quickbooks.faults import GONE, SPOILT, TIMED_OUT
from service.quickbooks.queries import EntityName
from workers.company import CompanyContext
from workers.reading.reads import InvoiceReads, Read
from workers.retry import is_ambiguous, may_be_a_records, may_pass_in_parts

MAX_IDS = 500
# The way down to one bad record among 500 takes nine queries: after so many without a single
# answer it is QuickBooks that is unwell, not a record.
_MOST_VAIN = 12


class Query:
    """Queries objects by id, and halves a query that QuickBooks refuses."""

    def __init__(
        self, company: CompanyContext, entity: EntityName, *, patient: bool = False
    ) -> None:
        self.found: list[Read] = []
        self.failed: dict[str, SyncError] = {}
        self._company = company
        self._entity = entity
        self._is_a_records = may_be_a_records if patient else may_pass_in_parts
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
            if not self._is_a_records(e):
                raise
            self._vain += 1
            _doubt_an_outage(e, self._vain)
            if e.code == SPOILT and self._vain == _MOST_VAIN:
                # Many records may share what spoils them. An answer without records tells.
                self._company.api.count(queries.count(self._entity))
            if len(ids) == 1:
                self.failed[ids[0]] = e
                return
            middle = len(ids) // 2
            self._ask(ids[:middle])
            self._ask(ids[middle:])
        else:
            self._vain = 0
            self.found += [Read(raw, fetch_number) for raw in raws]


def _doubt_an_outage(error: SyncError, vain: int) -> None:
    """Raise TransientError after so many attempts in vain, unless it is a record's for certain."""
    if is_ambiguous(error) and vain >= _MOST_VAIN:
        raise TransientError(str(error), intuit_tid=error.intuit_tid, code=error.code)


def read_invoices(
    company: CompanyContext, ids: Sequence[str], *, patient: bool = False
) -> InvoiceReads:
    """Return the present state of these invoices.

    One that a query does not show is read by itself before it is believed to be deleted. A
    `patient` caller tries again what fails, and so has each fail alone, whatever the answer is.
    """
    wanted = list(dict.fromkeys(ids))
    query = Query(company, "Invoice", patient=patient)
    query.ask(wanted)
    reads = InvoiceReads(found=query.found, failed=query.failed)
    shown = {read.raw.get("Id") for read in reads.found}
    unshown = [i for i in wanted if i not in shown and i not in reads.failed]
    confirm(company, unshown, reads, patient=patient)
    return reads


def confirm(
    company: CompanyContext, ids: Iterable[str], reads: InvoiceReads, *, patient: bool = False
) -> None:
    """Read each of these invoices alone; add the answer to the reads: found, gone, or failed.

    Raises TransientError when it is QuickBooks that is unwell.
    """
    vain = 0
    for invoice_id in ids:
        fetch_number = company.draw_fetch_number()
        try:
            reads.found.append(Read(company.api.read("Invoice", invoice_id), fetch_number))
        except Gone:
            reads.gone[invoice_id] = fetch_number
        except SyncError as e:
            refused = patient and may_be_a_records(e) and e.code != TIMED_OUT
            if not refused and not isinstance(e, TooLarge | Poisoned):
                raise
            vain += 1
            _doubt_an_outage(e, vain)
            reads.failed[invoice_id] = e
        else:
            vain = 0

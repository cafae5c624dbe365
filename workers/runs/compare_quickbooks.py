"""A full comparison: reads everything page by page, and compares it with the record at the end.

What QuickBooks showed is stored in rows. If the run fixes, each page is also recorded.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from service.database.tables import DifferenceRow, ReconcileCursor, Run, SumsRow, Tally
from service.domain import DifferenceKind, RevisionCause, RunState
from service.errors import Unmappable
from service.infactor.quickbooks_records import read_invoice
from service.kit.clock import now
from service.quickbooks import queries
from service.quickbooks.entity import parse_instant
from service.store import comparison, quickbooks_times, runs, watermarks
from service.store.comparison import InvoiceSums, QuickBooksDifference, SeenInvoice
from service.wording import by_name
from workers.company import CompanyContext, note_success
from workers.reading.by_change import ChangePage, Cursor, read_page
from workers.reading.by_id import CustomerReads, read_invoices
from workers.reading.reads import InvoiceReads, Read
from workers.recording.outcome import add
from workers.recording.record import keep_failures, recording
from workers.runs import compare_infactor

log = structlog.get_logger(__name__)

_MOST_ROUNDS = 3
_MOST_UNSEEN = 500
MOST_NAMED = 1000
"""Differences that are named; of more there is only the number."""


def step(company: CompanyContext, run: Run) -> bool:
    """Read and store one page, or compare after the last one; return whether the run goes on."""
    return _Comparison(company, run).step()


class _Comparison:
    """One step of a run: its order and its tally, until the next checkpoint."""

    def __init__(self, company: CompanyContext, run: Run) -> None:
        self._company = company
        self._run = run
        self._order: ReconcileCursor = {**runs.order_of(run)}
        self._tally: Tally = {**run.tally}

    def step(self) -> bool:
        if self._run.expected is None or "first" not in self._order:
            self._begin()
        cursor = self._cursor()
        if cursor.done:
            if self._order["fix"] and "infactor" not in self._order and self._confirm_deletions():
                return True
            return self._compare_with_infactor() or self._end()
        page = read_page(self._company, cursor)
        self._order["page"] = self._onwards(page).as_json()
        self._keep(page.reads)
        return True

    def _begin(self) -> None:
        """Store when the run began, by QuickBooks' clock, and the fetch number: what is later is
        not its.
        """
        self._order["first"] = self._company.draw_fetch_number()
        expected = self._company.api.count(queries.count("Invoice"))
        if self._company.api.time is not None:
            self._order["until"] = self._company.api.time.isoformat()
        with self._company.services.database.write() as session:
            runs.begin_comparison(session, self._run, self._order, expected, now())

    def _cursor(self) -> Cursor:
        kept = self._order.get("page")
        return Cursor.from_json(kept) if kept else Cursor(None)

    def _onwards(self, page: ChangePage) -> Cursor:
        """Return where to go on: after the last page once more, for what changed meanwhile."""
        if page.cursor.done and page.reads.found and self._tally["rounds"] < _MOST_ROUNDS:
            self._tally["rounds"] += 1
            return page.cursor.once_more()
        return page.cursor

    def _keep(self, reads: InvoiceReads) -> None:
        """Store what was shown; if the run fixes, record it too."""
        with self._company.services.database.read() as session:
            latest = quickbooks_times.latest(session)
        currency = self._company.services.settings.infactor_currency
        shown = [_believed(one, latest) for one in _shown(reads, currency)]
        places = [*self._tally["unreadable"], *map(str, reads.unnamed)]
        self._tally["unreadable"] = list(dict.fromkeys(places))
        with self._company.services.database.write() as session:
            # Not all that was shown so far: each page would count those of all pages before it. So
            # it may be too few until the end, where all are counted.
            self._tally["read"] += comparison.keep(session, self._run.id, shown)
            comparison.forget(session, self._run.id, reads.gone)
            if self._order["fix"]:
                ids = [one.quickbooks_id for one in shown]
                self._fixed(self._differences(session, only=ids))
            else:
                self._checkpoint(session)
        if self._order["fix"]:
            self._record(reads)

    def _record(self, reads: InvoiceReads) -> None:
        complete = CustomerReads(self._company).complete(reads)
        batch = recording(
            self._company,
            complete,
            cause=RevisionCause.RECONCILE,
            run=self._run,
            overrule=self._order.get("overrule", False),
        )
        with batch as (session, recorded):
            # What was read was counted when it was shown.
            self._tally = {**add(self._tally, recorded), "read": self._tally["read"]}
            keep_failures(session, self._company.connection_id, recorded)
            self._checkpoint(session)

    def _confirm_deletions(self) -> bool:
        """Record as deleted what was not shown and answers 610 when read alone; return whether
        there may be more.
        """
        with self._company.services.database.read() as session:
            missing = comparison.not_shown(session, self._run, self._order["first"], _MOST_UNSEEN)
        if not missing:
            return False
        reads = read_invoices(self._company, [one.quickbooks_id for one in missing])
        self._fixed([one for one in missing if one.quickbooks_id in reads.gone])
        self._keep(reads)
        return len(missing) == _MOST_UNSEEN and bool(reads.gone)

    def _differences(
        self, session: Session, only: Collection[str] | None = None
    ) -> Sequence[QuickBooksDifference]:
        first = self._order["first"]
        found = comparison.differences(session, self._run, first, MOST_NAMED, only)
        return [_doubted(one) for one in found] if self._tally["unreadable"] else found

    def _compare_with_infactor(self) -> bool:
        if self._company.services.infactor is None:
            return False
        return compare_infactor.step(self._company, self._run, self._order, self._tally)

    def _fixed(self, found: Sequence[QuickBooksDifference]) -> None:
        self._tally["fixed"] = [*self._tally["fixed"], *_plain(found)][:MOST_NAMED]

    def _checkpoint(self, session: Session) -> None:
        runs.checkpoint(session, self._run, self._order, self._tally)

    def _end(self) -> bool:
        """Compare, and end the run unless it was extended meanwhile; return whether it goes on."""
        connection_id = self._company.connection_id
        with self._company.services.database.write() as session:
            tally = _verdict(session, self._run, self._tally, self._differences(session))
            if not runs.finish(session, self._run, RunState.DONE, tally, by_name(tally), now()):
                return True
            if self._order["fix"]:  # what is still there was noted again
                quickbooks_times.forget_ahead(session, connection_id, self._run.created_at)
                self._company.prove(session, self._order["first"])
            if "since" in self._order and "until" in self._order:
                until = parse_instant(self._order["until"])
                watermarks.reconciled(session, connection_id, until, now())
            note_success(session, connection_id)
        log.info(
            "reconcile.compared",
            run=self._run.id,
            read=tally["read"],
            fixed=len(tally["fixed"]),
            differences=len(tally["differences"]),
            infactor=len(tally["infactor"]),
        )
        return False


def _verdict(
    session: Session, run: Run, tally: Tally, differences: Sequence[QuickBooksDifference]
) -> Tally:
    unreadable = comparison.unreadable(session, run, MOST_NAMED)
    remaining = _plain([*differences, *unreadable])
    # An unreadable Id is one of the unreadable places: with as many Ids as places, the places add
    # nothing.
    if len(unreadable) < len(tally["unreadable"]):
        remaining += [_in_its_place(place) for place in tally["unreadable"]]
    left = {one["id"] for one in remaining}
    there = comparison.sums_there(session, run)
    return {
        **tally,
        "read": there.count,
        "fixed": [one for one in tally["fixed"] if one["id"] not in left],
        "differences": remaining,
        "there": _sums(there),
        "here": _sums(comparison.sums_here(session, run)),
    }


def _sums(sums: InvoiceSums) -> SumsRow:
    return {"count": sums.count, "total": sums.total, "balance": sums.balance}


def _doubted(one: QuickBooksDifference) -> QuickBooksDifference:
    """Return the difference without claiming a deletion: a missing invoice may be the unreadable
    one.
    """
    if one.kind is not DifferenceKind.DELETED_IN_QUICKBOOKS:
        return one
    return replace(one, kind=DifferenceKind.NOT_SHOWN, there="not shown: deleted, or unreadable")


def _in_its_place(place: str) -> DifferenceRow:
    """Return the difference for an unreadable invoice of which only the place is known."""
    return {
        "id": place,
        "kind": DifferenceKind.UNREADABLE,
        "number": "",
        "there": "cannot be shown",
        "here": "",
    }


def _shown(reads: InvoiceReads, currency: str) -> list[SeenInvoice]:
    """Return what was shown of each invoice; for an unreadable one, only that it exists."""
    shown = [one for read in reads.found if (one := _one(read, currency)) is not None]
    return shown + [SeenInvoice(quickbooks_id=quickbooks_id) for quickbooks_id in reads.failed]


def _one(read: Read, currency: str) -> SeenInvoice | None:
    try:
        found = read.entity
    except Unmappable:
        return None  # recording reports what is wrong with it
    try:
        invoice = read_invoice(read.raw, currency)
    except Unmappable:
        return SeenInvoice(
            quickbooks_id=found.id, sync_token=found.sync_token, last_updated=found.last_updated
        )
    return SeenInvoice(
        quickbooks_id=found.id,
        sync_token=found.sync_token,
        last_updated=found.last_updated,
        total=invoice.total_amt,
        balance=invoice.total_amt if invoice.balance is None else invoice.balance,
    )


def _believed(shown: SeenInvoice, latest: datetime) -> SeenInvoice:
    if shown.last_updated is None or shown.last_updated <= latest:
        return shown
    return replace(shown, last_updated=None)


def _plain(differences: Sequence[QuickBooksDifference]) -> list[DifferenceRow]:
    return [
        {
            "id": one.quickbooks_id,
            "kind": one.kind,
            "number": one.doc_number,
            "there": one.there,
            "here": one.here,
        }
        for one in differences
    ]

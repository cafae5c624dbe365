"""Reconcile: finds changes without relying on notices.

Once a day a company is asked for what changed since its watermark: one read if nothing did. Where
change data capture does not reach, everything is read. On request everything is compared.
"""

from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from service.database.engine import after_commit
from service.database.tables import Connection, Failure, ReconcileCursor, Run, Tally
from service.domain import RevisionCause, RunCause, RunState
from service.errors import SyncError
from service.kit.clock import now
from service.quickbooks.client import CDC_FURTHEST, Changes
from service.quickbooks.entity import parse_instant
from service.quickbooks.queries import EntityName, changed_at
from service.services import Services
from service.store import inbox, invoices, own_notices, runs, watermarks
from service.wording import called, several
from workers.company import CompanyContext, note_success
from workers.reading.by_change import Cursor, read_page
from workers.reading.by_id import CustomerReads, confirm
from workers.reading.reads import InvoiceReads, Read
from workers.recording.outcome import Recorded, add
from workers.recording.record import keep_failures, recording
from workers.retry import may_pass_in_parts, pause_of_failed
from workers.runs import compare_quickbooks

log = structlog.get_logger(__name__)

# Answers overlap by this, for changes committed during an answer.
_OVERLAP = timedelta(minutes=5)
# A day less than QuickBooks' limit, because a run may wait for hours.
_FURTHEST = CDC_FURTHEST - timedelta(days=1)
# The notice of a newer change may still be on its way.
_NOTICES_TAKE = timedelta(minutes=15)
_MOST_AT_ONCE = 50
_LATE = timedelta(hours=1)
_EVER = datetime(1971, 1, 1, tzinfo=UTC)  # the first year that a query may name
_ENTITIES: tuple[EntityName, ...] = ("Invoice", "Customer")


def begin_due(services: Services) -> None:
    """Start a reconcile of each company that is due."""
    environment = services.settings.quickbooks_environment
    with services.database.read() as session:
        due = watermarks.to_reconcile(session, environment, now(), _MOST_AT_ONCE)
        causes = {connection.id: _cause(connection) for connection in due}
    for connection_id, cause in causes.items():
        with services.database.write() as session:
            order: ReconcileCursor = {"full": False, "fix": True}
            run_id = runs.begin_reconcile(session, connection_id, cause, order, now())
            after_commit(session, services.jobs.run, run_id)


def _cause(connection: Connection) -> RunCause:
    """Return DAILY if the run is on time, else DOWNTIME: then missing notices may still come."""
    last = connection.reconciled_at or connection.connected_at
    due_at = connection.reconcile_due_at
    on_time = due_at >= last + watermarks.RECONCILE_EVERY and due_at > now() - _LATE
    return RunCause.DAILY if on_time else RunCause.DOWNTIME


def step(company: CompanyContext, run: Run) -> bool:
    """Do the run's next step; return whether the run goes on."""
    order = runs.order_of(run)
    stage = order.get("stage") or ("listing" if order["full"] else "changes")
    if stage == "changes":
        return _changes(company, run)
    if "stage" not in order and "first" not in order and (since := _customers_from(company, order)):
        return _read_customers_since(company, run, since)
    if stage == "customers":
        return _customers(company, run)
    return compare_quickbooks.step(company, run)


def _customers_from(company: CompanyContext, order: ReconcileCursor) -> datetime | None:
    """Return since when changed customers are read before everything is; None where not at all.

    All of them are where what looks newer is overruled; and those of which a watermark that lies
    ahead has kept us from hearing.
    """
    if order.get("overrule"):
        return _EVER
    with company.services.database.read() as session:
        if order["fix"] and watermarks.are_ahead(session, company.connection_id):
            return watermarks.reconciled_until(session, company.connection_id)
    return None


def _changes(company: CompanyContext, run: Run) -> bool:
    """Record what changed since the watermark and end the run, or switch to a full comparison."""
    with company.services.database.read() as session:
        watermark = watermarks.reconciled_until(session, company.connection_id)
    since = watermark - _OVERLAP
    fetch_number = company.draw_fetch_number()
    found = _ask(company, since) if since > now() - _FURTHEST else None
    if found is None:
        return _read_customers_since(company, run, since)
    reads = InvoiceReads(found=[Read(raw, fetch_number) for raw in found.objects["Invoice"]])
    with company.services.database.read() as session:
        deleted = found.deleted["Invoice"].keys()
        still_here = invoices.not_deleted(session, company.connection_id, deleted)
    confirm(company, still_here, reads)
    customers = CustomerReads(company)
    customers.take(Read(raw, fetch_number) for raw in found.objects["Customer"])
    complete = customers.complete(reads)
    with recording(company, complete, cause=RevisionCause.RECONCILE, run=run) as (
        session,
        recorded,
    ):
        tally = add(run.tally, recorded)
        daily = run.cause == RunCause.DAILY
        unannounced = _unannounced(session, company, recorded, found) if daily else 0
        keep_failures(session, company.connection_id, recorded)
        error = _not_recorded(tally["failures"])
        if runs.finish(session, run, RunState.DONE, tally, error, now(), unannounced=unannounced):
            watermarks.reconciled(session, company.connection_id, found.time, now())
            company.prove(session, fetch_number)
        note_success(session, company.connection_id)
    log.info(
        "reconcile.ended",
        run=run.id,
        changed=len(recorded.changed),
        unannounced=unannounced,
        failed=tally["failed"],
    )
    return False


def _ask(company: CompanyContext, since: datetime) -> Changes | None:
    """Return what changed since then, or None if that is too much for one answer each."""
    try:
        together = company.api.cdc(_ENTITIES, since)
        if not together.full:
            return together
        # Asked alone, each entity has room for 1,000 objects.
        customers = company.api.cdc(["Customer"], since)
        changed = company.api.cdc(["Invoice"], since)
    except SyncError as e:
        # One bad record spoils the whole answer; paging can step over it.
        if not may_pass_in_parts(e):
            raise
        return None
    if customers.full or changed.full:
        return None
    return Changes(
        objects={**customers.objects, **changed.objects},
        deleted={**customers.deleted, **changed.deleted},
        time=min(customers.time, changed.time),
        full=False,
    )


def _customers(company: CompanyContext, run: Run) -> bool:
    """Store one page of the customers that changed since the watermark."""
    order = runs.order_of(run)
    kept = order.get("page")
    cursor = Cursor.from_json(kept) if kept else Cursor(parse_instant(order["since"]))
    page = read_page(company, cursor, "Customer")
    customers = CustomerReads(company)
    customers.take(page.reads.found)
    none = customers.complete(InvoiceReads())
    onwards: ReconcileCursor = {**order, "page": page.cursor.as_json()}
    if page.cursor.done:
        onwards = {**order, "stage": "listing", "page": None}
    overrule = order.get("overrule", False)
    batch = recording(company, none, cause=RevisionCause.RECONCILE, run=run, overrule=overrule)
    with batch as (session, recorded):
        tally: Tally = {
            **run.tally,
            "withdrawn": run.tally["withdrawn"] + len(recorded.withdrawn),
        }
        runs.checkpoint(session, run, onwards, tally)
        for place, error in page.reads.unnamed.items():
            at, id_ = now(), company.connection_id
            due_at = at + pause_of_failed(error, 1)
            own_notices.add_unreadable(
                session, id_, place, error, at, due_at, since=place.since, is_customer=True
            )
    return True


def _read_customers_since(company: CompanyContext, run: Run, since: datetime) -> bool:
    onwards: ReconcileCursor = {
        **runs.order_of(run),
        "stage": "customers",
        "since": since.isoformat(),
    }
    with company.services.database.write() as session:
        runs.checkpoint(session, run, onwards, run.tally)
    return True


def _unannounced(
    session: Session, company: CompanyContext, recorded: Recorded, found: Changes
) -> int:
    """Count the changes of at least 15 minutes ago for which no notice has come."""
    notified = inbox.open_invoices(session, company.connection_id, recorded.changed)
    times = {str(raw.get("Id")): changed_at(raw) for raw in found.objects["Invoice"]}
    times |= found.deleted["Invoice"]
    latest = found.time - _NOTICES_TAKE
    return sum(1 for i in recorded.changed - notified if (at := times.get(i)) and at <= latest)


def _not_recorded(failures: list[Failure]) -> str | None:
    if not failures:
        return None
    count = several(len(failures), "changed invoice", "changed invoices")
    names = ", ".join(called(failure["id"], "") for failure in failures[:10])
    return f"{count} could not be recorded: {names}"

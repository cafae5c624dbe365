"""Which invoices a run over a company's whole past has met."""

from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.store.insert import insert
from service.store.tables import Invoice, Run, RunSeen


def mark(session: Session, run_id: int, quickbooks_ids: Collection[str]) -> None:
    """Note that the run has met these invoices."""
    rows = [{"run_id": run_id, "quickbooks_id": i} for i in sorted(quickbooks_ids)]
    if rows:
        session.execute(insert(session, RunSeen).on_conflict_do_nothing(), rows)


def unseen(session: Session, run: Run, limit: int) -> Sequence[str]:
    """Return recorded invoices of the company, not known as deleted, that the run has not met."""
    met = select(RunSeen.quickbooks_id).where(
        RunSeen.run_id == run.id, RunSeen.quickbooks_id == Invoice.quickbooks_id
    )
    return session.scalars(
        select(Invoice.quickbooks_id)
        .where(Invoice.connection_id == run.connection_id, ~Invoice.deleted, ~met.exists())
        .order_by(Invoice.quickbooks_id)
        .limit(limit)
    ).all()

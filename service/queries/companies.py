"""Companies as operators search them: a page at a time, by name, supplier and state."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select, tuple_
from sqlalchemy.orm import Session

from service.database.tables import Connection, Run, Supplier
from service.domain import CompanyState
from service.store import approvals, connections, inbox, infactor_outbox, runs, silence


@dataclass(frozen=True, slots=True)
class CompanyEntry:
    """One company with its supplier and what an operator checks first.

    `last_notice` is the last of QuickBooks', `reconcile` the newest that ended, `failed` counts
    open failed notices, and `stopped` is a run that waits for approval.
    """

    connection: Connection
    supplier: Supplier
    last_notice: datetime | None
    reconcile: Run | None
    failed: int
    stopped: Run | None


def page(
    session: Session,
    environment: str,
    *,
    after: str | None = None,
    text: str = "",
    supplier_ids: Collection[int] | None = None,
    state: CompanyState | None = None,
    late_since: datetime | None = None,
    limit: int,
) -> list[CompanyEntry]:
    """Return companies by name, after the one with the id `after`.

    `late_since` keeps those with an invoice on its way to Infactor since then, or refused there.
    """
    name = func.lower(Connection.company_name)
    chosen = [Connection.environment == environment]
    if state:
        chosen.append(connections.company_state == state)
    if after is not None:
        last = session.get(Connection, after)
        if last is not None:
            behind = select(func.lower(last.company_name)).scalar_subquery()
            chosen.append(tuple_(name, Connection.id) > tuple_(behind, last.id))
    if late_since is not None:
        chosen.append(infactor_outbox.has_late_deliveries(late_since))
    if supplier_ids is not None:
        chosen.append(Connection.supplier_id.in_(supplier_ids))
    if text:
        # The database compares both in lower case; SQLite's lower case is ASCII only.
        named = (Connection.company_name, Supplier.name)
        chosen.append(or_(*(column.icontains(text, autoescape=True) for column in named)))
    rows = session.execute(
        select(Connection, Supplier)
        .join(Supplier, Supplier.id == Connection.supplier_id)
        .where(*chosen)
        .order_by(name, Connection.id)
        .limit(limit)
    ).all()
    return _with_news(session, [(connection, owner) for connection, owner in rows])


def one(session: Session, environment: str, connection_id: str) -> CompanyEntry | None:
    rows = session.execute(
        select(Connection, Supplier)
        .join(Supplier, Supplier.id == Connection.supplier_id)
        .where(Connection.id == connection_id, Connection.environment == environment)
    ).all()
    found = _with_news(session, [(connection, owner) for connection, owner in rows])
    return found[0] if found else None


def suppliers(session: Session, address: str, limit: int) -> Sequence[int]:
    """Return the ids of suppliers whose e-mail address contains this text."""
    has_it = Supplier.email.icontains(address, autoescape=True)
    return session.scalars(select(Supplier.id).where(has_it).limit(limit)).all()


def named(session: Session, environment: str, text: str, limit: int) -> Sequence[str]:
    """Return the ids of connections whose company name contains this text."""
    has_it = Connection.company_name.icontains(text, autoescape=True)
    return session.scalars(
        select(Connection.id).where(Connection.environment == environment, has_it).limit(limit)
    ).all()


def names(session: Session, connection_ids: Collection[str]) -> dict[str, str]:
    """Return the companies' names by connection id; a forgotten one is called by its id."""
    rows = session.execute(
        select(Connection.id, Connection.company_name).where(Connection.id.in_(connection_ids))
    )
    return {connection_id: name or connection_id for connection_id, name in rows}


def _with_news(session: Session, rows: Sequence[tuple[Connection, Supplier]]) -> list[CompanyEntry]:
    """Add to each company what an operator checks first, at a few index look-ups a company."""
    ids = [connection.id for connection, _ in rows]
    last = silence.last_webhook()
    newest = runs.newest_reconcile()
    news = {
        connection_id: (at, run_id)
        for connection_id, at, run_id in session.execute(
            select(Connection.id, last, newest).where(Connection.id.in_(ids))
        )
    }
    run_ids = [run_id for _, run_id in news.values() if run_id is not None]
    reconciles = {
        run.connection_id: run for run in session.scalars(select(Run).where(Run.id.in_(run_ids)))
    }
    failed, stopped = inbox.failed_of_companies(session, ids), approvals.waiting(session, ids)
    return [
        CompanyEntry(
            connection=connection,
            supplier=owner,
            last_notice=news[connection.id][0],
            reconcile=reconciles.get(connection.id),
            failed=failed.get(connection.id, 0),
            stopped=stopped.get(connection.id),
        )
        for connection, owner in rows
    ]

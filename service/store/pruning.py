"""Deleting what nobody needs any more, at most `limit` rows a call; each returns how many."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from service.database.tables import (
    Alert,
    Base,
    EventPosition,
    FeedEvent,
    Finding,
    Invoice,
    Notice,
    Receipt,
    Run,
    RunSeen,
    WebhookAnswers,
)
from service.database.types import written_out
from service.domain import NoticeStatus

_IGNORED = Notice.status == written_out(NoticeStatus.IGNORED)


def handled_notices(session: Session, before: datetime, limit: int) -> int:
    """Delete notices that were done before then; failed ones stay until somebody handles them."""
    return _delete(
        session,
        Notice,
        Notice.id,
        and_(Notice.status == NoticeStatus.DONE, Notice.handled_at < before),
        limit,
    )


def ignored_notices(session: Session, before: datetime, limit: int) -> int:
    """Delete ignored notices that came before then."""
    return _delete(session, Notice, Notice.id, and_(_IGNORED, Notice.received_at < before), limit)


def unreadable_notices(session: Session, before: datetime, limit: int) -> int:
    """Delete notices from before then that could not be parsed."""
    unreadable = or_(Notice.body_sealed.is_not(None), Notice.format == "unknown")
    old = and_(_IGNORED, unreadable, Notice.received_at < before)
    return _delete(session, Notice, Notice.id, old, limit)


def unconnected_notices(session: Session, before: datetime, limit: int) -> int:
    """Delete notices from before then of no known company.

    A company that connects later is read as a whole anyway.
    """
    old = and_(Notice.connection_id.is_(None), Notice.received_at < before)
    return _delete(session, Notice, Notice.id, old, limit)


def ended_runs(session: Session, before: datetime, limit: int) -> int:
    """Delete runs that ended before then, but for the newest of each kind of each company."""
    newest = select(func.max(Run.id)).group_by(Run.connection_id, Run.kind)
    old = and_(Run.finished_at < before, Run.id.not_in(newest))
    ids = session.scalars(select(Run.id).where(old).limit(limit)).all()
    session.execute(delete(RunSeen).where(RunSeen.run_id.in_(ids)))
    session.execute(delete(Run).where(Run.id.in_(ids)))
    return len(ids)


def counted_deliveries(session: Session, before: datetime, limit: int) -> int:
    """Delete the webhook counts of minutes before then."""
    minutes = select(WebhookAnswers.minute).where(WebhookAnswers.minute < before).limit(limit)
    found = session.scalars(minutes).all()
    session.execute(delete(WebhookAnswers).where(WebhookAnswers.minute.in_(found)))
    return len(found)


def ended_alerts(session: Session, before: datetime, limit: int) -> int:
    return _delete(session, Alert, Alert.id, Alert.ended_at < before, limit)


def old_events(session: Session, before: datetime, limit: int) -> int:
    """Delete events from before then that are to be sent to nobody any more."""
    return _events(session, and_(FeedEvent.at < before, ~FeedEvent.waiting), limit)


def unsent_events(session: Session, before: datetime, limit: int) -> int:
    """Delete events from before then that EVENTS_URL has not accepted ever since."""
    return _events(session, FeedEvent.at < before, limit)


def _events(session: Session, old: ColumnElement[bool], limit: int) -> int:
    """Delete such events, and note up to where a reader may have missed some."""
    oldest = select(FeedEvent.id, FeedEvent.position).where(old).order_by(FeedEvent.at)
    rows = session.execute(oldest.limit(limit)).all()
    if rows:
        session.execute(delete(FeedEvent).where(FeedEvent.id.in_([id_ for id_, _ in rows])))
        highest = max(position or 0 for _, position in rows)
        lower = EventPosition.pruned < highest
        session.execute(update(EventPosition).where(lower).values(pruned=highest))
    return len(rows)


def closed_findings(
    session: Session, before: datetime, limit: int, *, of_approved: datetime
) -> int:
    """Delete findings closed before then; of invoices ever approved, before `of_approved`."""
    old = _old(Finding.closed_at, Finding.invoice_id, before, of_approved)
    return _delete(session, Finding, Finding.id, old, limit)


def old_receipts(session: Session, before: datetime, limit: int, *, of_approved: datetime) -> int:
    """Delete receipts from before then, but for the newest of each invoice.

    Those of invoices ever approved are deleted if they are from before `of_approved`.
    """
    newer = aliased(Receipt)
    is_newest = ~exists().where(newer.invoice_id == Receipt.invoice_id, newer.id > Receipt.id)
    old = _old(Receipt.at, Receipt.invoice_id, before, of_approved)
    return _delete(session, Receipt, Receipt.id, and_(old, ~is_newest), limit)


def _old(
    at: InstrumentedAttribute[Any],
    invoice_id: InstrumentedAttribute[str],
    before: datetime,
    of_approved: datetime,
) -> ColumnElement[bool]:
    approved = exists().where(Invoice.id == invoice_id, Invoice.approved_at.is_not(None))
    return and_(at < before, or_(at < of_approved, ~approved))


def _delete(
    session: Session,
    table: type[Base],
    key: InstrumentedAttribute[int],
    old: ColumnElement[bool],
    limit: int,
) -> int:
    chosen = select(key).where(old).limit(limit).scalar_subquery()
    statement = delete(table).where(key.in_(chosen))
    return session.connection().execute(statement).rowcount

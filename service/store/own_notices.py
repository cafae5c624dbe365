"""Notices that the service sends itself: work that no event of QuickBooks' asks for."""

from collections.abc import Collection
from datetime import datetime
from hashlib import sha256

from sqlalchemy import case
from sqlalchemy.orm import Session

from service.database.tables import Notice
from service.database.upsert import insert
from service.domain import NoticeStatus, OwnNotice
from service.store import inbox


def ask_for_changes(session: Session, connection_id: str, why: OwnNotice, now: datetime) -> int:
    """Add an own notice that asks for whatever changed since the watermark; return its id."""
    notice = _own(connection_id, "Connection", why, now)
    session.add(notice)
    session.flush()
    return notice.id


def ask_for_invoices(
    session: Session,
    connection_id: str,
    quickbooks_ids: Collection[str],
    why: OwnNotice,
    now: datetime,
) -> None:
    """Add an own notice for each of these invoices that has no pending or failed one.

    So one policy tries again whatever could not be recorded, and marks it as failed in the end.
    """
    open_already = inbox.open_invoices(session, connection_id, quickbooks_ids)
    session.add_all(
        _own(connection_id, "Invoice", why, now, quickbooks_id)
        for quickbooks_id in sorted(set(quickbooks_ids) - open_already)
    )


def _own(
    connection_id: str, entity: str, why: OwnNotice, now: datetime, entity_id: str | None = None
) -> Notice:
    return Notice(
        connection_id=connection_id,
        format="own",
        entity=entity,
        operation=why,
        entity_id=entity_id,
        received_at=now,
        status=NoticeStatus.PENDING,
    )


def add_unreadable(
    session: Session,
    connection_id: str,
    place: str,
    error: Exception,
    now: datetime,
    due_at: datetime,
    *,
    since: datetime | None = None,
    is_customer: bool = False,
) -> None:
    """Add a failed notice for a place in QuickBooks' answers that it cannot show; no Id is known.

    A place has one failed notice, however often it is met, with the newest error. From `due_at` on
    it is read again, in the invoices or customers that changed from `since` on.
    """
    failed = insert(session, Notice).values(
        dedupe_key=_key_of_place(connection_id, place),
        connection_id=connection_id,
        format="own",
        entity="Customer" if is_customer else "Connection",
        operation=OwnNotice.UNREADABLE,
        received_at=now,
        status=NoticeStatus.FAILED,
        reason=f"QuickBooks cannot show {place}",
        handled_at=now,
        changed_at=since,
        due_at=due_at,
        **inbox.evidence(error),
    )
    met_again = {
        "duplicates": Notice.duplicates + 1,
        "status": NoticeStatus.FAILED,
        "reason": f"QuickBooks cannot show {place}",
        "handled_at": now,
        "due_at": case((Notice.status == NoticeStatus.FAILED, Notice.due_at), else_=due_at),
        **inbox.evidence(error),
    }
    session.execute(
        failed.on_conflict_do_update(index_elements=[Notice.dedupe_key], set_=met_again)
    )


def _key_of_place(connection_id: str, place: str) -> str:
    return sha256(f"{connection_id} {OwnNotice.UNREADABLE} {place}".encode()).hexdigest()

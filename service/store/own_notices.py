"""Notices of our own: what this service asks itself to look at."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.store.inbox import CLAIM_LIMIT, evidence
from service.store.tables import Notice


def ask_for_changes(session: Session, connection_id: str, why: str, now: datetime) -> int:
    """Ask for whatever changed since the watermark, as a notice of our own; return its id."""
    notice = Notice(
        connection_id=connection_id,
        format="own",
        entity="Connection",
        operation=why,
        received_at=now,
        status="pending",
    )
    session.add(notice)
    session.flush()
    return notice.id


def ask_for_invoices(
    session: Session, connection_id: str, quickbooks_ids: Collection[str], why: str, now: datetime
) -> None:
    """Ask for these invoices as notices of our own, unless a notice of each is open already.

    So whatever fails on one invoice is tried again, and in the end parked, by one policy.
    """
    open_already = open_invoices(session, connection_id, quickbooks_ids)
    for quickbooks_id in sorted(set(quickbooks_ids) - open_already):
        session.add(
            Notice(
                connection_id=connection_id,
                format="own",
                entity="Invoice",
                operation=why,
                entity_id=quickbooks_id,
                received_at=now,
                status="pending",
            )
        )


def park_unnamed(
    session: Session, connection_id: str, place: str, error: Exception, now: datetime
) -> None:
    """Keep for an operator that QuickBooks cannot show what is at this place; nobody knows its id.

    There is one parked notice of a place, however often it is met, with the newest evidence. Must
    be called by one at a time for each company.
    """
    reason = f"QuickBooks cannot show {place}"
    met_again = session.execute(
        update(Notice)
        .where(
            Notice.connection_id == connection_id,
            Notice.status == "parked",
            Notice.operation == "unreadable",
            Notice.reason == reason,
        )
        .values(duplicates=Notice.duplicates + 1, handled_at=now, **evidence(error))
        .returning(Notice.id)
    )
    if met_again.first() is not None:
        return
    session.add(
        Notice(
            connection_id=connection_id,
            format="own",
            entity="Connection",
            operation="unreadable",
            received_at=now,
            status="parked",
            reason=reason,
            handled_at=now,
            **evidence(error),
        )
    )


def open_invoices(
    session: Session, connection_id: str, quickbooks_ids: Collection[str]
) -> set[str]:
    """Return those of these invoices about which a notice is pending or parked."""
    found: set[str] = set()
    ids = sorted(set(quickbooks_ids))
    for status in ("pending", "parked"):  # each has an index of its own
        for start in range(0, len(ids), CLAIM_LIMIT):
            rows = session.scalars(
                select(Notice.entity_id).where(
                    Notice.connection_id == connection_id,
                    Notice.status == status,
                    Notice.entity == "Invoice",
                    Notice.entity_id.in_(ids[start : start + CLAIM_LIMIT]),
                )
            )
            found |= {entity_id for entity_id in rows if entity_id is not None}
    return found

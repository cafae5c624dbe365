"""Notices that failed for good, so that what they tell of may be missing from the record."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, and_, func, literal, select
from sqlalchemy.orm import Session, aliased

from service.store.tables import Notice, Run

# Written out in the query, where the databases recognise the condition of a partial index.
_PARKED = literal("parked", literal_execute=True)
_later = aliased(Notice)


def is_open() -> ColumnElement[bool]:
    """Say of a notice that it is parked, and that nothing since has done its work.

    That would be a later notice about the same thing that is done, or a reconcile, begun later,
    after which all agreed.
    """
    done_since = select(_later.id).where(
        _later.entity_id == Notice.entity_id,
        _later.entity == Notice.entity,
        _later.connection_id == Notice.connection_id,
        _later.status == "done",
        _later.id > Notice.id,
    )
    agreed_since = select(Run.id).where(
        Run.connection_id == Notice.connection_id,
        Run.kind == "reconcile",
        Run.state == "done",
        Run.error.is_(None),
        Run.created_at >= Notice.handled_at,
    )
    return and_(Notice.status == _PARKED, ~done_since.exists(), ~agreed_since.exists())


_of_companies = (
    select(Notice.connection_id, func.count())
    .where(is_open(), Notice.connection_id.is_not(None))
    .group_by(Notice.connection_id)
)


def of_companies(session: Session, connection_ids: Collection[str]) -> dict[str, int]:
    """Return how many there are of each of these companies that has any."""
    rows = session.execute(_of_companies.where(Notice.connection_id.in_(connection_ids)))
    return {connection_id: count for connection_id, count in rows if connection_id}

"""Alerts as operators list them, the newest first."""

from collections.abc import Sequence
from enum import StrEnum

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from service.database.tables import Alert


class AlertFilter(StrEnum):
    """Which alerts to list."""

    ON = "on"
    OVER = "over"
    UNSENT = "unsent"


def page(
    session: Session, *, state: str = "", before: int | None = None, limit: int
) -> Sequence[Alert]:
    """Return the alerts below the id `before`."""
    query = select(Alert).where(*_in_state(state)).order_by(Alert.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Alert.id < before)
    return session.scalars(query).all()


def _in_state(state: str) -> list[ColumnElement[bool]]:
    match state:
        case AlertFilter.ON:
            return [Alert.ended_at.is_(None)]
        case AlertFilter.OVER:
            return [Alert.ended_at.is_not(None)]
        case AlertFilter.UNSENT:
            return [Alert.error.is_not(None)]
        case _:
            return []

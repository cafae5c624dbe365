"""How webhook deliveries were answered, minute by minute, whichever receiver it was."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.store.insert import insert
from service.store.tables import Deliveries


def add(session: Session, counts: Mapping[tuple[datetime, str], int]) -> None:
    """Add what one receiver has counted, by minute and outcome."""
    # In one order everywhere, so that two receivers cannot deadlock.
    for (minute, outcome), count in sorted(counts.items()):
        statement = insert(session, Deliveries).values(minute=minute, outcome=outcome, count=count)
        session.execute(
            statement.on_conflict_do_update(
                index_elements=[Deliveries.minute, Deliveries.outcome],
                set_={"count": Deliveries.count + statement.excluded.count},
            )
        )


def by_outcome(session: Session, since: datetime) -> dict[str, int]:
    """Return how many deliveries were answered how since then."""
    rows = session.execute(
        select(Deliveries.outcome, func.sum(Deliveries.count))
        .where(Deliveries.minute >= since)
        .group_by(Deliveries.outcome)
    )
    return {outcome: int(count) for outcome, count in rows}

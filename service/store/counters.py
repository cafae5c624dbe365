"""Totals that only ever rise, for Prometheus: how notices ended, and what deliveries did.

They are counted from the rows themselves, once a minute by one process, and kept in a table. So a
total loses nothing when a process is killed, falls with no row that is pruned, and is the same
whichever receiver is asked. What work itself would have to add to a counter, every thread of every
worker would have to wait for.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import case, func, select, update
from sqlalchemy.orm import Session

from service.database.tables import Counter, Notice, Receipt
from service.database.upsert import insert
from service.domain import NoticeStatus
from service.store import infactor_outbox
from service.store.infactor_outbox import CLOCKS_DIFFER

# A row is written a moment before others see it: its transaction has to end first.
_SETTLED = timedelta(minutes=1)
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)

Labels = tuple[str, str]


class Counted(StrEnum):
    """What is counted, by which two labels."""

    NOTICES_ENDED = "notices_ended"  # by status and outcome
    RECEIPTS = "receipts"  # by outcome; the second label is empty


def count_up(session: Session, now: datetime) -> None:
    """Add what ended since it was last counted, up to a minute before `now`.

    Another process waits for this transaction. Where the clock is set back a little, nothing is
    added until it has caught up. Where it is set back by more than ten minutes, counting goes on
    from there: then what ended in a time that comes twice counts twice, but nothing is lost. A
    notice that is retried within that minute is counted when it ends again.
    """
    until = now - _SETTLED
    for counted, found_between in _FOUND.items():
        since = _lock(session, counted)
        if since > until + CLOCKS_DIFFER:
            since = until
        if since > until:
            continue
        for labels, count in found_between(session, since, until).items():
            _add(session, counted, labels, count)
        whole = (Counter.name == counted, Counter.counted_until.is_not(None))
        session.execute(update(Counter).where(*whole).values(counted_until=until))


def _lock(session: Session, counted: Counted) -> datetime:
    """Return until when this is counted, which nobody else changes in this transaction.

    It is in a row without labels, of which nothing is counted.
    """
    row = insert(session, Counter).values(
        name=counted, first="", second="", total=0, counted_until=_BEGINNING
    )
    until = session.execute(
        row.on_conflict_do_update(
            index_elements=[Counter.name, Counter.first, Counter.second],
            set_={"total": Counter.total},
        ).returning(Counter.counted_until)
    ).scalar_one()
    return until or _BEGINNING


def totals(session: Session, counted: Counted) -> dict[Labels, int]:
    """Return each total by its labels."""
    rows = session.execute(
        select(Counter.first, Counter.second, Counter.total).where(
            Counter.name == counted, Counter.total > 0
        )
    )
    return {(first, second): total for first, second, total in rows}


def _add(session: Session, counted: Counted, labels: Labels, count: int) -> None:
    first, second = labels
    row = insert(session, Counter).values(name=counted, first=first, second=second, total=count)
    session.execute(
        row.on_conflict_do_update(
            index_elements=[Counter.name, Counter.first, Counter.second],
            set_={"total": Counter.total + count},
        )
    )


def _notices(session: Session, since: datetime, until: datetime) -> dict[Labels, int]:
    """Count notices that ended in this time: a range of an index.

    The outcome is a done one's reason without details, and a failed one's error class.
    """
    outcome = case(
        (Notice.status == NoticeStatus.DONE, Notice.reason),
        (Notice.status == NoticeStatus.FAILED, Notice.error_class),
    )
    rows = session.execute(
        select(Notice.status, outcome, func.count())
        .where(Notice.handled_at >= since, Notice.handled_at < until)
        .group_by(Notice.status, outcome)
    )
    ended: dict[Labels, int] = {}
    for status, text, count in rows:
        labels = (status, (text or "").partition(":")[0])
        ended[labels] = ended.get(labels, 0) + count
    return ended


def _receipts(session: Session, since: datetime, until: datetime) -> dict[Labels, int]:
    rows = session.execute(
        select(Receipt.outcome, func.count())
        .where(*infactor_outbox.receipts_since(since), Receipt.at < until)
        .group_by(Receipt.outcome)
    )
    return {(outcome, ""): count for outcome, count in rows}


_FOUND: Mapping[Counted, Callable[[Session, datetime, datetime], dict[Labels, int]]] = {
    Counted.NOTICES_ENDED: _notices,
    Counted.RECEIPTS: _receipts,
}

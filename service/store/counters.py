"""Totals that only ever rise, for Prometheus: how notices ended, and what deliveries did.

They are counted from the rows themselves, once a minute by one process, and kept in a table. So a
total loses nothing when a process is killed, falls with no row that is pruned, and is the same
whichever receiver is asked. What work itself would have to add to a counter, every thread of every
worker would have to wait for.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session, aliased

from service.database.tables import Counter, Notice, Receipt
from service.database.upsert import insert
from service.domain import NoticeStatus

# A row is written a moment before others see it: its transaction has to end first.
_SETTLED = timedelta(minutes=1)
# Two machines' clocks, and a clock that is corrected, differ by less.
_CLOCKS_DIFFER = timedelta(minutes=10)
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
        if since > until + _CLOCKS_DIFFER:
            since = until
        if since > until:
            continue
        # The row without labels, of which nothing is counted, says until when this is.
        for labels, count in {("", ""): 0, **found_between(session, since, until)}.items():
            _add(session, counted, labels, count, until)


def _lock(session: Session, counted: Counted) -> datetime:
    """Return until when this is counted, which nobody else changes in this transaction."""
    row = insert(session, Counter).values(
        name=counted, first="", second="", total=0, counted_until=_BEGINNING
    )
    return session.execute(
        row.on_conflict_do_update(
            index_elements=[Counter.name, Counter.first, Counter.second],
            set_={"total": Counter.total},
        ).returning(Counter.counted_until)
    ).scalar_one()


def totals(session: Session, counted: Counted) -> dict[Labels, int]:
    """Return each total by its labels."""
    rows = session.execute(
        select(Counter.first, Counter.second, Counter.total).where(
            Counter.name == counted, Counter.total > 0
        )
    )
    return {(first, second): total for first, second, total in rows}


def _add(session: Session, counted: Counted, labels: Labels, count: int, until: datetime) -> None:
    first, second = labels
    row = insert(session, Counter).values(
        name=counted, first=first, second=second, total=count, counted_until=until
    )
    session.execute(
        row.on_conflict_do_update(
            index_elements=[Counter.name, Counter.first, Counter.second],
            set_={"total": Counter.total + count, "counted_until": until},
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
    """Count receipts of this time.

    They are numbered nearly as they come, so the last one that is well older is found from the
    newest back; `at` has no index.
    """
    older = aliased(Receipt)
    well_before = since - _CLOCKS_DIFFER
    last = select(older.id).where(older.at < well_before).order_by(older.id.desc()).limit(1)
    rows = session.execute(
        select(Receipt.outcome, func.count())
        .where(
            Receipt.id > func.coalesce(last.scalar_subquery(), 0),
            Receipt.at >= since,
            Receipt.at < until,
        )
        .group_by(Receipt.outcome)
    )
    return {(outcome, ""): count for outcome, count in rows}


_FOUND: Mapping[Counted, Callable[[Session, datetime, datetime], dict[Labels, int]]] = {
    Counted.NOTICES_ENDED: _notices,
    Counted.RECEIPTS: _receipts,
}

"""The inbox by itself: batches, limits and the order of claims."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, func, select, text, update

from service.database.engine import Database, Statements
from service.database.tables import Connection, Notice, NoticeAttempt
from service.errors import TransientError
from service.queries import notices
from service.store import inbox, own_notices
from service.store.inbox import NewNotice, insert_notices
from tests.servers import wait_until

AT = datetime(2026, 11, 20, 16, 19, 17, tzinfo=UTC)


def a_new_notice(key: str, **fields: Any) -> NewNotice:
    return NewNotice(
        **{
            "dedupe_key": key,
            "format": "cloudevents",
            "event_id": key,
            "realm_digest": "digest",
            "realm_sealed": "sealed",
            "entity": "Invoice",
            "operation": "updated",
            "entity_id": "1",
            **fields,
        }
    )


def received(database: Database, *notices: NewNotice, environment: str = "simulator") -> set[str]:
    with closing(Statements(database.engine)) as statements:
        return insert_notices(statements, notices, environment, AT)


def total(database: Database) -> tuple[int, int]:
    """Return (how many notices there are, how many repetitions they have seen)."""
    with database.read() as session:
        count, duplicates = session.execute(
            select(func.count(Notice.id), func.sum(Notice.duplicates))
        ).one()
    return count, int(duplicates)


def test_the_companies_with_new_work_are_returned(database: Database, connection_id: str) -> None:
    assert received(database, a_new_notice("a"), a_new_notice("b", realm_digest="other")) == {"c1"}


def test_what_is_ignored_from_the_start_is_no_work(database: Database, connection_id: str) -> None:
    assert received(database, a_new_notice("a", reason="entity is not followed")) == set()


def test_a_company_of_another_environment_is_unknown(
    database: Database, connection_id: str
) -> None:
    assert received(database, a_new_notice("a"), environment="production") == set()
    with database.read() as session:
        assert session.scalars(select(Notice.connection_id)).all() == [None]


UNKNOWN = "no connection for this company yet: kept until it connects"
AWAY = "the company is disconnected: kept until it connects again"
BAD = "entity is not followed"


def test_a_notice_is_stored_with_what_its_kind_needs(
    database: Database, connection_id: str
) -> None:
    """Whose it is stays with strangers alone; what can never be acted upon has its end at once."""
    received(
        database,
        a_new_notice("known"),
        a_new_notice("known, bad", reason=BAD),
        a_new_notice("strange", realm_digest="other"),
        a_new_notice("strange, bad", realm_digest="other", reason=BAD),
    )
    with database.write() as session:
        session.execute(update(Connection).values(state="disconnected"))
    assert received(database, a_new_notice("away"), a_new_notice("away, bad", reason=BAD)) == {"c1"}
    with database.read() as session:
        notices = session.scalars(select(Notice)).all()
    assert {n.received_at for n in notices} == {AT}
    assert {
        n.dedupe_key: (n.status, n.reason, n.handled_at, n.connection_id, n.realm_digest)
        for n in notices
    } == {
        "known": ("pending", None, None, "c1", None),
        "known, bad": ("ignored", BAD, AT, "c1", None),
        "strange": ("pending", UNKNOWN, None, None, "other"),
        "strange, bad": ("ignored", BAD, AT, None, "other"),
        "away": ("pending", AWAY, None, "c1", None),
        "away, bad": ("ignored", BAD, AT, "c1", None),
    }
    kept = {n.dedupe_key for n in notices if n.realm_sealed is not None}
    assert kept == {"strange", "strange, bad"}


def test_repetitions_count_within_a_batch_and_between_batches(
    database: Database, connection_id: str
) -> None:
    received(database, a_new_notice("a"), a_new_notice("a"), a_new_notice("b"), a_new_notice("a"))
    assert total(database) == (2, 2)
    received(database, a_new_notice("a"), a_new_notice("b"), a_new_notice("a"), a_new_notice("a"))
    assert total(database) == (2, 6)


def is_free(database: Database, key: str) -> bool:
    """Return whether nobody has locked the notice."""
    with database.read() as session:
        query = select(Notice.id).where(Notice.dedupe_key == key)
        return session.scalar(query.with_for_update(skip_locked=True)) is not None


def somebody_waits(database: Database) -> bool:
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with database.read() as session:
        return bool(session.scalar(text(waiting)))


@pytest.mark.postgresql("its connections and locks are of its own")
def test_a_receiver_takes_its_events_in_one_order_however_they_came(
    database: Database, connection_id: str
) -> None:
    """Or two receivers with the same events could each have what the other one waits for."""
    received(database, *[a_new_notice(key) for key in "amz"])
    with ThreadPoolExecutor(1) as pool:
        with database.write() as session:
            session.execute(update(Notice).where(Notice.dedupe_key == "m").values(reason="held"))
            waiting = pool.submit(received, database, *[a_new_notice(key) for key in "zma"])
            wait_until(lambda: somebody_waits(database), what="the receiver")
            assert (is_free(database, "a"), is_free(database, "z")) == (False, True)
        waiting.result()
    assert total(database) == (3, 3)


def test_no_repetition_is_lost_between_receivers(database: Database, connection_id: str) -> None:
    """Eight receivers get the same 50 events at once, each in an order of its own."""
    keys = [f"k{n:02}" for n in range(50)]

    def receive(shift: int) -> None:
        received(database, *[a_new_notice(key) for key in keys[shift:] + keys[:shift]])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(receive, range(0, 40, 5)))
    assert total(database) == (50, 350)


def test_a_claim_takes_500_at_most_the_oldest_first(database: Database, connection_id: str) -> None:
    received(database, *[a_new_notice(f"k{n:04}", entity_id=str(n)) for n in range(1100)])
    taken: list[list[str | None]] = []
    for _ in range(3):
        with database.write() as session:
            batch, _ = inbox.claim(session, "c1", "me", AT)
            inbox.finish(session, [notice.id for notice in batch], "done", AT)
        taken.append([notice.entity_id for notice in batch])
    assert [len(batch) for batch in taken] == [500, 500, 100]
    assert [i for batch in taken for i in batch] == [str(n) for n in range(1100)]


def test_a_claim_leaves_alone_what_is_not_due(database: Database, connection_id: str) -> None:
    received(database, a_new_notice("a"), a_new_notice("b"))
    with database.write() as session:
        batch, _ = inbox.claim(session, "c1", "me", AT)
        later = AT + timedelta(seconds=60)
        error = TransientError("unavailable", intuit_tid="t-1")
        inbox.retry(session, [batch[0].id], error, AT, later)
        inbox.finish(session, [batch[1].id], "done", AT)
    with database.write() as session:
        assert not inbox.is_company_due(session, "c1", "simulator", AT + timedelta(seconds=59))
        assert inbox.claim(session, "c1", "me", AT + timedelta(seconds=59))[0] == []
        assert inbox.is_company_due(session, "c1", "simulator", later)
        (notice,) = inbox.claim(session, "c1", "me", later)[0]
    assert (notice.error_class, notice.error_message, notice.intuit_tid) == (
        "TransientError",
        "unavailable",
        "t-1",
    )
    assert (notice.attempts, notice.losses) == (2, 0)


def test_each_attempt_that_failed_is_kept_until_its_notice_goes(
    database: Database, connection_id: str
) -> None:
    received(database, a_new_notice("a"), a_new_notice("b"))
    later, last = AT + timedelta(minutes=1), AT + timedelta(minutes=5)
    soon = timedelta(seconds=2)
    with database.write() as session:
        first, second = inbox.claim(session, "c1", "me", AT)[0]
        inbox.retry(session, [first.id], TransientError("away", intuit_tid="t"), AT + soon, later)
        inbox.finish(session, [second.id], "created", AT)
    with database.write() as session:  # whose worker dies
        inbox.claim(session, "c1", "me", later)
    with database.write() as session:
        inbox.claim(session, "c1", "another", last)
        inbox.mark_failed(session, [first.id], TransientError("still away"), last + soon)
        inbox.mark_failed(session, [first.id], TransientError("nobody tried"), last + soon)

    def kept() -> list[tuple[Any, ...]]:
        with database.read() as session:
            rows = session.scalars(select(NoticeAttempt).order_by(NoticeAttempt.id)).all()
        return [
            (one.notice_id, one.began_at, one.ended_at, one.error_message, one.due_at)
            for one in rows
        ]

    assert kept() == [
        (first.id, AT, AT + soon, "away", later),
        (first.id, later, last, "the worker ended before it was done", None),
        (first.id, last, last + soon, "still away", None),
    ]
    with database.write() as session:
        session.execute(delete(Notice).where(Notice.id == first.id))
    assert kept() == []


def test_what_has_an_end_is_not_changed_again(database: Database, connection_id: str) -> None:
    """A worker that was frozen past its lease comes back with an error of its own."""
    received(database, a_new_notice("a"))
    with database.write() as session:
        (notice,) = inbox.claim(session, "c1", "me", AT)[0]
        inbox.finish(session, [notice.id], "created", AT)
        inbox.retry(session, [notice.id], TransientError("late"), AT, AT)
        inbox.mark_failed(session, [notice.id], TransientError("later"), AT)
    with database.read() as session:
        found = session.get_one(Notice, notice.id)
    assert (found.status, found.reason, found.error_class) == ("done", "created", None)


def test_a_cloudevent_keeps_its_key_for_ever_and_a_legacy_one_until_it_is_claimed(
    database: Database, connection_id: str
) -> None:
    received(database, a_new_notice("a"), a_new_notice("b", format="legacy", event_id=None))
    with database.write() as session:
        inbox.claim(session, "c1", "me", AT)
    received(database, a_new_notice("a"), a_new_notice("b", format="legacy", event_id=None))
    assert total(database) == (3, 1)


def test_due_connections_are_those_that_may_be_called(
    database: Database, connection_id: str
) -> None:
    received(database, a_new_notice("a"))

    def due(environment: str = "simulator") -> list[str]:
        with database.read() as session:
            return list(inbox.due_connections(session, environment, AT))

    assert (due(), due("production")) == (["c1"], [])
    for hindrance in ({"state": "disconnected"}, {"paused_until": AT + timedelta(seconds=1)}):
        with database.write() as session:
            session.execute(update(Connection).values(state="connected", paused_until=None))
            session.execute(update(Connection).values(**hindrance))
        assert due() == []


def places(database: Database) -> list[tuple[str | None, str, str | None, int]]:
    """Return connection, status, error and repetitions of what QuickBooks could not show."""
    with database.read() as session:
        rows = session.scalars(
            select(Notice).where(Notice.operation == "unreadable").order_by(Notice.id)
        )
        return [(n.connection_id, n.status, n.error_message, n.duplicates) for n in rows]


def meet(database: Database, connection_id: str, place: str, error: str) -> None:
    with database.write() as session:
        own_notices.add_unreadable(session, connection_id, place, TransientError(error), AT, AT)


def test_a_place_that_cannot_be_shown_is_one_failed_notice_of_its_company(
    database: Database, connection_id: str
) -> None:
    meet(database, connection_id, "the first invoice", "a first time")
    # However somebody has worded it.
    with database.write() as session:
        session.execute(update(Notice).values(reason="Cannot be shown"))
    meet(database, connection_id, "the first invoice", "a second time")
    meet(database, connection_id, "the invoice after it", "another")
    assert places(database) == [
        ("c1", "failed", "a second time", 1),
        ("c1", "failed", "another", 0),
    ]


def test_a_place_that_was_retried_and_is_met_again_is_told_of_again(
    database: Database, connection_id: str
) -> None:
    meet(database, connection_id, "the first invoice", "a first time")
    with database.write() as session:
        assert notices.replay(session, [connection_id], AT) == (1, {"c1"})
    meet(database, connection_id, "the first invoice", "a second time")
    assert places(database) == [
        ("c1", "pending", None, 0),
        ("c1", "failed", "a second time", 0),
    ]

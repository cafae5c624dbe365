"""The outbox of events: in which order they are told, though they are committed in another one."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from service.database.engine import KEEPS_EVENTS, Database
from service.database.tables import Invoice
from service.domain import EventType
from service.store import connections, event_feed, pruning
from service.store.event_feed import Happening
from tests import databases
from tests.builders import a_connection

AT = datetime(2026, 11, 30, 10, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ENVIRONMENT = "simulator"


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    """A database that keeps events, with two companies."""
    found = databases.opened(migrated_url)
    found.keeps_events, found.sends_events = True, True
    with found.write() as session:
        supplier_id = connections.ensure_supplier(session, "s@example.com", "", "", AT)
        session.add_all(a_connection(name, supplier_id, AT) for name in ("one", "two"))
    yield found
    found.keeps_events = found.sends_events = False


def tell(session: Session, subject: str, connection_id: str = "one") -> None:
    happening = Happening(
        type=EventType.PAUSED, connection_id=connection_id, subject=subject, data={}
    )
    event_feed.tell(session, [happening], AT)


def place(database: Database) -> None:
    with database.write() as session:
        assert event_feed.place(session) is False  # no more than at once


def told(database: Database, position: int = 0) -> list[tuple[int, str]]:
    """Return (position, subject) of the events after this position."""
    with database.read() as session:
        found = event_feed.after(session, ENVIRONMENT, position, 100)
        return [(one.position or 0, one.subject) for one in found]


@pytest.mark.postgresql("SQLite has one writer at a time")
def test_what_is_committed_later_is_told_later_though_it_was_written_earlier(
    database: Database,
) -> None:
    with database.write() as early:
        tell(early, "early")
        early.flush()
        with database.write() as late:
            tell(late, "late")
        place(database)
        assert told(database) == [(1, "late")]
    assert told(database, 1) == []
    place(database)
    assert told(database, 1) == [(2, "early")]


@pytest.mark.both_databases("they number rows in their own ways")
class TestOrder:
    def test_events_of_one_transaction_come_in_their_order(self, database: Database) -> None:
        with database.write() as session:
            for subject in ("first", "second", "third"):
                tell(session, subject)
        assert told(database) == []
        place(database)
        assert told(database) == [(1, "first"), (2, "second"), (3, "third")]
        place(database)
        assert told(database) == [(1, "first"), (2, "second"), (3, "third")]

    def test_many_who_place_at_once_give_each_position_once(self, database: Database) -> None:
        def write(number: int) -> None:
            with database.write() as session:
                tell(session, str(number), "one" if number % 2 else "two")
            place(database)

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(write, range(40)))
        place(database)
        found = told(database)
        assert [position for position, _ in found] == list(range(1, 41))
        assert {subject for _, subject in found} == {str(number) for number in range(40)}

    def test_a_position_is_never_used_again(self, database: Database) -> None:
        with database.write() as session:
            tell(session, "old")
        place(database)
        with database.write() as session:
            assert pruning.old_events(session, AT + SECOND, 10) == 0  # it waits to be sent
            assert pruning.unsent_events(session, AT, 10) == 0
            assert pruning.unsent_events(session, AT + SECOND, 10) == 1
        with database.write() as session:
            tell(session, "new")
        place(database)
        assert told(database) == [(2, "new")]

    def test_what_nobody_is_sent_is_kept_for_as_long_as_it_may_be_read(
        self, database: Database
    ) -> None:
        database.sends_events = False
        with database.write() as session:
            tell(session, "one")
        with database.write() as session:
            assert pruning.old_events(session, AT, 10) == 0
            assert pruning.old_events(session, AT + SECOND, 10) == 1

    def test_a_reader_meanwhile_never_sees_a_gap_that_is_filled_later(
        self, database: Database
    ) -> None:
        def write(number: int) -> None:
            with database.write() as session:
                tell(session, str(number))

        seen: list[str] = []
        position = 0
        with ThreadPoolExecutor(3) as threads:
            writing = [threads.submit(write, number) for number in range(30)]
            while len(seen) < 30:
                place(database)
                news = told(database, position)
                seen += [subject for _, subject in news]
                position = news[-1][0] if news else position
        for one in writing:
            one.result()
        assert sorted(seen, key=int) == [str(number) for number in range(30)]


def test_more_than_500_are_given_a_position_in_more_than_one_transaction(
    database: Database,
) -> None:
    with database.write() as session:
        for number in range(501):
            tell(session, str(number))
    with database.write() as session:
        assert event_feed.place(session) is True
    assert told(database, 499) == [(500, "499")]
    with database.write() as session:
        assert event_feed.place(session) is False
    assert told(database, 499) == [(500, "499"), (501, "500")]


@pytest.mark.both_databases("they order by a condition in their own ways")
def test_a_company_that_had_its_turn_is_behind_those_that_wait(database: Database) -> None:
    with database.write() as session:
        tell(session, "first")
        tell(session, "second")
        tell(session, "other", "two")
    place(database)
    with database.write() as session:
        assert event_feed.due_connections(session, ENVIRONMENT, AT, 9) == ["one", "two"]
        event_feed.end_turn(session, event_feed.waiting(session, "one", 1)[0].id, AT + SECOND)
    with database.write() as session:
        assert event_feed.due_connections(session, ENVIRONMENT, AT + SECOND, 9) == ["two", "one"]
        refused = event_feed.waiting(session, "two", 1)[0].id
        event_feed.postpone(session, refused, AT + SECOND, "answered 400")
    with database.write() as session:
        event_feed.end_turn(session, refused, AT)  # which does not make it due before its time
        assert event_feed.due_connections(session, ENVIRONMENT, AT, 9) == []
    with database.read() as session:
        assert event_feed.due_connections(session, ENVIRONMENT, AT + SECOND, 9) == ["one", "two"]


def test_an_index_leads_to_a_page_and_to_a_company_s_events(database: Database) -> None:
    databases.empty_as_new(database)
    page, forgotten = (
        databases.plan_of(database, statement)
        for statement in (
            "SELECT * FROM events WHERE environment = 'e' AND position > 5 ORDER BY position",
            "DELETE FROM events WHERE connection_id = 'one' AND subject <> 'one'",
        )
    )
    assert "ix_events_environment" in " ".join(page)
    assert "ix_events_connection_id" in " ".join(forgotten)


def test_nothing_is_written_where_nobody_reads_and_the_story_is_not_even_made(
    database: Database,
) -> None:
    database.keeps_events = False
    asked = []
    with database.write() as session:
        event_feed.tell(session, (asked.append(n) for n in range(3)), AT)  # type: ignore[misc]
    place(database)
    assert (asked, told(database)) == ([], [])


def test_what_is_rolled_back_did_not_happen(database: Database) -> None:
    with database.trial() as session:
        session.info[KEEPS_EVENTS] = True
        tell(session, "undone")
    place(database)
    assert told(database) == []


def test_an_adopted_invoice_is_told_with_its_name_in_infactor(database: Database) -> None:
    with database.write() as session:
        session.add(
            Invoice(
                id="qbk-1",
                connection_id="one",
                quickbooks_id="1",
                sync_token=0,
                fetch_number=1,
                source={},
                warnings=[],
                recorded_at=AT,
                adopted="5c8f2b1e9d3a4f0012ab34c1",
                adopted_as="Quickbook #1465",
            )
        )
        session.flush()
        about = {"type": EventType.DELIVERED, "connection_id": "one", "invoice_id": "qbk-1"}
        event_feed.tell(session, [Happening(**about, data={"revision": 1})], AT)
    place(database)
    with database.read() as session:
        (event,) = event_feed.after(session, ENVIRONMENT, 0, 10)
        assert (event.subject, event.data) == (
            "qbk-1",
            {
                "connection": "one",
                "invoice": "qbk-1",
                "infactor_id": "Quickbook #1465",
                "revision": 1,
            },
        )

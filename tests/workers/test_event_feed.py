"""Events on their way to EVENTS_URL: in order for each company, nothing lost, the same id again."""

import json
import math
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from pymongo.database import Database
from sqlalchemy import delete, event, select, update
from sqlalchemy.orm import Session

from service.database.tables import DeliveryState, Document, FeedEvent
from service.domain import EventType
from service.infactor.rules.book import parse_changes
from service.kit.clock import now
from service.monitoring.checks import wrong_now
from service.monitoring.facts import Facts
from service.operations import actions, forget
from service.queries.measures import measure
from service.services import Services
from service.simulator.app import RunningSimulator
from service.store import connection_lifecycle, connections
from service.store.audit import newest
from tests.builders import a_connection
from tests.monitoring.listener import SECRET, Listener, listening
from tests.workers.conftest import connected
from tests.workers.delivering import Delivering, infactor_settings
from tests.workers.world import World, an_invoice, with_settings
from workers.event_feed import place_all, send_events
from workers.upkeep import prune

OTHER = "other"


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Infactor's own server, which receives events."""
    with listening() as found:
        yield found


@pytest.fixture
def world(simulator: RunningSimulator, migrated_url: str, listener: Listener) -> Iterator[World]:
    """The world, which sends its events to the listener."""
    settings = {"EVENTS_URL": listener.url, "EVENTS_SECRET": SECRET}
    with connected(simulator, migrated_url, **settings) as made:
        yield made


@pytest.fixture
def both(world: World) -> World:
    """The world with a second company, and no event so far."""
    with world.services.database.write() as session:
        supplier_id = connections.ensure_supplier(session, "o@example.com", "", "", now())
        session.add(a_connection(OTHER, supplier_id, now()))
        session.execute(update(FeedEvent).values(waiting=False))
    return world


def switch(world: World, connection_id: str, times: int = 1) -> None:
    """Pause and resume the company so often: two events each."""
    for _ in range(times):
        with world.services.database.write() as session:
            connection_lifecycle.suspend(session, connection_id, now())
        with world.services.database.write() as session:
            connection_lifecycle.resume(session, connection_id, now())


def waiting(world: World) -> int:
    with world.services.database.read() as session:
        return len(session.scalars(select(FeedEvent).where(FeedEvent.waiting)).all())


def be_due(world: World) -> None:
    """Let the pause after a refusal be over."""
    with world.services.database.write() as session:
        session.execute(update(FeedEvent).values(due_at=None))


def received(listener: Listener) -> list[tuple[str, str]]:
    """Return (connection, type) of all that came, each signature verified by another's library."""
    return [(one["partitionkey"], one["type"]) for one in listener.messages()]


PAIR = ["connection.paused", "connection.resumed"]


def test_an_event_is_a_signed_cloudevent(world: World, listener: Listener) -> None:
    world.arrive(an_invoice())
    send_events(world.services)
    path, headers, body = listener.received[0]
    event = json.loads(body)
    assert path == "/alerts?key=a-key-in-the-address"
    assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert headers["webhook-id"] == event.pop("id")
    assert event.pop("time").endswith("Z")
    invoice_id = event["subject"]
    assert event == {
        "specversion": "1.0",
        "source": "http://localhost:3000",
        "type": "invoice.recorded",
        "subject": invoice_id,
        "datacontenttype": "application/json",
        "partitionkey": world.connection_id,
        "data": {
            "connection": world.connection_id,
            "invoice": invoice_id,
            "infactor_id": invoice_id,
            "number": "101",
            "revision": 1,
            "cause": "notice",
            "total": "100.00",
            "balance": "100.00",
            "currency": None,
            "deleted": False,
            "holds": [],
            "signals": ["terms_too_long"],
            "changed": [],
        },
    }
    assert [type_ for _, type_ in received(listener)] == [
        "invoice.recorded",
        "invoice.delivered",
    ]
    send_events(world.services)
    assert len(listener.received) == 2


@pytest.mark.both_databases("each finds a company's next event in its own way")
def test_a_listener_that_was_away_gets_all_of_it_once_and_in_order(
    both: World, listener: Listener
) -> None:
    listener.status = 500
    switch(both, both.connection_id, 2)
    switch(both, OTHER, 2)
    for _ in range(3):
        send_events(both.services)
        be_due(both)
    refused, listener.received[:] = listener.ids(), []
    assert len(set(refused)) == 2  # the next event of each company, and never a later one
    listener.status = 204
    send_events(both.services)
    assert [t for c, t in received(listener) if c == OTHER] == PAIR * 2
    assert [t for c, t in received(listener) if c == both.connection_id] == PAIR * 2
    assert len(set(listener.ids())) == len(listener.ids()) == 8
    assert set(refused) < set(listener.ids())
    assert waiting(both) == 0


def test_a_refused_event_holds_back_its_own_company_alone(both: World, listener: Listener) -> None:
    listener.refuses = lambda body: json.loads(body)["partitionkey"] == OTHER
    switch(both, OTHER)
    switch(both, both.connection_id)
    send_events(both.services)
    assert received(listener) == [
        (OTHER, "connection.paused"),
        *((both.connection_id, type_) for type_ in PAIR),
    ]
    send_events(both.services)  # it is not due yet
    assert len(listener.received) == 3
    assert waiting(both) == 2


def test_a_listener_that_is_away_is_not_asked_for_each_company(
    both: World, listener: Listener
) -> None:
    with both.services.database.write() as session:
        supplier_id = connections.ensure_supplier(session, "o@example.com", "", "", now())
        session.add_all(a_connection(f"c{n}", supplier_id, now()) for n in range(5))
    for number in range(5):
        switch(both, f"c{number}")
    listener.status = 503
    send_events(both.services)
    assert len(listener.received) == 3


@pytest.mark.parametrize("status", [200, 422])
def test_events_share_a_connection(both: World, listener: Listener, status: int) -> None:
    listener.status, listener.body = status, b"{}" * 1000
    switch(both, OTHER)
    switch(both, both.connection_id)
    send_events(both.services)
    assert len(listener.received) == (4 if status == 200 else 2)
    assert listener.connections == 1


def test_an_endless_answer_with_a_good_status_is_accepted(both: World, listener: Listener) -> None:
    listener.status, listener.body = 200, bytes(2**17)
    switch(both, OTHER)
    send_events(both.services)
    assert (len(listener.received), waiting(both)) == (2, 0)


def test_a_company_with_many_events_lets_another_have_its_turn(
    both: World, listener: Listener
) -> None:
    switch(both, OTHER, 6)
    switch(both, both.connection_id, 1)
    send_events(both.services)
    turns = [c for c, _ in received(listener)]
    assert turns == [OTHER] * 10 + [both.connection_id] * 2 + [OTHER] * 2


def test_companies_whose_events_are_always_refused_hold_up_nobody(
    both: World, listener: Listener
) -> None:
    with both.services.database.write() as session:
        supplier_id = connections.ensure_supplier(session, "o@example.com", "", "", now())
        session.add_all(a_connection(f"c{n}", supplier_id, now()) for n in range(3))
    for number in range(3):
        switch(both, f"c{number}")
    switch(both, OTHER)
    listener.refuses = lambda body: json.loads(body)["partitionkey"] != OTHER
    send_events(both.services)
    assert OTHER not in dict(received(listener))  # three refusals in a row
    be_due(both)
    send_events(both.services)
    assert [type_ for c, type_ in received(listener) if c == OTHER] == PAIR


def test_a_round_places_what_there_was_and_not_what_is_written_meanwhile(both: World) -> None:
    switch(both, OTHER)
    rounds = 0

    def write_another(session: Session) -> None:
        nonlocal rounds
        rounds += 1
        if rounds % 2 and rounds < 20:  # not about its own commit, and not for ever
            with both.services.database.write() as another:
                connection_lifecycle.tell(another, EventType.PAUSED, OTHER, now())

    event.listen(Session, "after_commit", write_another)
    try:
        place_all(both.services, math.inf)
    finally:
        event.remove(Session, "after_commit", write_another)
    assert rounds == 2  # one commit of ours, and the one of its listener


def test_an_event_that_cannot_be_sent_stops_its_own_company_alone(
    both: World, listener: Listener
) -> None:
    switch(both, OTHER)
    switch(both, both.connection_id)
    with both.services.database.write() as session:
        its = update(FeedEvent).where(FeedEvent.connection_id == OTHER)
        session.execute(its.values(event_id="no header: €"))
    send_events(both.services)
    assert received(listener) == [(both.connection_id, type_) for type_ in PAIR]


def test_an_event_of_a_type_that_this_version_does_not_know_is_sent(
    both: World, listener: Listener
) -> None:
    switch(both, OTHER)
    with both.services.database.write() as session:
        session.execute(update(FeedEvent).values(type="invoice.renamed"))
    send_events(both.services)
    assert received(listener) == [(OTHER, "invoice.renamed")] * 2


def test_a_redirect_is_not_followed_and_counts_as_refused(both: World, listener: Listener) -> None:
    listener.status, listener.headers = 302, {"location": listener.url}
    switch(both, OTHER)
    send_events(both.services)
    assert (len(listener.received), waiting(both)) == (1, 2)


def test_two_workers_that_send_at_once_keep_the_order(both: World, listener: Listener) -> None:
    """What a lapsed lease would allow: an event may come twice, with one id, but none too early."""
    switch(both, OTHER, 5)
    listener.may_answer.clear()
    other = both.another_process()
    threads = [threading.Thread(target=send_events, args=(s,)) for s in (both.services, other)]
    for thread in threads:
        thread.start()
    listener.may_answer.set()
    for thread in threads:
        thread.join()
    first_times = list(dict.fromkeys(listener.ids()))
    kinds = {one["id"]: one["type"] for one in listener.messages()}
    assert [kinds[id_] for id_ in first_times] == PAIR * 5
    assert waiting(both) == 0


def causes(services: Services) -> list[tuple[str, str]]:
    with services.database.read() as session:
        found = wrong_now(Facts(session, services.settings, now()))
        return [(one.cause, one.text) for one in found if one.cause == "events.refused"]


def test_operators_are_told_once_it_is_refused_again(both: World, listener: Listener) -> None:
    listener.status = 401
    switch(both, OTHER)
    send_events(both.services)
    assert causes(both.services) == []
    be_due(both)
    send_events(both.services)
    assert causes(both.services) == [
        (
            "events.refused",
            "2 events wait because EVENTS_URL answered 401. Check the address, EVENTS_SECRET and"
            " the service there. They are sent again automatically, at most five minutes"
            " apart, and kept for 90 days. If it can never accept one of them, skip that one.",
        )
    ]
    listener.status = 204
    be_due(both)
    send_events(both.services)
    assert causes(both.services) == []


def test_operators_are_told_of_events_that_wait_too_long_though_none_is_refused(
    both: World,
) -> None:
    switch(both, OTHER)
    with both.services.database.write() as session:
        last = session.scalars(select(FeedEvent).order_by(FeedEvent.id.desc())).first()
        assert last is not None
        last.at = now() - timedelta(minutes=14)
    assert causes(both.services) == []
    with both.services.database.write() as session:
        session.get_one(FeedEvent, last.id).at = now() - timedelta(minutes=20)
    ((_, text),) = causes(both.services)
    assert text.startswith("2 events wait for EVENTS_URL, the oldest for 20 min, though none is")


@pytest.mark.both_databases("each finds what is refused in its own index")
def test_a_refused_event_is_skipped_or_sent_again_at_once(both: World, listener: Listener) -> None:
    services, environment = both.services, both.services.settings.quickbooks_environment
    listener.status = 422
    for company in (OTHER, both.connection_id):
        switch(both, company)
    send_events(services)
    refused = dict(zip((OTHER, both.connection_id), listener.ids(), strict=True))
    listener.received.clear()
    listener.status = 204
    assert actions.skip_event(services.database, environment, "another", "who") is None
    assert actions.skip_event(services.database, "production", refused[OTHER], "who") is None
    skipped = actions.skip_event(services.database, environment, refused[OTHER], "who")
    assert skipped is not None
    assert (skipped.type, skipped.attempts) == ("connection.paused", 1)
    assert actions.skip_event(services.database, environment, refused[OTHER], "who") is None
    send_events(services)
    assert received(listener) == [(OTHER, "connection.resumed")]
    assert actions.retry_events(services.database, environment, "who", refused[OTHER]) == 0
    assert actions.retry_events(services.database, environment, "who") == 1
    send_events(services)
    assert [type_ for _, type_ in received(listener)] == ["connection.resumed", *PAIR]
    assert actions.retry_events(services.database, environment, "who") == 0
    with services.database.read() as session:
        done = [(one.action, one.connection_id, one.details) for one in newest(session, None, 9)]
    assert done == [
        ("retry events", None, {"feed_events": 1}),
        (
            *("skip event", OTHER),
            {"feed_event": refused[OTHER], "type": "connection.paused", "attempts": 1},
        ),
    ]


def test_what_waits_is_measured(both: World, listener: Listener) -> None:
    at, environment = now(), both.services.settings.quickbooks_environment
    switch(both, OTHER)
    with both.services.database.write() as session:
        first = session.scalars(select(FeedEvent).order_by(FeedEvent.id.desc())).first()
        assert first is not None
        first.at = at - timedelta(minutes=5)
    with both.services.database.read() as session:
        found = measure(session, environment, at)
        assert (found.unsent_events, found.oldest_event) == (2, 300.0)
    send_events(both.services)
    with both.services.database.read() as session:
        found = measure(session, environment, at)
        assert (found.unsent_events, found.oldest_event) == (0, 0.0)


def test_events_are_kept_for_thirty_days_and_unsent_ones_for_ninety(both: World) -> None:
    def age(sent: bool, days: int) -> int:
        with both.services.database.write() as session:
            connection_lifecycle.tell(session, EventType.PAUSED, OTHER, now())
        with both.services.database.write() as session:
            row = session.scalars(select(FeedEvent).order_by(FeedEvent.id.desc()).limit(1)).one()
            row.at, row.waiting = now() - timedelta(days=days), not sent
            return row.id

    with both.services.database.write() as session:
        session.execute(delete(FeedEvent))
    _, fresh, unsent, _ = age(True, 31), age(True, 29), age(False, 89), age(False, 91)
    prune(both.services)
    with both.services.database.read() as session:
        left = session.scalars(select(FeedEvent.id).order_by(FeedEvent.id)).all()
    assert left == [fresh, unsent]


def test_of_a_forgotten_company_only_its_end_and_release_are_told(
    world: World, listener: Listener
) -> None:
    world.arrive(an_invoice())
    supplier_id = world.connection().supplier_id
    forget.forget_company(world.services, world.connection_id, "test")
    assert forget.forget_supplier(world.services, supplier_id, "test").stays is None
    send_events(world.services)
    assert [type_ for _, type_ in received(listener)] == [
        "connection.ended",
        "connection.released",
    ]


def test_what_the_rules_decide_without_a_read_is_told(world: World, listener: Listener) -> None:
    """And what that does to Infactor's document, which nobody else would tell here."""
    world.arrive(an_invoice(DueDate="2020-01-01"))
    world.judge()
    send_events(world.services)
    listener.received.clear()
    with_settings(world, infactor_rules=parse_changes("overdue=hold"))
    world.judge()
    with_settings(world, infactor_rules=parse_changes("overdue=off"))
    world.judge()
    send_events(world.services)
    told = [(one["type"], one["data"]) for one in listener.messages()]
    assert [type_ for type_, _ in told] == [
        *("invoice.recorded", "invoice.held", "invoice.withdrawn"),
        *("invoice.recorded", "invoice.released", "invoice.delivered"),
    ]
    held = told[1][1]
    assert (held["revision"], held["cause"], held["holds"]) == (2, "rules", ["overdue"])
    assert (held["number"], held["total"], held["changed"]) == ("101", "100.00", [])


class TestStory:
    """What is told of invoices that go into Infactor's own database."""

    @pytest.fixture
    def delivering(
        self,
        simulator: RunningSimulator,
        infactors: Database[dict[str, Any]],
        migrated_url: str,
        listener: Listener,
    ) -> Iterator[Delivering]:
        settings = {"EVENTS_URL": listener.url, "EVENTS_SECRET": SECRET}
        settings |= infactor_settings(infactors)
        with connected(simulator, migrated_url, **settings) as made:
            yield Delivering(made, infactors)

    @pytest.fixture
    def news(
        self, delivering: Delivering, listener: Listener
    ) -> Callable[[], list[tuple[str, dict[str, Any]]]]:
        """Return what has come since the last call: (type, data)."""

        def ask() -> list[tuple[str, dict[str, Any]]]:
            send_events(delivering.world.services)
            found = [(one["type"], one["data"]) for one in listener.messages()]
            listener.received.clear()
            return found

        ask()
        return ask

    def test_an_invoice_is_delivered_withdrawn_restored_and_decided_about(
        self, delivering: Delivering, news: Callable[[], list[tuple[str, dict[str, Any]]]]
    ) -> None:
        delivering.arrive(an_invoice())
        assert [type_ for type_, _ in news()] == ["invoice.recorded", "invoice.delivered"]
        delivering.arrive(an_invoice(Balance=0, SyncToken="1"))
        withdrawn = news()
        assert [type_ for type_, _ in withdrawn] == [
            *("invoice.recorded", "invoice.held", "invoice.withdrawn"),
        ]
        assert withdrawn[1][1]["holds"] == ["paid"]
        assert withdrawn[2][1]["outcome"] == "withdrawn"
        delivering.arrive(an_invoice(SyncToken="2"))
        restored = news()
        assert [type_ for type_, _ in restored] == [
            *("invoice.recorded", "invoice.released", "invoice.delivered"),
        ]
        assert restored[2][1]["outcome"] == "restored"
        delivering.decide(state="invoice_accepted")
        delivering.poll()
        ((type_, data),) = news()
        assert type_ == "invoice.decided"
        assert (data["before"], data["state"]) == ("invoice_created", "invoice_accepted")
        delivering.arrive(an_invoice(TotalAmt=90, Balance=90, SyncToken="3"))
        recorded, opened = news()
        assert recorded[1]["total"] == "90.00"
        assert "invoiceAmount" in recorded[1]["changed"]
        assert opened[0] == "finding.opened"
        assert (opened[1]["kind"], opened[1]["severity"]) == ("changed", "critical")
        assert "90" not in repr(opened[1]["fields"])
        delivering.arrive(an_invoice(SyncToken="4"))
        assert [type_ for type_, _ in news()] == ["invoice.recorded", "finding.closed"]

    def test_a_decision_that_a_delivery_meets_is_told_too(
        self, delivering: Delivering, news: Callable[[], list[tuple[str, dict[str, Any]]]]
    ) -> None:
        delivering.arrive(an_invoice())
        delivering.decide(state="invoice_accepted")
        delivering.arrive(an_invoice(TxnDate="2026-11-02", SyncToken="1"))
        assert decisions(news()) == [("invoice_created", "invoice_accepted")]

    @pytest.mark.parametrize(
        "change",
        [{"TxnDate": "2026-11-02"}, {"Balance": 0}, {"PrivateNote": "new"}],
        ids=["refreshed", "withdrawn", "unchanged"],
    )
    def test_an_approval_that_is_taken_back_is_told_by_whatever_delivery_meets_it(
        self,
        delivering: Delivering,
        news: Callable[[], list[tuple[str, dict[str, Any]]]],
        change: dict[str, Any],
    ) -> None:
        delivering.arrive(an_invoice())
        delivering.decide(state="invoice_accepted")
        delivering.poll()
        news()
        delivering.decide(state="invoice_created")
        delivering.arrive(an_invoice(SyncToken="1", **change))
        assert decisions(news()) == [("invoice_accepted", "invoice_created")]

    @pytest.mark.parametrize(
        ("seen", "state", "told"),
        [
            (True, "invoice_accepted", [("invoice_created", "invoice_accepted")]),
            (False, "invoice_accepted", [("", "invoice_accepted")]),
            (False, "invoice_created", []),
        ],
    )
    def test_a_decision_is_told_though_the_answer_to_our_write_was_lost(
        self,
        delivering: Delivering,
        news: Callable[[], list[tuple[str, dict[str, Any]]]],
        seen: bool,
        state: str,
        told: list[tuple[str, str]],
    ) -> None:
        delivering.arrive(an_invoice())
        news()
        delivering.decide(state=state)
        delivering.change(DeliveryState, delivered_revision=0)
        if not seen:
            with delivering.world.services.database.write() as session:
                session.execute(delete(Document))
        delivering.deliver()
        assert decisions(news()) == told

    def test_our_own_withdrawal_is_no_decision_though_its_answer_was_lost(
        self, delivering: Delivering, news: Callable[[], list[tuple[str, dict[str, Any]]]]
    ) -> None:
        delivering.arrive(an_invoice())
        delivering.arrive(an_invoice(Balance=0, SyncToken="1"))
        delivering.change(DeliveryState, delivered_revision=1)
        delivering.change(Document, state="invoice_created", withdrawn=False)
        news()
        delivering.deliver()
        assert decisions(news()) == []


def decisions(told: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, str]]:
    """Return (before, state) of each decision that was told."""
    return [(data["before"], data["state"]) for kind, data in told if kind == "invoice.decided"]

"""A write about one company, notice, run or alert leaves every other as it is."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.coordination import circuit_breaker, leases
from service.database.engine import Database
from service.database.tables import Alert, Base, Breaker, Connection, Invoice, Lease, Notice, Run
from service.store import (
    alerts,
    approvals,
    connection_lifecycle,
    connections,
    documents,
    inbox,
    runs,
)
from tests.builders import a_connection
from tests.store.delivery_rows import DeliveryRows

AT = datetime(2026, 11, 20, 16, 19, 17, tzinfo=UTC)
LATER = AT + timedelta(hours=1)
# What each write asks for, so that only the company's id keeps the others out.
HINDERED = {"outage_since": AT, "paused_until": AT, "failures": 2, "access_expires_at": LATER}
SUSPENDED = {"suspended_at": AT, "barred_since": AT}
OTHERS = {"quiet": {}, "hindered": HINDERED, "suspended": SUSPENDED}


def rows(database: Database, table: type[Base], but: str = "") -> dict[object, object]:
    """Return {key: all columns} of a table's rows, but for one key."""
    (key,) = (column.name for column in table.__table__.primary_key)
    with database.read() as session:
        found = session.execute(select(*table.__table__.columns)).mappings()
        return {row[key]: dict(row) for row in found if row[key] != but}


WRITES: dict[str, Callable[[Session], object]] = {
    "synced": lambda s: connections.synced(s, "c1", AT),
    "outage began": lambda s: connections.outage_began(s, "c1", "away", AT),
    "outage ended": lambda s: connections.outage_ended(s, "c1"),
    "pause": lambda s: connections.pause(s, "c1", LATER, "error"),
    "throttle": lambda s: connections.throttle(s, "c1", LATER, "429", AT),
    "bar": lambda s: connections.bar(s, "c1", LATER, "barred", AT),
    "refuse keys": lambda s: connections.refuse_keys(s, "c1", AT),
    "call again": lambda s: connections.call_again(s, "c1"),
    "call again if barred": lambda s: connections.call_again(s, "c1", barred=True),
    "nudge": lambda s: connections.schedule_nudge(s, "c1", AT, timedelta(seconds=1)),
    "suspend": lambda s: connection_lifecycle.suspend(s, "c1", AT),
    "resume": lambda s: connection_lifecycle.resume(s, "c1", AT),
    "end": lambda s: connection_lifecycle.end(s, "c1", None, AT),
    "release": lambda s: connection_lifecycle.release(s, "c1", AT),
}


def test_what_becomes_of_a_company(database: Database, connection_id: str) -> None:
    assert connection_id == "c1"
    with database.write() as session:
        (supplier_id,) = session.scalars(select(Connection.supplier_id)).all()
        for name, fields in OTHERS.items():
            for state in ("connected", "disconnected"):
                one = a_connection(f"{name} {state}", supplier_id, AT, state=state)
                session.add(one)
                session.flush()
                if fields:
                    its = update(Connection).where(Connection.id == one.id)
                    session.execute(its.values(**fields))
    before = rows(database, Connection, connection_id)
    touching = []
    for name, write in WRITES.items():
        with database.trial() as session:
            write(session)
            session.flush()
            found = session.execute(select(*Connection.__table__.columns)).mappings()
            after = {row["id"]: dict(row) for row in found if row["id"] != connection_id}
        if after != before:
            touching.append(name)
    assert touching == []


def test_a_company_is_paused_resumed_and_released_once(
    database: Database, connection_id: str
) -> None:
    with database.write() as session:
        done = [connection_lifecycle.suspend(session, connection_id, AT) for _ in range(2)]
        done += [connection_lifecycle.resume(session, connection_id, AT) for _ in range(2)]
        assert done == [True, False, True, False]
        assert not connection_lifecycle.release(session, connection_id, AT)  # it is connected


def test_since_when_a_company_is_throttled_or_its_keys_refused_stays(
    database: Database, connection_id: str
) -> None:
    for at in (AT, LATER):
        with database.write() as session:
            connections.throttle(session, connection_id, LATER, "429", at)
            connections.refuse_keys(session, connection_id, at)
    with database.read() as session:
        company = session.get_one(Connection, connection_id)
    assert (company.throttled_since, company.keys_refused_since) == (AT, AT)


def test_one_nudge_is_enough_for_all_who_ask(database: Database, connection_id: str) -> None:
    delay = timedelta(seconds=30)
    with database.write() as session:
        asked = [
            connections.schedule_nudge(session, connection_id, at, delay)
            for at in (AT, AT + timedelta(seconds=29), AT + timedelta(seconds=30))
        ]
    assert asked == [True, False, True]


def test_what_becomes_of_an_alert(database: Database) -> None:
    for number in range(3):
        with database.write() as session:
            alerts.begin(
                session,
                ("queue.away", str(number), ""),
                severity="warning",
                text="Away.",
                command="doctor",
                since=AT,
                now=AT,
            )
    with database.write() as session:
        first, over, _ = session.scalars(select(Alert.id).order_by(Alert.id)).all()
        alerts.end(session, [over], AT)
    before = rows(database, Alert)
    worse = {"severity": "critical", "text": "Worse.", "command": "doctor", "now": LATER}
    with database.write() as session:
        alerts.escalate(session, over, **worse)  # what is over is not news again
    assert rows(database, Alert) == before
    with database.write() as session:
        alerts.escalate(session, first, **worse)
        alerts.end(session, [first], LATER)
    after = rows(database, Alert)
    assert [after[i] == before[i] for i in sorted(after, key=str)] == [False, True, True]


def test_the_alert_that_goes_on_is_the_one_of_the_same_cause(database: Database) -> None:
    def begin(cause: str, at: datetime) -> None:
        said = {"severity": "warning", "text": "", "command": "", "since": at, "now": at}
        with database.write() as session:
            alerts.begin(session, (cause, "", ""), **said)

    for cause in ("queue.away", "infactor.away"):
        begin(cause, AT)
    with database.write() as session:
        alerts.end(session, session.scalars(select(Alert.id)).all(), AT)
    begin("queue.away", AT + timedelta(seconds=30))
    with database.read() as session:
        ended = dict(session.execute(select(Alert.cause, Alert.ended_at)).all())
    assert ended == {"queue.away": None, "infactor.away": AT}


def test_what_becomes_of_a_notice(database: Database, connection_id: str) -> None:
    with database.write() as session:
        (supplier_id,) = session.scalars(select(Connection.supplier_id)).all()
        session.add(a_connection("c2", supplier_id, AT))
        session.flush()
        for company in (connection_id, "c2"):
            for status in ("pending", "done"):
                session.add(
                    Notice(
                        connection_id=company,
                        format="cloudevents",
                        entity="Invoice",
                        entity_id="1",
                        received_at=AT,
                        handled_at=AT if status == "done" else None,
                        due_at=LATER,
                        claimed_by="another" if status == "pending" else None,
                        status=status,
                        reason="refreshed",
                    )
                )
                session.flush()
    theirs = {k: v for k, v in rows(database, Notice).items() if v["connection_id"] == "c2"}
    with database.write() as session:
        mine = session.scalars(
            select(Notice.id).where(
                Notice.connection_id == connection_id, Notice.status == "pending"
            )
        ).all()
        inbox.retry(session, mine, RuntimeError(), AT, LATER)
        assert inbox.hurry(session, connection_id, AT) == 1
        inbox.take_back(session, connection_id, "1", AT)
        inbox.claim(session, connection_id, "me", LATER)
        inbox.finish(session, mine, "recorded", AT)
    now = {k: v for k, v in rows(database, Notice).items() if v["connection_id"] == "c2"}
    assert now == theirs


def test_a_run_that_was_widened_or_is_another_is_not_stopped(
    database: Database, connection_id: str
) -> None:
    with database.write() as session:
        (supplier_id,) = session.scalars(select(Connection.supplier_id)).all()
        session.add(a_connection("c2", supplier_id, AT))
        session.flush()
        ids = [runs.create_or_join(session, c, "command", AT, AT) for c in (connection_id, "c2")]
    with database.read() as session:
        run = session.get_one(Run, ids[0])
    with database.write() as session:
        runs.create_or_join(session, connection_id, "command", None, AT)  # from an earlier day
    with database.write() as session:
        assert not approvals.await_approval(session, run, "too many", "1", {}, AT)
    with database.read() as session:
        run = session.get_one(Run, ids[0])
    with database.write() as session:
        assert approvals.await_approval(session, run, "too many", "1", {}, AT)
    with database.read() as session:
        halted = {one.id: one.halted_at for one in session.scalars(select(Run))}
    assert halted == {ids[0]: AT, ids[1]: None}


def test_what_becomes_of_a_breaker(database: Database) -> None:
    with database.write() as session:
        for name in ("one", "other"):
            circuit_breaker.failed(session, name, "away")
        session.execute(update(Breaker).values(open_until=0.0))
    before = rows(database, Breaker, "one")
    with database.write() as session:
        assert circuit_breaker.may_try(session, "one")
        assert not circuit_breaker.may_try(session, "one")
        circuit_breaker.works(session, "one")
    assert rows(database, Breaker, "one") == before


def test_what_becomes_of_a_lease(database: Database) -> None:
    with database.write() as session:
        assert all(leases.acquire(session, name, "me") for name in ("one", "other"))
    before = rows(database, Lease, "one")
    with database.write() as session:
        leases.release(session, "one", "me")
    assert rows(database, Lease, "one") == before


def test_when_an_invoice_was_approved_stays_and_is_its_own(
    database: Database, connection_id: str
) -> None:
    made = DeliveryRows(database, connection_id)
    ids = [made.invoice(number) for number in ("1", "2")]
    for at in (AT, LATER):
        with database.write() as session:
            documents.note_approved(session, ids[:1], at)
    with database.read() as session:
        approved = dict(session.execute(select(Invoice.id, Invoice.approved_at)).all())
    assert approved == {ids[0]: AT, ids[1]: None}

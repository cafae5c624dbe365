"""What the database says about the service as a whole."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, update

from service.coordination import rate_limit
from service.database.engine import Database
from service.database.tables import Alert, Connection, Notice, Run
from service.queries.measures import Measures, measure, oldest_due
from service.store import counters
from service.store import tokens as authorisations
from service.store.tokens import SealedTokens
from tests.builders import add_like
from tests.store.delivery_rows import DeliveryRows

AT = datetime(2026, 11, 20, 16, 19, 17, tzinfo=UTC)


def ago(**time: float) -> datetime:
    return AT - timedelta(**time)


def add(database: Database, status: str, times: int = 1, **fields: Any) -> None:
    with database.write() as session:
        for _ in range(times):
            row = {"format": "own", "connection_id": "c1", "received_at": ago(minutes=5), **fields}
            session.add(Notice(status=status, **row))


def measured(database: Database) -> Measures:
    with database.read() as session:
        return measure(session, "simulator", AT)


def oldest(database: Database) -> float:
    with database.read() as session:
        return oldest_due(session, "simulator", AT)


def test_notices_are_counted_by_how_they_stand(database: Database, connection_id: str) -> None:
    add(database, "pending", 3)
    add(database, "pending", connection_id=None)
    add(database, "failed", 3, handled_at=ago(minutes=59))
    add(database, "done", handled_at=ago(minutes=59))
    assert measured(database).open_notices == {"pending": 4, "failed": 3}


def count_up(database: Database, at: datetime) -> Measures:
    with database.write() as session:
        counters.count_up(session, at)
    return measured(database)


def test_what_ended_is_counted_once_and_never_less(database: Database, connection_id: str) -> None:
    failed = {"error_class": "Poisoned", "reason": "given up"}
    add(database, "failed", 2, handled_at=ago(days=80), **failed)
    add(database, "done", 2, reason="created", handled_at=ago(minutes=2))
    add(database, "done", reason="held: paid", handled_at=ago(minutes=2))
    add(database, "done", reason="held: void", handled_at=ago(minutes=2))
    add(database, "ignored", reason="whatever it said", handled_at=ago(minutes=2))
    add(database, "done", reason="created", handled_at=ago(seconds=10))  # may not all be seen yet
    first = {
        ("done", "created"): 2,
        ("done", "held"): 2,
        ("failed", "Poisoned"): 2,
        ("ignored", ""): 1,
    }
    assert count_up(database, AT).ended_notices == first
    assert count_up(database, AT).ended_notices == first
    assert count_up(database, ago(minutes=5)).ended_notices == first  # the clock was set back
    with database.write() as session:
        session.execute(delete(Notice).where(Notice.handled_at < ago(minutes=1)))
    later = count_up(database, AT + timedelta(minutes=1)).ended_notices
    assert later == {**first, ("done", "created"): 3}


def test_a_clock_that_was_a_day_ahead_stops_no_counting(
    database: Database, connection_id: str
) -> None:
    add(database, "done", reason="created", handled_at=ago(minutes=2))
    assert count_up(database, AT + timedelta(days=1)).ended_notices == {("done", "created"): 1}
    assert count_up(database, AT).ended_notices == {("done", "created"): 1}
    add(database, "done", reason="created", handled_at=AT)
    later = count_up(database, AT + timedelta(minutes=2)).ended_notices
    assert later == {("done", "created"): 2}


def receipts_counted(database: Database, at: datetime) -> dict[tuple[str, str], int]:
    count_up(database, at)
    with database.read() as session:
        return counters.totals(session, counters.Counted.RECEIPTS)


def test_receipts_are_counted_once_each(database: Database, connection_id: str) -> None:
    rows = DeliveryRows(database, connection_id)
    rows.invoice()
    rows.receipt("1", "created", ago(days=40))
    rows.receipt("1", "refreshed", ago(minutes=2))
    rows.receipt("1", "refreshed", ago(seconds=10))

    def counted(at: datetime) -> dict[tuple[str, str], int]:
        return receipts_counted(database, at)

    assert counted(AT) == {("created", ""): 1, ("refreshed", ""): 1}
    assert counted(AT + timedelta(minutes=1)) == {("created", ""): 1, ("refreshed", ""): 2}
    assert counted(AT + timedelta(minutes=2)) == {("created", ""): 1, ("refreshed", ""): 2}


def test_a_receipt_that_is_stored_after_a_later_one_is_counted(
    database: Database, connection_id: str
) -> None:
    rows = DeliveryRows(database, connection_id)
    rows.invoice()
    rows.receipt("1", "created", ago(seconds=61))
    rows.receipt("1", "created", ago(seconds=59))
    # Its delivery began first, and ended last.
    rows.receipt("1", "refreshed", ago(seconds=61))
    rows.receipt("1", "refreshed", ago(seconds=59))
    rows.receipt("1", "created", ago(seconds=61))
    first = {("created", ""): 2, ("refreshed", ""): 1}
    assert receipts_counted(database, AT) == first
    later = receipts_counted(database, AT + timedelta(minutes=1))
    assert later == {("created", ""): 3, ("refreshed", ""): 2}


def test_the_lag_is_from_the_change_to_its_record(database: Database, connection_id: str) -> None:
    for seconds in range(1, 101):
        handled_at = ago(minutes=1)
        changed_at = handled_at - timedelta(seconds=seconds)
        add(database, "done", changed_at=changed_at, handled_at=handled_at)
    add(database, "done", handled_at=ago(minutes=1))  # of our own: no change is known
    add(database, "done", changed_at=ago(days=9), handled_at=ago(hours=2))
    add(database, "failed", changed_at=ago(days=9), handled_at=ago(minutes=1))
    found = measured(database)
    assert (found.lags, found.lags_known) == ({0.5: 50.0, 0.95: 95.0, 0.99: 99.0}, 100)


def test_where_nothing_was_done_there_is_no_lag(database: Database) -> None:
    found = measured(database)
    assert (found.lags, found.lags_known, found.oldest_due) == ({}, 0, 0.0)


@pytest.mark.parametrize(
    "hindrance",
    [
        {"state": "disconnected"},
        {"suspended_at": AT},
        {"environment": "production"},
    ],
)
def test_only_what_can_be_worked_on_now_is_late(
    database: Database, connection_id: str, hindrance: dict[str, object]
) -> None:
    add(database, "pending", received_at=ago(days=3), due_at=AT + timedelta(seconds=1))
    add(database, "pending", received_at=ago(days=3), connection_id=None)
    add(database, "done", received_at=ago(days=3))
    assert oldest(database) == 0
    add(database, "pending", received_at=ago(days=3), due_at=ago(seconds=700))
    add(database, "pending", received_at=ago(seconds=650))
    assert oldest(database) == 700
    with database.write() as session:
        session.execute(update(Connection).values(**hindrance))
    assert oldest(database) == 0


def test_what_waits_for_an_outage_is_late_too(database: Database, connection_id: str) -> None:
    """A retried notice at the front, due later, hides no older one behind it."""
    add(database, "pending", received_at=ago(seconds=50), attempts=3, due_at=ago(minutes=-10))
    add(database, "pending", received_at=ago(seconds=900), attempts=1, due_at=ago(minutes=-10))
    with database.write() as session:
        session.execute(update(Connection).values(paused_until=AT + timedelta(minutes=10)))
    assert oldest(database) == 900


def test_companies_are_counted_by_state(database: Database, connection_id: str) -> None:
    add_like(
        database,
        connection_id,
        c2={"suspended_at": AT},
        c3={"state": "disconnected", "problem": "QuickBooks refuses its refresh token"},
        c4={"state": "disconnected", "suspended_at": AT},
        c5={"problem": "QuickBooks is down", "paused_until": AT},
        c6={"environment": "production"},
        c7={"state": "disconnected", "released_at": AT},
    )
    states = {"connected": 2, "paused": 1, "dead": 1, "disconnected": 1, "released": 1}
    assert measured(database).connections == states


def test_the_worst_companies_are_measured_by_name_and_all_are_counted(
    database: Database, connection_id: str
) -> None:
    many = {f"m{n:02}": {"reconciled_until": ago(hours=26, minutes=n)} for n in range(25)}
    others: dict[str, dict[str, object]] = {
        "financed": {"reconciled_until": ago(hours=3)},
        "paused": {"reconciled_until": ago(days=9), "suspended_at": AT},
        "ended": {"reconciled_until": ago(days=9), "state": "disconnected"},
        "elsewhere": {"reconciled_until": ago(days=9), "environment": "production"},
    }
    add_like(database, connection_id, **many, **others)
    with database.write() as session:
        session.execute(update(Connection).values(renewed_at=ago(days=9)))
        kept = Connection.id == connection_id
        session.execute(update(Connection).where(kept).values(reconciled_until=ago(hours=3)))
    rows = DeliveryRows(database, "financed")
    rows.invoice()
    rows.document(state="invoice_accepted")
    for n in range(25):
        add(database, "pending", connection_id=f"m{n:02}", received_at=ago(seconds=50 + n))
    add(database, "pending", connection_id="paused", received_at=ago(days=1))
    found = measured(database)
    worst = [f"m{n:02}" for n in range(24, 4, -1)]
    assert list(found.watermark_ages) == worst
    assert (found.watermark_ages["m24"], found.oldest_watermark) == (26 * 3600 + 24 * 60,) * 2
    assert (list(found.waits), found.waits["m24"]) == (worst, 74)
    # One that is financed is late after two hours, the others after twenty-five.
    assert found.late == {"watermark": 26, "notices": 14}


def test_reads_runs_alerts_and_deliveries_are_counted(
    database: Database, connection_id: str
) -> None:
    add_like(database, connection_id, c2={})
    alert = {"severity": "warning", "text": "", "command": "", "since": AT, "raised_at": AT}
    with database.write() as session:
        for company, month, kind in (
            ("c1", "2026-11", "query"),
            ("c2", "2026-11", "query"),
            ("c1", "2026-11", "cdc"),
            ("c1", "2026-10", "cdc"),
        ):
            rate_limit.count_read(session, company, month, kind)
        for kind, state in (("backfill", "active"), ("reconcile", "done")):
            run = {"connection_id": "c1", "cause": "daily", "tally": {}, "created_at": AT}
            session.add(Run(kind=kind, state=state, **run))
        for subject, ended_at in (("c1", None), ("c2", None), ("c3", AT)):
            session.add(Alert(cause="connection.dead", subject=subject, ended_at=ended_at, **alert))
    found = measured(database)
    assert found.reads == {"query": 2, "cdc": 1}
    assert found.active_runs == {"backfill": 1, "reconcile": 0, "withdrawal": 0}
    assert found.open_alerts == {("connection.dead", "warning"): 2}


def test_each_renewal_of_tokens_counts_once_however_often_it_is_saved(
    database: Database, connection_id: str
) -> None:
    def tokens(name: str) -> SealedTokens:
        return SealedTokens(
            access=f"access {name}",
            access_expires_at=AT,
            refresh=f"refresh {name}",
            refresh_expires_at=AT,
            hard_expires_at=None,
        )

    with database.write() as session:
        authorisations.store_tokens(session, connection_id, tokens("1"))  # connecting is no renewal
        for _ in range(2):
            assert authorisations.replace_tokens(session, connection_id, tokens("2"), "refresh 1")
        assert authorisations.replace_tokens(session, connection_id, tokens("3"), "refresh 2")
        assert not authorisations.replace_tokens(session, connection_id, tokens("4"), "refresh 1")
    assert measured(database).refreshes == 2

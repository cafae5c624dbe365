"""What pruning deletes, to the microsecond, and in how small steps."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select, text

from service.database.tables import (
    Alert,
    AuditEntry,
    Base,
    BrowserSession,
    Finding,
    Notice,
    Receipt,
    Run,
    RunSeen,
    WebhookAnswers,
)
from tests.store.delivery_rows import DeliveryRows
from tests.workers.world import World, an_invoice
from workers.upkeep import prune, prune_at

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
DAYS_90, DAYS_7 = NOW - timedelta(days=90), NOW - timedelta(days=7)


def notice(world: World, **fields: Any) -> Notice:
    given = {"connection_id": world.connection_id, "format": "cloudevents", **fields}
    return Notice(**{"received_at": NOW - timedelta(days=1000), **given})


def add(world: World, *made: Base) -> None:
    with world.services.database.write() as session:
        session.add_all(made)


def left(world: World, table: type[Base]) -> int:
    with world.services.database.read() as session:
        return session.execute(select(func.count()).select_from(table)).scalar_one()


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"status": "done", "handled_at": DAYS_90}, True),
        ({"status": "done", "handled_at": DAYS_90 - INSTANT}, False),
        ({"status": "failed", "handled_at": DAYS_90 - INSTANT}, True),
        ({"status": "pending"}, True),
        ({"status": "ignored", "received_at": DAYS_90}, True),
        ({"status": "ignored", "received_at": DAYS_90 - INSTANT}, False),
        ({"status": "pending", "connection_id": None, "received_at": DAYS_7}, True),
        ({"status": "pending", "connection_id": None, "received_at": DAYS_7 - INSTANT}, False),
        ({"status": "ignored", "connection_id": None, "received_at": DAYS_7 - INSTANT}, False),
        ({"status": "ignored", "body_sealed": "x", "received_at": DAYS_7}, True),
        ({"status": "ignored", "body_sealed": "x", "received_at": DAYS_7 - INSTANT}, False),
        ({"status": "ignored", "format": "unknown", "received_at": DAYS_7 - INSTANT}, False),
    ],
)
def test_a_notice_is_kept_for_as_long_as_its_kind_says(
    world: World, fields: dict[str, Any], kept: bool
) -> None:
    add(world, notice(world, **fields))
    prune_at(world.services, NOW)
    assert left(world, Notice) == int(kept)


def run(world: World, state: str, kind: str = "backfill", **fields: Any) -> Run:
    return Run(
        connection_id=world.connection_id,
        kind=kind,
        cause="command",
        state=state,
        tally={},
        created_at=DAYS_90 - timedelta(days=1),
        **fields,
    )


@pytest.mark.both_databases("the statements are its own")
def test_of_runs_that_ended_long_ago_the_newest_of_each_kind_stays(world: World) -> None:
    old = {"finished_at": DAYS_90 - INSTANT}
    made = [
        run(world, "done", **old),
        run(world, "failed", **old),
        run(world, "done", finished_at=DAYS_90),
        run(world, "failed", **old),  # the newest backfill
        run(world, "done", "reconcile", **old),
        run(world, "done", "reconcile", **old),  # the newest reconcile
    ]
    add(world, *made)
    add(world, RunSeen(run_id=made[0].id, quickbooks_id="1"))
    prune_at(world.services, NOW)
    with world.services.database.read() as session:
        ids = session.scalars(select(Run.id).order_by(Run.id)).all()
    assert ids == [made[2].id, made[3].id, made[5].id]
    assert left(world, RunSeen) == 0


@pytest.mark.both_databases("the statements are its own")
def test_a_run_under_way_stays_however_old_it_is(world: World) -> None:
    add(world, run(world, "active"))
    add(world, run(world, "done", finished_at=NOW))
    prune_at(world.services, NOW)
    assert left(world, Run) == 2


def alert(number: int, ended_at: datetime | None) -> Alert:
    return Alert(
        cause="connection.dead",
        subject=str(number),
        severity="critical",
        text="",
        command="",
        since=DAYS_90 - timedelta(days=9),
        raised_at=DAYS_90 - timedelta(days=9),
        ended_at=ended_at,
    )


@pytest.mark.both_databases("the statements are its own")
def test_counts_and_ended_alerts_go_and_the_audit_stays(world: World) -> None:
    add(world, alert(1, None), alert(2, DAYS_90), alert(3, DAYS_90 - INSTANT))
    add(
        world,
        WebhookAnswers(minute=DAYS_90, outcome="stored", count=1),
        WebhookAnswers(minute=DAYS_90 - timedelta(minutes=1), outcome="stored", count=1),
        WebhookAnswers(minute=DAYS_90 - timedelta(minutes=1), outcome="refused", count=1),
    )
    long_ago = NOW - timedelta(days=5000)
    add(world, AuditEntry(at=long_ago, actor="cli:me", action="pause", details={}))
    prune_at(world.services, NOW)
    assert (left(world, Alert), left(world, WebhookAnswers), left(world, AuditEntry)) == (2, 1, 1)


@pytest.mark.both_databases("the statements are its own")
def test_closed_findings_go_and_open_ones_stay(world: World) -> None:
    rows = DeliveryRows(world.services.database, world.connection_id)
    rows.invoice()
    for field, closed_at in (("a", None), ("b", DAYS_90), ("c", DAYS_90 - INSTANT)):
        old = {"found_at": DAYS_90 - timedelta(days=9), "closed_at": closed_at}
        rows.finding("1", "critical", field=field, **old)
    prune_at(world.services, NOW)
    with world.services.database.read() as session:
        assert session.scalars(select(Finding.cause).order_by(Finding.id)).all() == ["a", "b"]


@pytest.mark.both_databases("the statements are its own")
def test_of_old_receipts_the_newest_of_each_invoice_stays(world: World) -> None:
    rows = DeliveryRows(world.services.database, world.connection_id)
    for number, outcomes in (("1", "abc"), ("2", "d"), ("3", "efg")):
        rows.invoice(number)
        for outcome in outcomes:
            rows.receipt(number, outcome, DAYS_90 - (outcome != "f") * INSTANT)
    prune_at(world.services, NOW, chunk=1)
    with world.services.database.read() as session:
        kept = session.scalars(select(Receipt.outcome).order_by(Receipt.id)).all()
    assert kept == ["c", "d", "f", "g"]


@pytest.mark.both_databases("the statements are its own")
def test_no_transaction_deletes_more_than_its_share(world: World) -> None:
    """So an acknowledgement waits for one share at most, on SQLite, which has one writer."""
    old = {"status": "done", "handled_at": DAYS_90 - INSTANT}
    add(world, *(notice(world, **old) for _ in range(5)))
    sizes: list[int] = []

    def count(connection: object, cursor: Any, statement: str, *_: object) -> None:
        if statement.startswith("DELETE FROM notices") and cursor.rowcount > 0:
            sizes.append(cursor.rowcount)

    commits: list[int] = []
    engine = world.services.database.engine
    event.listen(engine, "after_cursor_execute", count)
    event.listen(engine, "commit", lambda connection: commits.append(len(sizes)))
    prune_at(world.services, NOW, chunk=2)
    assert sizes == [2, 2, 1]
    assert {1, 2, 3} <= set(commits)
    assert left(world, Notice) == 0


def test_what_the_clock_prunes_is_old_by_now(world: World) -> None:
    fields = {"digest": "d", "created_at": DAYS_90, "expires_at": DAYS_90}
    add(world, BrowserSession(**fields))
    prune(world.services)
    assert left(world, BrowserSession) == 0


def test_sqlite_learns_what_is_there(world: World) -> None:
    world.arrive(an_invoice())
    prune(world.services)
    with world.services.database.read() as session:
        known = session.execute(text("SELECT DISTINCT tbl FROM sqlite_stat1")).scalars().all()
    assert "invoices" in known

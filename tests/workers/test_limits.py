"""What is done when QuickBooks' limits are near, or reached."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from service.config.loading import settings_from
from service.database.tables import Connection, Notice, Reads, Run
from service.errors import BudgetSpent, Throttled, TransientError
from service.kit.clock import now
from service.store import own_notices
from tests.servers import wait_until
from tests.workers.reconciling import due, finish, set_connection
from tests.workers.world import REALM, World, an_event, an_invoice, environment
from workers.company import CompanyContext
from workers.retry import is_hopeless, pause_for
from workers.sync import sync_company


def used(world: World, reads: int, *, by: str | None = None, month: str | None = None) -> None:
    """Let so many of the month's reads be used up."""
    with world.services.database.write() as session:
        session.add(
            Reads(
                connection_id=by or world.connection_id,
                month=month or now().strftime("%Y-%m"),
                kind="other",
                count=reads,
            )
        )


def test_the_free_tier_is_what_counts_without_a_setting(world: World) -> None:
    assert world.services.settings.quickbooks_reads_per_month == 500_000
    settings = settings_from(
        environment(world.simulator.url, "sqlite:///x.db", QUICKBOOKS_READS_PER_MONTH="7")
    )
    assert settings.quickbooks_reads_per_month == 7


@pytest.mark.parametrize(
    ("reads", "served"),
    [
        (449_999, {"notice", "backfill", "reconcile"}),
        (450_000, {"notice", "reconcile"}),
        (484_999, {"notice", "reconcile"}),
        (485_000, {"notice"}),
        (600_000, {"notice"}),
    ],
)
def test_the_less_urgent_waits_first(world: World, reads: int, served: set[str]) -> None:
    world.put("Invoice", an_invoice("1"))
    used(world, reads)
    let_in = set()
    for purpose in ("backfill", "reconcile", "notice"):
        with suppress(BudgetSpent):
            CompanyContext.of(world.services, world.connection_id, purpose).api.read("Invoice", "1")
            let_in.add(purpose)
    assert let_in == served


def test_the_reads_of_all_companies_count_and_last_months_do_not(world: World) -> None:
    other = world.connect("9341455000000002", "other@example.com")
    world.connect("9341455000000003", "third@example.com")
    used(world, 400_000, by=other)
    used(world, 900_000, by=other, month="2026-01")
    company = CompanyContext.of(world.services, world.connection_id, "backfill")
    world.simulator.simulator.company("9341455000000003")
    assert company.api.company_info() is not None
    used(world, 50_000)
    with pytest.raises(BudgetSpent, match="90% of this month's 500,000 reads are used"):
        company.api.company_info()


def test_a_backfill_waits_for_the_month_and_notices_go_on(world: World) -> None:
    used(world, 450_000)
    run_id = world.begin_backfill()
    world.advance(run_id)
    run = world.run(run_id)
    assert (run.state, run.attempts) == ("active", 1)
    assert run.error is not None
    assert run.error.startswith("90% of this month's 500,000 reads are used: a backfill waits")
    assert run.due_at is not None
    assert timedelta(minutes=59) < run.due_at - now() <= timedelta(hours=1)
    world.arrive(an_invoice("1"))
    assert list(world.documents()) == ["1"]
    assert world.connection().paused_until is None


def test_a_run_that_waits_for_the_month_is_never_given_up(world: World) -> None:
    run_id = world.begin_backfill()
    used(world, 500_000)
    with world.services.database.write() as session:
        session.execute(update(Run).values(created_at=now() - timedelta(days=20), attempts=400))
    world.advance(run_id)
    assert world.run(run_id).state == "active"


def test_what_waits_for_a_limit_to_end_is_never_failed(world: World) -> None:
    """The month's cap answers 429 until the month is over."""
    world.put("Invoice", an_invoice("1"))
    world.webhook(an_event("Invoice", "1", "created"))
    with world.services.database.write() as session:
        session.execute(update(Notice).values(received_at=now() - timedelta(days=20), attempts=99))
    world.faults({"preset": "429-json"})
    world.sync()
    assert [row.status for row in world.notice_rows()] == ["pending"]
    world.no_faults()
    world.sync()
    assert list(world.documents()) == ["1"]


@pytest.mark.both_databases("the statements are its own")
def test_a_429_pauses_one_company_and_no_other(world: World) -> None:
    throttled = world.connection_id
    other = world.connect("9341455000000002", "other@example.com")
    with world.services.database.write() as session:
        for connection_id in (throttled, other):
            own_notices.ask_for_changes(session, connection_id, "sync", now())
    world.faults({"preset": "429-json", "company": REALM})
    sync_company(world.services, throttled)
    sync_company(world.services, other)
    assert [status for status, _ in world.notices()] == ["pending", "done"]
    assert world.connection().paused_until is None


@pytest.mark.both_databases("the statements are its own")
def test_another_failure_does_not_shorten_a_pause(world: World) -> None:
    """A backfill may be told to wait for minutes while a sync beside it meets a passing error."""
    world.put("Invoice", an_invoice("1"))
    world.webhook(an_event("Invoice", "1", "created"))
    world.faults({"kind": "query", "status": 503, "delay": 0.5, "count": 1})
    with ThreadPoolExecutor() as pool:
        failing = pool.submit(world.sync)
        wait_until(lambda: not world.simulator.simulator.script.rules, what="the query")
        world.pause(seconds=300)
        failing.result()
    connection = world.connection()
    assert connection.failures == 2
    assert connection.paused_until is not None
    assert timedelta(seconds=290) < connection.paused_until - now() <= timedelta(seconds=300)


def test_since_when_a_company_answers_only_429_is_remembered(world: World) -> None:
    world.put("Invoice", an_invoice("1"))
    world.webhook(an_event("Invoice", "1", "created"))
    world.faults({"preset": "429-xml"})
    world.sync()
    first = world.connection().throttled_since
    assert first is not None
    world.sync()
    assert world.connection().throttled_since == first
    world.no_faults()
    world.sync()
    assert world.connection().throttled_since is None


def test_a_run_that_is_throttled_remembers_it_too(world: World) -> None:
    run_id = world.begin_backfill()
    world.faults({"preset": "429-json"})
    world.advance(run_id)
    assert world.connection().throttled_since is not None


@pytest.mark.parametrize(
    ("failures", "asked", "seconds"),
    [
        (0, None, 60),
        (10, None, 60),
        (11, None, 120),
        (13, None, 480),
        (16, None, 3600),
        (50, None, 3600),
        (0, 17.0, 17),
        (50, 7200.0, 3600),
    ],
)
def test_a_429_that_lasts_is_asked_about_less_and_less_often(
    failures: int, asked: float | None, seconds: int
) -> None:
    error = Throttled("429", retry_after=asked)
    assert pause_for(error, failures) == timedelta(seconds=seconds)
    assert not is_hopeless(error, now() - timedelta(days=30), 1000, now())


def test_pauses_are_spread_so_that_not_all_companies_come_back_at_once() -> None:
    waits = [pause_for(TransientError("503"), 3).total_seconds() for _ in range(200)]
    assert 8 <= min(waits) < 10
    assert 14 < max(waits) <= 16


def idle(world: World, *, days: int, **more: Any) -> None:
    at = now() - timedelta(days=days)
    set_connection(world, access_expires_at=at, **more)


def keep_alive(world: World) -> int:
    """Keep connections alive, and return how many token calls that took."""
    from workers.upkeep import keep_alive as work

    world.count_refreshes()
    work(world.services)
    made = world.refreshes()
    world.no_faults()
    return made


def test_idle_connections_are_kept_alive(world: World) -> None:
    idle(world, days=6)
    assert keep_alive(world) == 0
    idle(world, days=8)
    assert keep_alive(world) == 1
    assert keep_alive(world) == 0


@pytest.mark.both_databases("the statements are its own")
def test_a_suspended_connection_outlives_the_hundred_days(world: World) -> None:
    set_connection(world, suspended_at=now())
    for _ in range(4):
        world.pass_time_in_quickbooks(days=50)
        idle(world, days=50)
        assert keep_alive(world) == 1
    set_connection(world, suspended_at=None)
    world.arrive(an_invoice("1"))
    assert list(world.documents()) == ["1"]


def test_only_live_connections_of_this_environment_are_kept_alive(world: World) -> None:
    idle(world, days=30, state="disconnected")
    assert keep_alive(world) == 0
    idle(world, days=30, state="connected", environment="production")
    assert keep_alive(world) == 0


def test_one_that_cannot_be_kept_alive_spoils_no_other(world: World) -> None:
    first = world.connection_id
    world.connect("9341455000000002", "other@example.com")
    idle(world, days=30)
    world.connection_id = first
    idle(world, days=40)
    world.faults({"kind": "token", "status": 503, "count": 1})
    keep_alive_calls = keep_alive(world)
    assert keep_alive_calls == 1
    with world.services.database.read() as session:
        connections = {c.id: c.access_expires_at for c in session.query(Connection)}
    still_idle = [i for i, at in connections.items() if at is not None and at < now()]
    assert still_idle == [first]


def test_a_reconcile_that_may_not_read_waits(world: World) -> None:
    set_connection(world, reconcile_due_at=now())
    used(world, 490_000)
    (run,) = due(world)
    world.forget_calls()
    world.advance(run.id)
    assert (world.run(run.id).state, world.calls()) == ("active", 0)


def test_a_reconcile_does_not_wait_for_a_backfill_that_waits_for_the_month(world: World) -> None:
    """Notices that were lost meanwhile would stay lost until the first of the next month."""
    world.put("Invoice", an_invoice("1"))
    used(world, 450_000)
    world.advance(world.begin_backfill())
    set_connection(world, reconcile_due_at=now())
    (run,) = due(world)
    assert finish(world, run.id)["state"] == "done"
    assert list(world.documents()) == ["1"]


def test_the_end_of_the_token_chain_is_known_and_no_refresh_puts_it_off(world: World) -> None:
    """Intuit ends every chain after five years, and says so to those who ask."""
    first = world.connection().hard_expires_at
    assert first is not None
    assert timedelta(days=1824) < first - now() <= timedelta(days=1825)
    world.pass_time_in_quickbooks(days=30)
    idle(world, days=30)
    assert keep_alive(world) == 1
    second = world.connection().hard_expires_at
    assert second is not None
    # Said in seconds from then on, which is 30 days earlier by our own clock.
    assert abs(first - timedelta(days=30) - second) < timedelta(seconds=5)


@pytest.mark.both_databases("the statements are its own")
def test_an_answer_that_does_not_repeat_the_end_leaves_it_known(world: World) -> None:
    end = now() + timedelta(days=20)
    idle(world, days=30, hard_expires_at=end)
    body = {
        "token_type": "bearer",
        "access_token": "another-access-token",
        "refresh_token": "another-refresh-token",
        "expires_in": 3600,
    }
    world.faults({"kind": "token", "status": 200, "body": body, "count": 1})
    world.services.access.access_token(world.connection_id)
    assert world.connection().hard_expires_at == end

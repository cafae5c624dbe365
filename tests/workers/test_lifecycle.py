"""What operators decide about a company: paused, resumed, disconnected."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from service.database.tables import AuditEntry, Connection
from service.domain import RevisionCause
from service.errors import Disconnected
from service.kit.clock import now
from service.operations.disconnect import ConnectedAgain, NotRevoked, Revocation, disconnect, end
from service.store import connection_lifecycle, connections
from tests.servers import wait_until
from tests.workers.reconciling import catch_up
from tests.workers.world import REALM, World, an_event, an_invoice
from workers.company import CompanyContext
from workers.reading.by_id import CustomerReads, read_invoices
from workers.recording.record import recording


def audit(world: World) -> list[tuple[str, str, str | None, dict[str, object]]]:
    """Return who did what, the oldest first."""
    with world.services.database.read() as session:
        rows = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    return [(row.actor, row.action, row.connection_id, row.details) for row in rows]


def pause(world: World) -> bool:
    with world.services.database.write() as session:
        return connection_lifecycle.suspend(session, world.connection_id, now())


def resume(world: World) -> bool:
    with world.services.database.write() as session:
        return connection_lifecycle.resume(session, world.connection_id, now())


@pytest.mark.both_databases("the statements are its own")
def test_a_paused_company_is_not_called_and_catches_up_when_resumed(world: World) -> None:
    assert pause(world)
    assert not pause(world)
    world.put("Invoice", an_invoice("1"), an_invoice("2"))
    world.forget_calls()
    world.hear("Invoice", "1", "created")
    assert world.calls() == 0
    assert world.notices() == [("pending", None)]
    assert world.sweep() == []

    before = now()
    assert resume(world)
    assert not resume(world)
    due_at = world.connection().reconcile_due_at
    assert before <= due_at <= now()
    assert world.sweep() == [("sync_company", world.connection_id)]
    world.sync()
    assert [status for status, _ in world.notices()] == ["done", "done"]
    assert world.holds() == {"1": "unproven", "2": "unproven"}
    catch_up(world)
    assert sorted(world.documents()) == ["1", "2"]


def test_a_disconnected_company_has_no_tokens_here_and_none_at_quickbooks(world: World) -> None:
    world.arrive(an_invoice("1"))
    assert disconnect(world.services, world.connection_id, "cli:me", force=False) is None
    connection = world.connection()
    assert (connection.state, connection.problem) == ("disconnected", None)
    assert (connection.access_sealed, connection.refresh_sealed) == (None, None)
    assert connection.disconnected_at is not None
    assert not world.is_granted()
    assert sorted(world.documents()) == ["1"]
    assert audit(world) == [("cli:me", "disconnect", world.connection_id, {"revoked": True})]


@pytest.mark.both_databases("the statements are its own")
def test_without_a_confirmation_by_quickbooks_a_company_stays_as_it_is(world: World) -> None:
    world.faults({"kind": "revoke", "status": 503, "count": 1})
    before = world.connection()
    with pytest.raises(NotRevoked, match="is down"):
        disconnect(world.services, world.connection_id, "cli:me", force=False)
    after = world.connection()
    assert (after.state, after.refresh_sealed) == ("connected", before.refresh_sealed)
    assert world.is_granted()
    problem = "QuickBooks' token service is down (HTTP 503)"
    failed = ("cli:me", "disconnect failed", world.connection_id, {"why": problem})
    assert audit(world) == [failed]

    world.faults({"kind": "revoke", "status": 503, "count": 1})
    given = disconnect(world.services, world.connection_id, "cli:me", force=True)
    assert given == problem
    assert world.connection().state == "disconnected"
    ended = ("cli:me", "disconnect", world.connection_id, {"revoked": False})
    assert audit(world) == [failed, ended]


def test_tokens_that_are_dead_already_need_no_revocation(world: World) -> None:
    world.simulator.simulator.grants.disconnect(REALM)
    assert disconnect(world.services, world.connection_id, "cli:me", force=False) is None
    assert (world.connection().state, world.connection().problem) == ("disconnected", None)


def test_a_bare_refusal_of_living_tokens_is_no_confirmation(world: World) -> None:
    world.faults({"kind": "revoke", "status": 400, "body": "", "count": 2})
    with pytest.raises(NotRevoked, match="did not accept the token to revoke"):
        disconnect(world.services, world.connection_id, "cli:me", force=False)
    assert world.connection().state == "connected"
    assert world.is_granted()


def test_a_supplier_who_connects_again_meanwhile_stays_connected(world: World) -> None:
    given_back = Revocation(world.connection_id, world.connection().refresh_sealed)
    world.reconnect()
    consented = world.connection().refresh_sealed
    with pytest.raises(ConnectedAgain), world.services.database.write() as session:
        end(session, given_back)
    assert (world.connection().state, world.connection().refresh_sealed) == ("connected", consented)


@pytest.mark.both_databases("locks work differently")
def test_a_consent_that_is_given_during_the_giving_back_is_not_given_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QuickBooks refuses the old token, just when the company has another."""
    world.faults({"kind": "revoke", "status": 400, "body": "", "count": 1})
    revoke = world.services.oauth.revoke

    def meanwhile(token: str) -> None:
        monkeypatch.undo()
        world.reconnect()
        revoke(token)

    monkeypatch.setattr(world.services.oauth, "revoke", meanwhile)
    with pytest.raises(ConnectedAgain):
        disconnect(world.services, world.connection_id, "cli:me", force=False)
    assert world.connection().state == "connected"
    assert world.services.access.access_token(world.connection_id)


@pytest.mark.both_databases("locks work differently")
def test_a_refresh_under_way_brings_back_nothing(world: World) -> None:
    with world.services.database.write() as session:
        session.execute(update(Connection).values(access_expires_at=now() - timedelta(hours=1)))
    world.faults({"kind": "token", "delay": 60, "count": 1})
    with ThreadPoolExecutor() as pool:
        late = pool.submit(world.services.access.access_token, world.connection_id)
        world.wait_for_refresh()
        disconnect(world.services, world.connection_id, "cli:me", force=False)
        world.no_faults()
        with pytest.raises(Disconnected):
            late.result()
    connection = world.connection()
    assert (connection.state, connection.problem) == ("disconnected", None)
    assert (connection.access_sealed, connection.refresh_sealed) == (None, None)


def test_a_late_error_does_not_make_a_deliberate_end_look_like_a_refusal(world: World) -> None:
    disconnect(world.services, world.connection_id, "cli:me", force=False)
    with world.services.database.write() as session:
        connections.pause(session, world.connection_id, now(), "QuickBooks is down")
    assert (world.connection().problem, world.connection().failures) == (None, 0)


@pytest.mark.both_databases("locks work differently")
def test_a_worker_that_has_read_records_nothing_of_a_company_that_ended_meanwhile(
    world: World,
) -> None:
    world.put("Invoice", an_invoice("1"))
    company = CompanyContext.of(world.services, world.connection_id)
    reads = CustomerReads(company).complete(read_invoices(company, ["1"]))
    recorded: list[int] = []

    def record() -> None:
        with recording(company, reads, cause=RevisionCause.NOTICE):
            recorded.append(1)

    with ThreadPoolExecutor() as pool:
        with world.services.database.write() as session:
            end(session, Revocation(world.connection_id, world.connection().refresh_sealed))
            late = pool.submit(record)
            wait_until(lambda: waiting_for_a_lock(world) or late.done(), what="the worker")
        with pytest.raises(Disconnected):
            late.result()
    assert world.documents() == {}
    assert recorded == []


def waiting_for_a_lock(world: World) -> bool:
    """Tell whether somebody waits; SQLite tells nobody, and there it is all the same."""
    if world.services.database.is_sqlite:
        return threading.active_count() > 1
    with world.services.database.engine.connect() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        return bool(connection.exec_driver_sql(query).scalar_one())


def test_what_was_read_for_the_former_supplier_is_not_recorded_for_the_next(world: World) -> None:
    world.put("Invoice", an_invoice("1"))
    company = CompanyContext.of(world.services, world.connection_id)
    reads = CustomerReads(company).complete(read_invoices(company, ["1"]))
    sold = replace(company, supplier_id=-1)
    with pytest.raises(Disconnected), recording(sold, reads, cause=RevisionCause.NOTICE):
        pytest.fail("it is nobody else's")
    with recording(company, reads, cause=RevisionCause.NOTICE):
        assert world.documents() == {}
    assert sorted(world.documents()) == ["1"]


def test_notices_of_a_disconnected_company_wait_for_it(world: World) -> None:
    disconnect(world.services, world.connection_id, "cli:me", force=False)
    world.webhook(an_event("Invoice", "1", "created"))
    world.sync()
    why = "the company is disconnected: kept until it connects again"
    assert world.notices() == [("pending", why)]

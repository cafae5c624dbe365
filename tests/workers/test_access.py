"""One refresher per connection, saved before used, and no wrong "please reconnect"."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import select, update

from service.coordination import leases
from service.database.tables import Connection, Lease
from service.database.types import database_now
from service.errors import Disconnected, TransientError
from service.kit.clock import now
from tests.workers.reconciling import set_connection
from tests.workers.world import REALM, World, an_invoice


def expire(world: World) -> None:
    """Let the access token have ended, and the refresh token be one that is replaced when used.

    A second refresh with the same one is then answered with invalid_grant.
    """
    world.pass_time_in_quickbooks(hours=25)
    with world.services.database.write() as session:
        session.execute(update(Connection).values(access_expires_at=now() - timedelta(hours=1)))


def test_a_token_that_is_good_is_used_as_it_is(world: World) -> None:
    world.count_refreshes()
    first = world.services.access.access_token(world.connection_id)
    assert world.services.access.access_token(world.connection_id) == first
    assert world.refreshes() == 0


def test_a_token_is_renewed_a_minute_before_its_end(world: World) -> None:
    world.count_refreshes()
    with world.services.database.write() as session:
        session.execute(update(Connection).values(access_expires_at=now() + timedelta(seconds=55)))
    world.services.access.access_token(world.connection_id)
    assert world.refreshes() == 1


@pytest.mark.both_databases("locks work differently")
def test_twenty_threads_on_an_expired_token_refresh_it_once(world: World) -> None:
    expire(world)
    world.count_refreshes(delay=0.2)
    with ThreadPoolExecutor(20) as pool:
        access = world.services.access
        tokens = set(pool.map(access.access_token, [world.connection_id] * 20))
    assert len(tokens) == 1
    assert world.refreshes() == 1
    assert world.connection().state == "connected"


@pytest.mark.both_databases("locks work differently")
def test_two_processes_on_an_expired_token_refresh_it_once(world: World) -> None:
    expire(world)
    world.count_refreshes(delay=0.2)
    accesses = [world.services.access, world.another_process().access] * 4
    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(lambda access: access.access_token(world.connection_id), accesses))
    assert len(tokens) == 1
    assert world.refreshes() == 1


@pytest.mark.both_databases("locks work differently")
def test_threads_whose_token_was_rejected_refresh_it_once(world: World) -> None:
    access = world.services.access
    rejected = access.access_token(world.connection_id)
    world.count_refreshes(delay=0.1)
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(access.access_token, world.connection_id, rejected) for _ in range(8)]
        tokens = {call.result() for call in calls}
    assert len(tokens) == 1
    assert rejected not in tokens
    assert world.refreshes() == 1


@pytest.mark.parametrize(
    "rule",
    [
        {"status": 500},
        {"status": 503, "body": "<html>"},
        {"status": 429},
        {"drop": True},
        {"body": "no json"},
        {"body": {"access_token": "only-half"}},
        {"preset": "invalid_client"},
    ],
)
def test_an_unwell_token_service_never_means_reconnect(
    world: World, rule: dict[str, object]
) -> None:
    expire(world)
    world.faults({**rule, "kind": "token", "count": 1})
    with pytest.raises(TransientError):
        world.services.access.access_token(world.connection_id)
    assert world.connection().state == "connected"
    assert world.services.access.access_token(world.connection_id)


@pytest.mark.both_databases("locks work differently")
def test_new_tokens_are_stored_before_they_are_used(world: World) -> None:
    expire(world)
    before = world.connection()
    token = world.services.access.access_token(world.connection_id)
    after = world.connection()
    vault = world.services.vault
    assert vault.open(after.access_sealed or "", f"{after.id}:access") == token
    assert vault.open(after.refresh_sealed or "", f"{after.id}:refresh") != vault.open(
        before.refresh_sealed or "", f"{before.id}:refresh"
    )
    assert after.access_expires_at is not None
    assert timedelta(minutes=59) < after.access_expires_at - now() < timedelta(minutes=61)


def test_a_dead_refresh_token_disconnects_and_says_so(world: World) -> None:
    expire(world)
    world.faults({"preset": "invalid_grant", "count": 1})
    with pytest.raises(Disconnected):
        world.services.access.access_token(world.connection_id)
    assert world.connection().state == "disconnected"
    world.count_refreshes()
    with pytest.raises(Disconnected):
        world.services.access.access_token(world.connection_id)
    assert world.refreshes() == 0


WRONG = {"access_token": "wrong", "refresh_token": "AB11wrong", "expires_in": 3600}


def answer_wrongly(world: World) -> str:
    """Let QuickBooks answer a refresh with tokens that open nothing; return its own one."""
    connection = world.connection()
    set_connection(world, access_expires_at=now() - timedelta(hours=1))
    world.faults({"kind": "token", "status": 200, "body": WRONG, "count": 1})
    assert world.services.access.access_token(world.connection_id) == "wrong"
    return world.services.vault.open(
        connection.refresh_sealed or "", f"{world.connection_id}:refresh"
    )


def kept(world: World) -> list[str | None]:
    """Return the stored refresh token, and the one before it."""
    row = world.connection()
    opened = partial(world.services.vault.open, owner=f"{row.id}:refresh")
    both = (row.refresh_sealed, row.previous_refresh_sealed)
    return [sealed and opened(sealed) for sealed in both]


@pytest.mark.both_databases("the statements are its own")
def test_a_wrong_refresh_token_costs_no_connection(world: World) -> None:
    good = answer_wrongly(world)
    assert kept(world) == ["AB11wrong", good]
    world.arrive(an_invoice("1"))
    assert list(world.documents()) == ["1"]
    assert world.connection().state == "connected"
    assert kept(world) == [good, None]


def test_nobody_else_refreshes_while_one_tries_both_tokens_and_saves(world: World) -> None:
    """Each call may take ten seconds, and saving 33, besides a last attempt that hangs."""
    answer_wrongly(world)
    world.faults({"kind": "token", "delay": 60, "count": 1})
    with ThreadPoolExecutor() as pool:
        late = pool.submit(world.services.access.access_token, world.connection_id, "wrong")
        world.wait_for_refresh()
        with world.services.database.write() as session:
            left = session.scalar(
                select(Lease.until - database_now()).where(Lease.name.like("refresh:%"))
            )
            taken = leases.acquire(
                session, f"refresh:{world.connection_id}", "another", seconds=120
            )
        world.no_faults()
        late.result()
    assert not taken
    assert left > 100


def test_the_token_before_is_kept_until_the_new_one_has_been_good_and_no_longer(
    world: World,
) -> None:
    first, _ = kept(world)
    expire(world)
    token = world.services.access.access_token(world.connection_id)
    second, previous = kept(world)
    assert (second != first, previous) == (True, first)
    world.services.access.access_token(world.connection_id, token)
    assert kept(world) == [second, None]


def test_where_both_are_refused_each_was_tried_once(world: World) -> None:
    answer_wrongly(world)
    world.faults({"preset": "invalid_grant", "count": 10})
    with pytest.raises(Disconnected):
        world.services.access.access_token(world.connection_id, "wrong")
    (rule,) = world.http.get(f"{world.simulator.url}/_sim/faults").json()["faults"]
    assert rule["count"] == 8
    assert world.connection().state == "disconnected"
    assert kept(world) == ["AB11wrong", None]


def test_an_old_token_is_never_tried_beside_one_that_was_good(world: World) -> None:
    world.settings(old_refresh_grace=86_400)
    expire(world)
    token = world.services.access.access_token(world.connection_id)
    token = world.services.access.access_token(world.connection_id, token)
    world.faults({"preset": "invalid_grant", "count": 1})
    with pytest.raises(Disconnected):
        world.services.access.access_token(world.connection_id, token)


def test_a_new_token_that_is_refused_at_once_gives_way_to_the_one_before(world: World) -> None:
    world.settings(old_refresh_grace=86_400)
    expire(world)
    token = world.services.access.access_token(world.connection_id)
    world.faults({"preset": "invalid_grant", "count": 1})
    assert world.services.access.access_token(world.connection_id, token) != token
    assert world.connection().state == "connected"


def test_who_is_refused_uses_the_tokens_that_somebody_else_got_meanwhile(world: World) -> None:
    """The lease lapsed, or the supplier connected again: the row is read once more."""
    expire(world)
    world.faults({"preset": "invalid_grant", "delay": 60, "count": 1})
    with ThreadPoolExecutor() as pool:
        refused = pool.submit(world.services.access.access_token, world.connection_id)
        world.wait_for_refresh()
        world.reconnect()
        world.no_faults()
        token = refused.result()
    connection = world.connection()
    assert connection.state == "connected"
    assert (
        world.services.vault.open(connection.access_sealed or "", f"{connection.id}:access")
        == token
    )


@pytest.mark.both_databases("locks work differently")
def test_a_late_refresh_does_not_overwrite_the_tokens_of_a_new_consent(world: World) -> None:
    expire(world)
    world.faults({"kind": "token", "delay": 60, "count": 1})
    with ThreadPoolExecutor() as pool:
        late = pool.submit(world.services.access.access_token, world.connection_id)
        world.wait_for_refresh()
        world.reconnect()
        consented = world.connection().refresh_sealed
        world.no_faults()
        token = late.result()
    connection = world.connection()
    assert connection.refresh_sealed == consented
    assert (
        world.services.vault.open(connection.access_sealed or "", f"{connection.id}:access")
        == token
    )


def test_a_refresh_does_not_bring_back_a_company_that_was_disconnected_meanwhile(
    world: World,
) -> None:
    expire(world)
    world.faults({"kind": "token", "delay": 60, "count": 1})
    with ThreadPoolExecutor() as pool:
        late = pool.submit(world.services.access.access_token, world.connection_id)
        world.wait_for_refresh()
        with world.services.database.write() as session:
            ended = {"state": "disconnected", "access_sealed": None, "refresh_sealed": None}
            session.execute(update(Connection).values(**ended))
        world.no_faults()
        with pytest.raises(Disconnected):
            late.result()
    assert world.connection().refresh_sealed is None


def test_neither_tokens_nor_the_realm_id_stand_in_the_database(world: World) -> None:
    token = world.services.access.access_token(world.connection_id)
    row = world.connection()
    kept = " ".join(str(getattr(row, column.name)) for column in Connection.__table__.columns)
    assert REALM not in kept
    assert token not in kept
    assert "AB11" not in kept


def test_calls_are_counted_by_kind(world: World) -> None:
    permit = world.services.access.permit(world.connection_id)
    for kind in ("query", "query", "read"):
        permit(kind)
    assert world.reads() == {"query": 2, "read": 1}

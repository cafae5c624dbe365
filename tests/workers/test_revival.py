"""A refusal that was no end: wrong keys of the app, and good tokens that were called invalid."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from service.database.tables import Connection, Notice
from service.errors import Disconnected, TransientError
from service.kit.clock import now
from service.monitoring.checks import current_status
from service.monitoring.condition import Condition
from service.monitoring.refusals import Refusals
from service.operations import actions, disconnect
from service.store import connection_lifecycle
from tests.workers.reconciling import catch_up, due, finish, set_connection
from tests.workers.world import World, an_event, an_invoice
from workers.upkeep import revive, try_keys

WRONG_APP = [
    "Incorrect Token type or clientID",
    "incorrect token type or clientid",
    "Incorrect Token type or client_id",
]


def seen(world: World) -> dict[str, Condition]:
    """Return what `status` calls wrong, by cause; here no worker is meant to live."""
    with world.services.database.read() as session:
        wrong, _ = current_status(session, world.services.settings, now(), Refusals())
    return {c.cause: c for c in wrong if c.cause != "workers.silent"}


def expire(world: World) -> None:
    """Let the next read need a new access token."""
    set_connection(world, access_expires_at=now() - timedelta(hours=1))


def die(world: World, *, ago: timedelta) -> None:
    """Let QuickBooks call the company's good token invalid, so long ago."""
    expire(world)
    world.faults({"preset": "invalid_grant", "count": 1})
    with pytest.raises(Disconnected):
        world.services.access.access_token(world.connection_id)
    set_connection(world, disconnected_at=now() - ago)


@pytest.mark.parametrize("description", WRONG_APP)
def test_the_apps_wrong_keys_end_no_connection_and_are_told_at_once(
    world: World, description: str
) -> None:
    expire(world)
    world.put("Invoice", an_invoice("1"))
    world.webhook(an_event("Invoice", "1", "created"))
    run_id = world.begin_backfill()
    answer = {"error": "invalid_grant", "error_description": description}
    world.faults({"kind": "token", "status": 400, "body": answer})
    world.sync()
    assert world.advance(run_id) is False
    assert world.connection().state == "connected"
    assert world.run(run_id).state == "active"
    (row,) = world.notice_rows()
    assert (row.status, row.error_class) == ("pending", "KeysRefused")
    told = seen(world)
    assert told.keys() == {"keys.refused"}
    refused = told["keys.refused"]
    assert (refused.severity, refused.subject) == ("critical", "")
    assert refused.text == (
        "QuickBooks does not accept the app's keys, for 1 of 1 company: check"
        " QUICKBOOKS_CLIENT_ID and QUICKBOOKS_CLIENT_SECRET, and restart with the right ones."
        " No connection has ended; everything continues automatically then."
    )
    world.no_faults()
    world.sync()
    assert world.notices() == [("done", "created")]
    assert seen(world) == {}


def test_the_right_keys_are_seen_to_be_right_though_nothing_waits(world: World) -> None:
    world.faults({"preset": "401", "count": 1}, {"preset": "invalid_client"})
    world.webhook(an_event("Invoice", "1", "created"))
    world.sync()
    with world.services.database.write() as session:
        session.execute(delete(Notice))
    try_keys(world.services)
    assert seen(world).keys() == {"keys.refused"}
    world.no_faults()
    # No read asks for a renewal: the access token was good for an hour.
    try_keys(world.services)
    assert seen(world) == {}


def test_what_waits_for_the_right_keys_is_never_given_up(world: World) -> None:
    expire(world)
    world.webhook(an_event("Invoice", "1", "created"))
    world.be_tried(times=99, since=timedelta(days=30))
    world.faults({"preset": "invalid_client"})
    world.sync()
    assert [row.status for row in world.notice_rows()] == ["pending"]


def test_a_redirect_of_the_token_service_is_not_the_keys_fault(world: World) -> None:
    expire(world)
    world.faults({"kind": "token", "status": 302, "headers": {"Location": "/"}})
    with pytest.raises(TransientError):
        world.services.access.access_token(world.connection_id)
    assert world.connection().keys_refused_since is None


def test_a_revival_tries_the_last_token_alone(world: World) -> None:
    """One that Intuit has replaced is dead a day later, and its use may end the one after it."""
    die(world, ago=timedelta(hours=25))
    set_connection(world, previous_refresh_sealed=world.connection().refresh_sealed)
    world.faults({"preset": "invalid_grant", "count": 10})
    with pytest.raises(Disconnected):
        world.services.access.revive(world.connection_id)
    (rule,) = world.http.get(f"{world.simulator.url}/_sim/faults").json()["faults"]
    assert rule["count"] == 9


def test_whoever_disconnects_leaves_neither_token(world: World) -> None:
    row = world.connection()
    set_connection(world, previous_refresh_sealed=row.refresh_sealed)
    with world.services.database.write() as session:
        assert connection_lifecycle.end(session, row.id, row.refresh_sealed, now())
    row = world.connection()
    assert (row.refresh_sealed, row.previous_refresh_sealed) == (None, None)


@pytest.mark.both_databases("the statements are its own")
def test_a_good_token_that_was_called_invalid_comes_back_and_catches_up(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.arrive(an_invoice("2"))
    world.pass_time_in_quickbooks(minutes=1)
    die(world, ago=timedelta(hours=25))
    assert "connection.dead" in seen(world)
    world.pay("1")
    world.delete("Invoice", "2")
    world.put("Invoice", an_invoice("3"))
    world.webhook(an_event("Invoice", "3", "created"))
    revive(world.services)
    connection = world.connection()
    assert (connection.state, connection.problem, connection.failures) == ("connected", None, 0)
    assert "connection.dead" not in seen(world)
    assert world.sweep() == [("sync_company", world.connection_id)]
    world.sync()
    assert {status for status, _ in world.notices()} == {"done"}
    (run,) = due(world)
    assert finish(world, run.id)["state"] == "done"
    world.judge()
    assert world.holds() == {"1": "paid", "2": "deleted", "3": None}


def test_it_is_tried_once_a_day_for_a_week(world: World) -> None:
    die(world, ago=timedelta(0))
    world.faults({"kind": "token", "preset": "invalid_grant", "count": 1000})
    died_at = world.connection().disconnected_at
    assert died_at is not None
    tried_after = []
    for hour in range(6, 24 * 12, 6):
        before = world.refreshes()
        set_connection(world, disconnected_at=now() - timedelta(hours=hour, minutes=hour))
        with world.services.database.write() as session:
            tried = Connection.revival_tried_at
            earlier = session.scalars(select(tried)).one()
            if earlier is not None:
                passed = earlier - timedelta(hours=6, minutes=6)
                session.execute(update(Connection).values(revival_tried_at=passed))
        revive(world.services)
        if world.refreshes() > before:
            tried_after.append(hour)
    assert len(tried_after) == 7
    assert (tried_after[0], tried_after[-1]) == (24, 24 * 7)
    assert world.connection().state == "disconnected"
    assert world.connection().problem == "QuickBooks no longer accepts the refresh token"


@pytest.mark.parametrize(
    "rule",
    [
        {"preset": "invalid_client"},
        {"kind": "token", "status": 503},
        {"kind": "token", "drop": True},
    ],
    ids=str,
)
def test_what_nobody_could_tell_is_tried_again_the_same_day(
    world: World, rule: dict[str, Any]
) -> None:
    die(world, ago=timedelta(hours=25))
    world.faults(rule)
    revive(world.services)
    assert world.connection().state == "disconnected"
    world.no_faults()
    revive(world.services)
    assert world.connection().state == "connected"


def test_what_was_ended_on_purpose_is_never_tried(world: World) -> None:
    disconnect.disconnect(world.services, world.connection_id, "test", force=True)
    set_connection(world, disconnected_at=now() - timedelta(days=2))
    world.count_refreshes()
    revive(world.services)
    with pytest.raises(Disconnected, match="no token left"):
        actions.retry(world.services, world.connection_id, "test")
    assert world.refreshes() == 0
    assert world.connection().state == "disconnected"


@pytest.mark.parametrize("ended", ["released", "disconnected", "elsewhere"])
def test_nor_what_somebody_has_ended_after_quickbooks_did(world: World, ended: str) -> None:
    die(world, ago=timedelta(days=2))
    if ended == "released":
        assert actions.release(world.services.database, world.connection_id, "test")
    elif ended == "disconnected":
        disconnect.disconnect(world.services, world.connection_id, "test", force=True)
    else:
        set_connection(world, environment="production")
    world.count_refreshes()
    revive(world.services)
    assert world.refreshes() == 0
    assert world.connection().state == "disconnected"


def test_one_that_is_ended_while_its_token_is_tried_stays_ended(world: World) -> None:
    die(world, ago=timedelta(days=2))
    used = world.connection().refresh_sealed
    assert used is not None
    tokens = world.grant("9341455000000001")
    sealed = world.services.access.sealed(world.connection_id, tokens, now())
    actions.release(world.services.database, world.connection_id, "test")
    assert not world.services.access._save(world.connection_id, sealed, used)
    assert world.connection().state == "disconnected"


def test_an_operator_may_try_at_any_time(world: World) -> None:
    die(world, ago=timedelta(days=60))
    world.put("Invoice", an_invoice("1"))
    revive(world.services)
    assert world.connection().state == "disconnected"
    actions.retry(world.services, world.connection_id, "test")
    assert world.connection().state == "connected"
    world.sync()
    catch_up(world)
    assert list(world.documents()) == ["1"]


def test_trying_a_barred_company_again_waits_for_nothing(world: World) -> None:
    world.put("Invoice", an_invoice("1"))
    world.webhook(an_event("Invoice", "1", "created"))
    run_id = world.begin_backfill()
    world.faults({"fault": "6190", "count": 2})
    world.sync()
    set_connection(world, paused_until=None)
    world.advance(run_id)
    assert world.sweep() == []
    actions.retry(world.services, world.connection_id, "test")
    assert sorted(world.sweep()) == [
        ("sync_company", world.connection_id),
        ("work_on_run", run_id),
    ]
    world.sync()
    assert world.notices() == [("done", "created")]
    assert seen(world) == {}


def test_where_nothing_waits_trying_again_asks_whether_it_works(world: World) -> None:
    set_connection(
        world,
        barred_since=now() - timedelta(hours=2),
        paused_until=now() + timedelta(hours=1),
        problem="the company's QuickBooks subscription has ended",
        failures=3,
    )
    assert "connection.barred" in seen(world)
    actions.retry(world.services, world.connection_id, "test")
    with world.services.database.read() as session:
        assert session.scalars(select(Notice.operation)).all() == ["sync"]
    world.sync()
    assert seen(world) == {}

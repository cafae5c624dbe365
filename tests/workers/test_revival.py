"""A refusal that was no end: wrong keys of the app, and good tokens that were called invalid."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from service.database.tables import Connection, Notice
from service.errors import Disconnected, TransientError
from service.kit.clock import now
from service.monitoring.condition import Condition
from service.monitoring.conditions import look
from service.monitoring.refusals import Refusals
from service.operations import actions, disconnect
from service.operations.try_again import try_again
from tests.workers.reconciling import due, finish, set_connection
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
        wrong, _ = look(session, world.services.settings, now(), Refusals())
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
    small_world: World, description: str
) -> None:
    expire(small_world)
    small_world.put("Invoice", an_invoice("1"))
    small_world.webhook(an_event("Invoice", "1", "created"))
    run_id = small_world.begin_backfill()
    answer = {"error": "invalid_grant", "error_description": description}
    small_world.faults({"kind": "token", "status": 400, "body": answer})
    small_world.sync()
    assert small_world.advance(run_id) is False
    assert small_world.connection().state == "connected"
    assert small_world.run(run_id).state == "active"
    (row,) = small_world.notice_rows()
    assert (row.status, row.error_class) == ("pending", "KeysRefused")
    told = seen(small_world)
    assert told.keys() == {"keys.refused"}
    refused = told["keys.refused"]
    assert (refused.severity, refused.subject) == ("critical", "")
    assert refused.text == (
        "QuickBooks does not accept the app's keys, for 1 of 1 company: check"
        " QUICKBOOKS_CLIENT_ID and QUICKBOOKS_CLIENT_SECRET, and restart with the right ones."
        " No connection has ended; everything goes on by itself then."
    )
    small_world.no_faults()
    small_world.sync()
    assert small_world.notices() == [("done", "created")]
    assert seen(small_world) == {}


def test_the_right_keys_are_seen_to_be_right_though_nothing_waits(small_world: World) -> None:
    small_world.faults({"preset": "401", "count": 1}, {"preset": "invalid_client"})
    small_world.webhook(an_event("Invoice", "1", "created"))
    small_world.sync()
    with small_world.services.database.write() as session:
        session.execute(delete(Notice))
    try_keys(small_world.services)
    assert seen(small_world).keys() == {"keys.refused"}
    small_world.no_faults()
    # No read asks for a renewal: the access token was good for an hour.
    try_keys(small_world.services)
    assert seen(small_world) == {}


def test_what_waits_for_the_right_keys_is_never_given_up(small_world: World) -> None:
    expire(small_world)
    small_world.webhook(an_event("Invoice", "1", "created"))
    small_world.be_tried(times=99, since=timedelta(days=30))
    small_world.faults({"preset": "invalid_client"})
    small_world.sync()
    assert [row.status for row in small_world.notice_rows()] == ["pending"]


def test_a_redirect_of_the_token_service_is_not_the_keys_fault(small_world: World) -> None:
    expire(small_world)
    small_world.faults({"kind": "token", "status": 302, "headers": {"Location": "/"}})
    with pytest.raises(TransientError):
        small_world.services.access.access_token(small_world.connection_id)
    assert small_world.connection().keys_refused_since is None


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
    assert world.holds() == {"1": "paid", "2": "deleted", "3": None}


def test_it_is_tried_once_a_day_for_a_week(small_world: World) -> None:
    die(small_world, ago=timedelta(0))
    small_world.faults({"kind": "token", "preset": "invalid_grant", "count": 1000})
    died_at = small_world.connection().disconnected_at
    assert died_at is not None
    tried_after = []
    for hour in range(6, 24 * 12, 6):
        before = small_world.refreshes()
        set_connection(small_world, disconnected_at=now() - timedelta(hours=hour, minutes=hour))
        with small_world.services.database.write() as session:
            tried = Connection.revival_tried_at
            earlier = session.scalars(select(tried)).one()
            if earlier is not None:
                passed = earlier - timedelta(hours=6, minutes=6)
                session.execute(update(Connection).values(revival_tried_at=passed))
        revive(small_world.services)
        if small_world.refreshes() > before:
            tried_after.append(hour)
    assert len(tried_after) == 7
    assert (tried_after[0], tried_after[-1]) == (24, 24 * 7)
    assert small_world.connection().state == "disconnected"
    assert small_world.connection().problem == "QuickBooks no longer accepts the refresh token"


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
    small_world: World, rule: dict[str, Any]
) -> None:
    die(small_world, ago=timedelta(hours=25))
    small_world.faults(rule)
    revive(small_world.services)
    assert small_world.connection().state == "disconnected"
    small_world.no_faults()
    revive(small_world.services)
    assert small_world.connection().state == "connected"


def test_what_was_ended_on_purpose_is_never_tried(small_world: World) -> None:
    disconnect.disconnect(small_world.services, small_world.connection_id, "test", force=True)
    set_connection(small_world, disconnected_at=now() - timedelta(days=2))
    small_world.count_refreshes()
    revive(small_world.services)
    with pytest.raises(Disconnected, match="no token left"):
        try_again(small_world.services, small_world.connection_id, "test")
    assert small_world.refreshes() == 0
    assert small_world.connection().state == "disconnected"


@pytest.mark.parametrize("ended", ["released", "disconnected", "elsewhere"])
def test_nor_what_somebody_has_ended_after_quickbooks_did(small_world: World, ended: str) -> None:
    die(small_world, ago=timedelta(days=2))
    if ended == "released":
        assert actions.release(small_world.services.database, small_world.connection_id, "test")
    elif ended == "disconnected":
        disconnect.disconnect(small_world.services, small_world.connection_id, "test", force=True)
    else:
        set_connection(small_world, environment="production")
    small_world.count_refreshes()
    revive(small_world.services)
    assert small_world.refreshes() == 0
    assert small_world.connection().state == "disconnected"


def test_one_that_is_ended_while_its_token_is_tried_stays_ended(small_world: World) -> None:
    die(small_world, ago=timedelta(days=2))
    used = small_world.connection().refresh_sealed
    assert used is not None
    tokens = small_world.grant("9341455000000001")
    sealed = small_world.services.access.sealed(small_world.connection_id, tokens, now())
    actions.release(small_world.services.database, small_world.connection_id, "test")
    assert not small_world.services.access._save(small_world.connection_id, sealed, used)
    assert small_world.connection().state == "disconnected"


def test_an_operator_may_try_at_any_time(small_world: World) -> None:
    die(small_world, ago=timedelta(days=60))
    small_world.put("Invoice", an_invoice("1"))
    revive(small_world.services)
    assert small_world.connection().state == "disconnected"
    try_again(small_world.services, small_world.connection_id, "test")
    assert small_world.connection().state == "connected"
    small_world.sync()
    assert list(small_world.documents()) == ["1"]


def test_trying_a_barred_company_again_waits_for_nothing(small_world: World) -> None:
    small_world.put("Invoice", an_invoice("1"))
    small_world.webhook(an_event("Invoice", "1", "created"))
    run_id = small_world.begin_backfill()
    small_world.faults({"fault": "6190", "count": 2})
    small_world.sync()
    set_connection(small_world, paused_until=None)
    small_world.advance(run_id)
    assert small_world.sweep() == []
    try_again(small_world.services, small_world.connection_id, "test")
    assert sorted(small_world.sweep()) == [
        ("sync_company", small_world.connection_id),
        ("work_on_run", run_id),
    ]
    small_world.sync()
    assert small_world.notices() == [("done", "created")]
    assert seen(small_world) == {}


def test_where_nothing_waits_trying_again_asks_whether_it_works(small_world: World) -> None:
    set_connection(
        small_world,
        barred_since=now() - timedelta(hours=2),
        paused_until=now() + timedelta(hours=1),
        problem="the company's QuickBooks subscription has ended",
        failures=3,
    )
    assert "connection.barred" in seen(small_world)
    try_again(small_world.services, small_world.connection_id, "test")
    with small_world.services.database.read() as session:
        assert session.scalars(select(Notice.operation)).all() == ["sync"]
    small_world.sync()
    assert seen(small_world) == {}

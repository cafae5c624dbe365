"""Infactor's own database is away, refuses us, or loses an answer: nothing is lost by it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from sqlalchemy import select, update

from service.config.loading import settings_from
from service.coordination import circuit_breaker
from service.database.tables import Breaker, Finding
from service.database.types import database_now
from service.errors import ConfigurationError
from service.simulator.app import RunningSimulator
from tests import servers
from tests.workers.conftest import connected
from tests.workers.delivering import Delivering, infactor_settings, seen_once
from tests.workers.reconciling import reconcile
from tests.workers.world import an_invoice, environment
from workers.delivery.deliver import deliver_company
from workers.delivery.poll import poll_buyers, poll_documents

NOWHERE = "no MongoDB that takes writes answers at INFACTOR_MONGODB_URL"


def why_away(delivering: Delivering) -> str | None:
    """Return why Infactor's database counts as away, None while it does not."""
    with delivering.world.services.database.read() as session:
        found = circuit_breaker.broken(session, "infactor")
    return None if found is None else found.why


@contextmanager
def failing(infactors: Database[dict[str, Any]], command: str, **data: Any) -> Iterator[None]:
    """Let the server fail this command until the end of the block."""
    admin = infactors.client.admin
    what = {"failCommands": [command], "appName": "infactor-quickbooks", **data}
    admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": what})
    yield
    admin.command({"configureFailPoint": "failCommand", "mode": "off"})


def test_while_infactors_database_is_away_sync_goes_on_and_deliveries_wait_in_order(
    simulator: RunningSimulator, sqlite_url: str, mongodb_url: str
) -> None:
    port = servers.free_port()
    settings = {
        "INFACTOR_MONGODB_URL": f"mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS=1000",
        "INFACTOR_MONGODB_DATABASE": "ifactor",
    }
    with (
        connected(simulator, sqlite_url, **settings) as world,
        MongoClient[dict[str, Any]](f"mongodb://127.0.0.1:{port}") as client,
    ):
        delivering = Delivering(world, client["ifactor"])
        for number in ("1", "2"):
            world.arrive(an_invoice(number))
        delivering.arrive(an_invoice("3"))
        assert [status for status, _ in world.notices()] == ["done", "done", "done"]
        assert why_away(delivering) == NOWHERE
        assert [delivering.record(n).delivered_revision for n in ("1", "2", "3")] == [0, 0, 0]
        # Whoever has asked a server takes half a minute to part from it, if it goes first.
        with servers.mongodb_server(port) as url, MongoClient[dict[str, Any]](url) as asking:
            delivering.deliver()
            created = list(asking["ifactor"].invoices.find().sort("$natural", 1))
            assert [document["qbkInvoiceId"] for document in created] == ["1", "2", "3"]
            assert why_away(delivering) is None


def test_while_the_breaker_is_open_nobody_asks(delivering: Delivering) -> None:
    world = delivering.world
    with failing(delivering.infactors, "find", errorCode=1):
        delivering.arrive(an_invoice())
    assert why_away(delivering) is not None
    deliver_company(world.services, world.connection_id)
    assert delivering.document() is None
    delivering.deliver()  # its time has come
    assert delivering.state() == ("invoice_created", None)


def test_one_at_a_time_finds_out_whether_it_is_back(delivering: Delivering) -> None:
    database = delivering.world.services.database
    with database.write() as session:
        circuit_breaker.failed(session, "infactor", "why")
        assert circuit_breaker.may_try(session, "infactor") is False
        session.execute(update(Breaker).values(open_until=0.0))
        assert [circuit_breaker.may_try(session, "infactor") for _ in range(3)] == [
            True,
            False,
            False,
        ]
        circuit_breaker.works(session, "infactor")
        assert [circuit_breaker.may_try(session, "infactor") for _ in range(3)] == [
            True,
            True,
            True,
        ]


def test_a_breaker_waits_longer_each_time_and_a_minute_at_most(
    delivering: Delivering,
) -> None:
    with delivering.world.services.database.write() as session:

        def clock() -> float:
            return session.scalars(select(database_now())).one()

        for failures, longest in ((1, 1.0), (2, 2.0), (3, 4.0), (9, 60.0), (50, 60.0)):
            session.merge(Breaker(name="infactor", failures=failures - 1, open_until=0.0))
            session.flush()
            before = clock()
            circuit_breaker.failed(session, "infactor", "why")
            until = session.scalars(select(Breaker.open_until)).one()
            # However long the statements took.
            assert until - before >= longest * 0.49
            assert until - clock() <= longest + 0.01


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (
            {"errorCode": 10107, "closeConnection": False},
            "the connection to Infactor's MongoDB broke (NotPrimaryError)",
        ),
        ({"closeConnection": True}, "the connection to Infactor's MongoDB broke (AutoReconnect)"),
        (
            {"errorCode": 13},
            "the user of INFACTOR_MONGODB_URL lacks a right there;"
            " `infactor-quickbooks guide infactor` has the role",
        ),
        ({"errorCode": 8}, "Infactor's MongoDB answered with an error (OperationFailure 8)"),
        (
            {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}},
            "Infactor's MongoDB did not confirm a write in time",
        ),
    ],
    ids=["no primary", "connection cut", "no right", "unknown error", "not confirmed"],
)
def test_a_write_that_fails_is_tried_again_and_written_once(
    delivering: Delivering, data: dict[str, Any], why: str
) -> None:
    with failing(delivering.infactors, "insert", **data):
        delivering.arrive(an_invoice())
    assert why_away(delivering) == why
    assert delivering.receipts() == []

    def delivered() -> bool:
        # The client asks a server that said it was no primary again only after some seconds.
        delivering.deliver()
        return delivering.receipts() != []

    servers.wait_until(delivered, 30)
    assert delivering.infactors.invoices.count_documents({}) == 1
    assert delivering.receipts() == [(1, "created", "invoice_created")]
    assert why_away(delivering) is None


def test_a_lost_answer_to_a_refresh_is_recognised_by_its_revision(
    delivering: Delivering,
) -> None:
    delivering.arrive(an_invoice())
    error = {"code": 64, "errmsg": "waiting for replication timed out"}
    with failing(delivering.infactors, "update", writeConcernError=error):
        delivering.arrive(an_invoice(DocNumber="7"))
    assert (delivering.document() or {})["qbkRevision"] == 2
    delivering.deliver()
    assert delivering.receipts()[-1] == (2, "refreshed", "invoice_created")


def test_an_answer_that_is_lost_after_the_buyer_decided_is_not_taken_for_a_refusal(
    delivering: Delivering,
) -> None:
    """The refresh was applied, its answer was lost, and the buyer approved what it had written."""
    delivering.arrive(an_invoice())
    error = {"code": 64, "errmsg": "waiting for replication timed out"}
    with failing(delivering.infactors, "update", writeConcernError=error):
        delivering.arrive(an_invoice(DocNumber="7"))
    delivering.decide(state="invoice_accepted")
    delivering.deliver()
    assert delivering.receipts()[-1] == (2, "refreshed", "invoice_accepted")
    assert delivering.findings() == []


def test_a_wrong_password_is_named_and_nothing_is_lost(
    simulator: RunningSimulator, infactors: Database[dict[str, Any]], sqlite_url: str
) -> None:
    settings = infactor_settings(infactors)
    settings["INFACTOR_MONGODB_URL"] = settings["INFACTOR_MONGODB_URL"].replace(
        "//", "//someone:wrong-password@"
    )
    with connected(simulator, sqlite_url, **settings) as world:
        delivering = Delivering(world, infactors)
        delivering.arrive(an_invoice())
        assert why_away(delivering) == (
            "the user or password of INFACTOR_MONGODB_URL is not accepted"
        )
        assert delivering.record().delivered_revision == 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"INFACTOR_MONGODB_URL": "mongodb://127.0.0.1"}, "INFACTOR_MONGODB_DATABASE: missing"),
        ({"INFACTOR_MONGODB_DATABASE": "ifactor"}, "INFACTOR_MONGODB_DATABASE: remove it"),
        ({"INFACTOR_SESSION_SECRET": "x"}, "INFACTOR_SESSION_SECRET: remove it"),
        (
            {"INFACTOR_MONGODB_URL": "http://127.0.0.1", "INFACTOR_MONGODB_DATABASE": "x"},
            "must begin with mongodb://",
        ),
        (
            {"INFACTOR_MONGODB_URL": "mongodb://", "INFACTOR_MONGODB_DATABASE": "x"},
            "must name a host",
        ),
        (
            {"INFACTOR_MONGODB_URL": "mongodb://a", "INFACTOR_MONGODB_DATABASE": "../x"},
            "INFACTOR_MONGODB_DATABASE: must be a name",
        ),
        (
            {"INFACTOR_MONGODB_URL": "mongodb://10.0.0.1", "INFACTOR_MONGODB_DATABASE": "x"},
            "must be on this machine",
        ),
        (
            {
                "INFACTOR_MONGODB_URL": "mongodb://u:p@127.0.0.1,db.example.com/",
                "INFACTOR_MONGODB_DATABASE": "x",
            },
            "must be on this machine",
        ),
        (
            {"INFACTOR_MONGODB_URL": "mongodb+srv://localhost", "INFACTOR_MONGODB_DATABASE": "x"},
            "must be on this machine",
        ),
    ],
)
def test_settings_that_lead_nowhere_are_refused_at_the_start(
    more: dict[str, str], words: str
) -> None:
    given = environment("http://127.0.0.1:1", "sqlite:///x.db", **more)
    with pytest.raises(ConfigurationError, match=words.replace(".", r"\.")) as refused:
        settings_from(given)
    assert "u:p" not in str(refused.value)


def test_a_working_database_leaves_the_breaker_closed(delivering: Delivering) -> None:
    delivering.arrive(an_invoice())
    with delivering.world.services.database.read() as session:
        assert circuit_breaker.broken(session, "infactor") is None


def test_a_poll_while_infactor_is_away_notes_that_and_misses_nothing(
    simulator: RunningSimulator, sqlite_url: str
) -> None:
    settings = {
        "INFACTOR_MONGODB_URL": servers.away(),
        "INFACTOR_MONGODB_DATABASE": "none",
    }
    with connected(simulator, sqlite_url, **settings) as world:
        seen_once(world)
        poll_documents(world.services)
        with world.services.database.read() as session:
            broken = circuit_breaker.broken(session, "infactor")
            assert session.scalars(select(Finding)).all() == []
            attempts = session.scalars(select(Breaker.failures)).one()
        assert broken
        assert "no MongoDB that takes writes answers" in broken.why
        with world.services.database.write() as session:
            session.execute(update(Breaker).values(open_until=Breaker.open_until + 30))
        poll_documents(world.services)  # nobody's turn
        with world.services.database.read() as session:
            assert session.scalars(select(Breaker.failures)).one() == attempts


def test_a_run_ends_though_infactor_cannot_be_asked_what_it_has(delivering: Delivering) -> None:
    world = delivering.world
    with failing(delivering.infactors, "find", errorCode=1):
        ended = reconcile(world, full=True)
        assert why_away(delivering) is not None
        assert world.backfill()["error"] is None
    assert ended["state"] == "done"
    assert [(one["kind"], one["there"]) for one in ended["infactor"]] == [
        ("could not be compared", "Infactor's MongoDB answered with an error (OperationFailure 1)")
    ]


def test_a_poll_that_succeeds_ends_a_failure(delivering: Delivering) -> None:
    delivering.arrive(an_invoice())
    services = delivering.world.services
    with services.database.write() as session:
        circuit_breaker.failed(session, "infactor", "away")
    with services.database.write() as session:
        session.execute(update(Breaker).values(open_until=0.0))
    delivering.poll()
    with services.database.read() as session:
        assert circuit_breaker.broken(session, "infactor") is None


def test_buyers_that_cannot_be_asked_for_are_a_failure_too(delivering: Delivering) -> None:
    delivering.arrive(an_invoice())
    with failing(delivering.infactors, "find", errorCode=1):
        poll_buyers(delivering.world.services)
    assert why_away(delivering) is not None
    delivering.register("buyer@example.com")
    delivering.deliver()  # its time has come, and nothing is outgoing
    poll_buyers(delivering.world.services)
    assert why_away(delivering) is None
    delivering.deliver()
    assert delivering.addressed()[2] == []


def test_a_restore_that_the_buyer_approves_at_once_was_not_moved_past_its_hold(
    delivering: Delivering,
) -> None:
    """The answer to our restore was lost, and what we restored is approved meanwhile."""
    delivering.arrive(an_invoice())
    delivering.arrive(an_invoice(Balance=0.0))
    delivering.world.arrive(an_invoice())
    document = delivering.document() or {}
    restored = {
        "state": "invoice_accepted",
        "qbkRevision": delivering.record().revision,
        "buyerEmail": document["buyerEmail"],
    }
    gone = {"qbkWithdrawn": "", "buyerInvoiceRemark": ""}
    delivering.infactors.invoices.update_one({}, {"$set": restored, "$unset": gone})
    delivering.deliver()
    assert delivering.receipts()[-1][1:] == ("restored", "invoice_accepted")
    assert delivering.found("moved_on") == []

"""What comes in at the webhook, and is kept before it is acknowledged."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.app import create_app
from service.config.loading import settings_from
from service.kit.clock import now
from service.quickbooks.webhooks import sign
from service.services import build_services
from service.simulator.app import RunningSimulator
from service.store import connections, inbox
from tests.servers import free_port, wait_until
from tests.workers.conftest import connected
from tests.workers.world import (
    REALM,
    VERIFIER,
    StubBroker,
    World,
    an_event,
    an_invoice,
    asked_for,
    environment,
    legacy_body,
)

OTHER_REALM = "9341455000000099"
WAITING = "no connection for this company yet: kept until it connects"
AT = "2026-11-20T16:19:17Z"


@pytest.mark.both_databases("the statements are its own")
def test_a_repetition_raises_the_counter_and_changes_nothing_else(world: World) -> None:
    event = an_event("Invoice", "1", "created")
    world.webhook(event)
    world.webhook(event)
    world.webhook(event)
    rows = world.notice_rows()
    assert [(row.status, row.duplicates) for row in rows] == [("pending", 2)]


def test_a_repetition_of_a_finished_notice_leads_to_no_read(world: World) -> None:
    world.put("Invoice", an_invoice("1"))
    event = an_event("Invoice", "1", "created")
    world.webhook(event)
    world.sync()
    world.forget_calls()
    world.webhook(event)
    world.sync()
    assert world.calls() == 0
    assert [(row.status, row.duplicates) for row in world.notice_rows()] == [("done", 1)]


def test_the_same_event_five_times_in_one_body_is_one_notice(world: World) -> None:
    event = an_event("Invoice", "1", "created")
    assert world.webhook(*[event] * 5).status_code == 200
    assert [(row.status, row.duplicates) for row in world.notice_rows()] == [("pending", 4)]


def test_the_same_event_id_of_two_companies_is_two_notices(world: World) -> None:
    event = an_event("Invoice", "1", "created")
    world.webhook(event, {**event, "intuitaccountid": OTHER_REALM})
    assert [row.duplicates for row in world.notice_rows()] == [0, 0]


@pytest.mark.both_databases("the statements are its own")
def test_a_pending_legacy_twin_is_a_repetition(world: World) -> None:
    body = legacy_body("Invoice", "1", "Update", AT)
    world.webhook(body=body)
    world.webhook(body=body)
    rows = world.notice_rows()
    assert [(row.format, row.status, row.duplicates) for row in rows] == [("legacy", "pending", 1)]


def test_a_legacy_twin_of_a_notice_that_was_worked_on_is_another_change(world: World) -> None:
    world.put("Invoice", an_invoice("1"))
    body = legacy_body("Invoice", "1", "Update", AT)
    world.webhook(body=body)
    world.sync()
    world.webhook(body=body)
    assert [row.status for row in world.notice_rows()] == ["done", "pending"]
    world.sync()
    assert [row.status for row in world.notice_rows()] == ["done", "done"]


@pytest.mark.both_databases("locks work differently")
def test_a_legacy_twin_that_comes_while_the_first_is_worked_on_is_another_change(
    world: World,
) -> None:
    body = legacy_body("Invoice", "1", "Update", AT)
    world.webhook(body=body)
    with world.services.database.write() as session:
        inbox.claim(session, world.connection_id, "somebody", now())
    world.webhook(body=body)
    assert [row.status for row in world.notice_rows()] == ["pending", "pending"]


def test_notices_of_an_unknown_company_wait_until_it_connects(world: World) -> None:
    event = an_event("Invoice", "1", "created", intuitaccountid=OTHER_REALM)
    assert world.webhook(event).status_code == 200
    (row,) = world.notice_rows()
    assert (row.status, row.reason, row.connection_id) == ("pending", WAITING, None)
    world.put("Invoice", an_invoice("1"), realm=OTHER_REALM)
    world.connect(OTHER_REALM, "other@example.com")
    with world.services.database.write() as session:
        digest = world.services.vault.digest(OTHER_REALM)
        assert inbox.link(session, world.connection_id, digest) == 1
    world.sync()
    (row,) = world.notice_rows()
    assert (row.status, row.reason, row.connection_id) == ("done", "created", world.connection_id)
    assert (row.realm_digest, row.realm_sealed) == (None, None)


def test_an_unknown_companys_id_is_kept_sealed(world: World) -> None:
    world.webhook(an_event("Invoice", "1", "created", intuitaccountid=OTHER_REALM))
    (row,) = world.notice_rows()
    assert row.realm_digest is not None
    assert OTHER_REALM not in f"{row.realm_digest}{row.realm_sealed}"
    assert world.services.vault.open(row.realm_sealed or "", row.realm_digest) == OTHER_REALM


def test_a_notice_stored_in_the_moment_its_company_connected_is_found_by_the_sweep(
    world: World,
) -> None:
    """Its transaction saw no connection, and the connection's transaction saw no notice."""
    world.webhook(an_event("Invoice", "1", "created", intuitaccountid=OTHER_REALM))
    world.connect(OTHER_REALM, "other@example.com")
    assert world.sweep() == [("sync_company", world.connection_id)]
    (row,) = world.notice_rows()
    assert (row.connection_id, row.reason) == (world.connection_id, None)


def test_a_hundred_events_of_several_companies_reach_each_its_own(world: World) -> None:
    first = world.connection_id
    second = world.connect(OTHER_REALM, "other@example.com")
    realms = [REALM, OTHER_REALM, "9341455000000055"]
    events = [
        an_event("Invoice", str(n), "created", intuitaccountid=realms[n % 3]) for n in range(100)
    ]
    assert world.webhook(*events).status_code == 200
    owners = [row.connection_id for row in world.notice_rows()]
    assert (owners.count(first), owners.count(second), owners.count(None)) == (34, 33, 33)


def test_a_delivery_asks_at_once_for_work_on_each_company_once(world: World) -> None:
    events = [an_event("Invoice", str(n), "created") for n in range(1, 6)]
    stranger = an_event("Invoice", "1", "created", intuitaccountid=OTHER_REALM)
    world.webhook(*events, stranger)
    asked = wait_until(lambda: asked_for(world.services.jobs.broker), what="the nudge")
    assert asked == [("sync_company", world.connection_id)]


def test_an_acknowledgement_does_not_wait_for_a_batch_that_is_being_written(
    postgres_world: World,
) -> None:
    world = postgres_world
    with ThreadPoolExecutor() as pool, world.services.database.write() as session:
        connections.lock(session, world.connection_id)
        answer = pool.submit(world.webhook, an_event("Invoice", "1", "created"))
        assert answer.result(timeout=5).status_code == 200


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"no json at all", "not JSON"),
        (b"", "not JSON"),
        (b'"text"', "neither an array of events nor an envelope"),
        (b'{"hello":"world"}', "neither an array of events nor an envelope"),
        (b"[]", "no events"),
        (b"[1]", "event is not an object"),
        (b'{"eventNotifications":[]}', "no events"),
        (b'{"eventNotifications":7}', "eventNotifications is not a list"),
    ],
)
def test_a_signed_body_that_says_nothing_is_kept_with_the_reason(
    world: World, body: bytes, reason: str
) -> None:
    assert world.webhook(body=body).status_code == 200
    assert world.notices() == [("ignored", reason)]


BAD_EVENTS: list[tuple[dict[str, Any], str]] = [
    ({"type": "qbo.estimate.created.v1"}, "entity is not followed"),
    ({"type": "qbo.invoice.admired.v1"}, "operation is not followed"),
    ({"type": "nonsense"}, "type is not qbo.<entity>.<operation>.<version>"),
    ({"type": None}, "type is not text"),
    ({"intuitentityid": [7]}, "intuitentityid is not text"),
    ({"intuitentityid": "1\0"}, "intuitentityid is not digits"),
    ({"intuitentityid": "1' OR '1'='1"}, "intuitentityid is not digits"),
    ({"intuitentityid": "1" * 5000}, "intuitentityid is too long"),
    ({"intuitaccountid": "9" * 5000}, "intuitaccountid is too long"),
    ({"intuitaccountid": None}, "intuitaccountid is not text"),
]


@pytest.mark.both_databases("columns hold different values")
def test_each_bad_event_is_kept_with_its_reason_beside_a_good_one(world: World) -> None:
    bad = [{**an_event("Invoice", "1", "created"), **fields} for fields, _ in BAD_EVENTS]
    assert world.webhook(*bad, an_event("Invoice", "2", "created")).status_code == 200
    reasons = {row.event_id: (row.status, row.reason) for row in world.notice_rows()}
    assert [reasons.pop(event["id"]) for event in bad] == [
        ("ignored", why) for _, why in BAD_EVENTS
    ]
    assert list(reasons.values()) == [("pending", None)]


@pytest.mark.both_databases("columns hold different values")
def test_an_event_id_of_5000_characters_is_one_key_like_any_other(world: World) -> None:
    event = {**an_event("Invoice", "1", "created"), "id": "x" * 5000}
    world.webhook(event)
    world.webhook(event)
    assert [(row.status, row.duplicates) for row in world.notice_rows()] == [("pending", 1)]


@pytest.mark.both_databases("columns hold different values")
def test_nul_characters_anywhere_are_stored_without_harm(world: World) -> None:
    event = {**an_event("Invoice", "1", "created"), "id": "a\0b", "source": "\0"}
    assert world.webhook(event).status_code == 200
    assert world.webhook(body=b'[{"a":"\\u0000"}, \0]').status_code == 200
    assert [row.status for row in world.notice_rows()] == ["pending", "ignored"]


@pytest.mark.parametrize("digits", range(10))
def test_a_time_may_have_up_to_nine_fractional_digits(world: World, digits: int) -> None:
    fraction = "." + "123456789"[:digits] if digits else ""
    event = an_event("Invoice", "1", "created", time=f"2026-11-20T16:19:17{fraction}Z")
    world.webhook(event)
    (row,) = world.notice_rows()
    assert (row.status, row.changed_at is None) == ("pending", False)


def test_what_nobody_can_read_is_kept_whole_and_sealed(world: World) -> None:
    sent = ["no json: secret@example.com", '{"eventNotifications": "secret"}']
    for body in sent:
        world.webhook(body=body.encode())
    rows = world.notice_rows()
    assert not [row for row in rows if "secret" in (row.body_sealed or "")]
    open_ = world.services.vault.open
    assert [open_(row.body_sealed or "", row.dedupe_key or "") for row in rows] == sent


@pytest.mark.parametrize("signature", [None, "", "d3Jvbmc=", "é"])
def test_an_unsigned_delivery_is_refused_and_nothing_is_stored(
    world: World, signature: str | None
) -> None:
    headers = {} if signature is None else {"intuit-signature": signature.encode()}
    answer = world.web.post("/quickbook/webhook", content=b"[]", headers=headers)
    assert answer.status_code == 401
    assert world.notices() == []


def test_a_delivery_that_was_changed_on_the_way_is_refused(world: World) -> None:
    body = json.dumps([an_event("Invoice", "1", "created")]).encode()
    headers = {"intuit-signature": sign(body, VERIFIER)}
    changed = body.replace(b'"1"', b'"2"')
    answer = world.web.post("/quickbook/webhook", content=changed, headers=headers)
    assert answer.status_code == 401
    assert world.notices() == []


def test_an_oversized_delivery_is_refused_and_nothing_is_stored(
    simulator: RunningSimulator, sqlite_url: str
) -> None:
    with connected(simulator, sqlite_url, WEBHOOK_MAX_BYTES="1000") as world:
        body = json.dumps([an_event("Invoice", str(n), "created") for n in range(10)]).encode()
        assert world.webhook(body=body).status_code == 413
        assert world.webhook(an_event("Invoice", "1", "created")).status_code == 200
        assert len(world.notices()) == 1


def test_without_a_verifier_token_everything_has_to_come_again(
    simulator: RunningSimulator, sqlite_url: str
) -> None:
    with connected(simulator, sqlite_url, QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS="") as world:
        assert world.webhook(an_event("Invoice", "1", "created")).status_code == 503
        assert world.notices() == []


@pytest.mark.both_databases("a failed transaction ends differently")
@pytest.mark.parametrize(
    "url", ["sqlite:////nowhere/at/all.db", "postgresql://nobody@127.0.0.1:{free}/none"]
)
def test_with_the_database_gone_everything_has_to_come_again(url: str) -> None:
    settings = settings_from(environment("http://127.0.0.1:1", url.format(free=free_port())))
    body = json.dumps([an_event("Invoice", "1", "created")]).encode()
    headers = {"intuit-signature": sign(body, VERIFIER)}
    with TestClient(create_app(build_services(settings, StubBroker()))) as web:
        assert web.post("/quickbook/webhook", content=body, headers=headers).status_code == 503


@pytest.mark.both_databases("the statements are its own")
def test_more_companies_than_a_query_takes_parameters_fit_one_delivery(
    world: World,
) -> None:
    events = [
        an_event("Invoice", "1", "created", intuitaccountid=str(10**9 + n)) for n in range(1200)
    ]
    events.append(an_event("Invoice", "1", "created"))
    assert world.webhook(*events).status_code == 200
    owners = [row.connection_id for row in world.notice_rows()]
    assert (len(owners), owners.count(world.connection_id)) == (1201, 1)

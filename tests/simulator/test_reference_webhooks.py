"""The reference's sections 1.2, 1.3 and 1.5, row by row, with literal bodies and headers."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from service.simulator.books.book import Book
from service.simulator.clock import Clock
from service.simulator.events import Event, payload, zulu
from service.simulator.switches import Switches
from tests.simulator.conftest import BOOK
from tests.simulator.wire import REALM, App, StoppedClock, Wire, a_config, wait_until
from tests.simulators import Simulators

UUID = "88cd52aa-33b6-4351-9aa4-47572edbd068"


def _event(operation: str, entity: str = "Invoice", id_: str = "145", **more: Any) -> Event:
    at = StoppedClock().now().replace(microsecond=657000)
    return Event(REALM, entity, id_, operation, at, uuid=UUID, **more)


def _cloud(operation: str, entity: str = "Invoice", id_: str = "145", **more: Any) -> str:
    """Return the literal CloudEvent of the reference's shape."""
    mid = f'"id":"{UUID}-{entity}-{id_}","source":"{more.pop("source")}"'
    kind = more.pop("kind", '"datacontenttype":"application/json",')
    end = more.pop("data", ',"data":{}')
    time = more.pop("time", "2026-11-10T12:00:00.657Z")
    return (
        f'[{{"specversion":"1.0",{mid},"type":"qbo.{entity.lower()}.{operation}.v1",{kind}'
        f'"time":"{time}","intuitentityid":"{id_}","intuitaccountid":"{REALM}"{end}}}]'
    )


def _source() -> str:
    body = json.loads(payload([_event("created")], Switches()))
    return body[0]["source"]


@pytest.mark.parametrize(
    ("row", "switches", "event", "shape"),
    [
        ("1.3 created", {}, _event("created"), {"operation": "created"}),
        (
            "1.3 a plain update has neither data nor datacontenttype",
            {},
            _event("updated"),
            {"operation": "updated", "kind": "", "data": ""},
        ),
        (
            "1.3 a merge names the loser",
            {},
            _event("merged", "Customer", "123", loser="27"),
            {
                "operation": "merged",
                "entity": "Customer",
                "id_": "123",
                "data": ',"data":{"deletedid":"27"}',
            },
        ),
        ("1.3 void, not voided", {}, _event("void"), {"operation": "void"}),
        ("1.3 voided by switch", {"void": "voided"}, _event("void"), {"operation": "voided"}),
        ("1.3 deleted", {}, _event("deleted"), {"operation": "deleted"}),
        ("1.3 emailed", {}, _event("emailed"), {"operation": "emailed"}),
        (
            "1.3 entity names lose their capitals",
            {},
            _event("created", "CreditMemo", "7"),
            {"operation": "created", "entity": "CreditMemo", "id_": "7"},
        ),
        (
            "1.3 data always",
            {"data": "always", "datacontenttype": "always"},
            _event("updated"),
            {"operation": "updated"},
        ),
        (
            "1.3 data never",
            {"data": "never", "datacontenttype": "never"},
            _event("created"),
            {"operation": "created", "kind": "", "data": ""},
        ),
        *(
            (
                f"1.3 {digits} digits",
                {"time_digits": digits},
                _event("created"),
                {"operation": "created", "time": time},
            )
            for digits, time in (
                (0, "2026-11-10T12:00:00Z"),
                (2, "2026-11-10T12:00:00.65Z"),
                (9, "2026-11-10T12:00:00.657000517Z"),
            )
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_cloud_event_has_the_references_shape(
    row: str, switches: dict[str, Any], event: Event, shape: dict[str, Any]
) -> None:
    assert row
    body = payload([event], Switches().changed(switches)).decode()
    assert body == _cloud(**shape, source=_source())


def test_1_3_source_is_intuit_and_a_base64_digest() -> None:
    prefix, _, digest = _source().partition(".")
    assert (prefix, len(base64.b64decode(digest, validate=True))) == ("intuit", 32)


def test_1_3_the_id_can_be_a_bare_uuid() -> None:
    [event] = json.loads(payload([_event("created")], Switches(event_id="uuid")))
    assert event["id"] == UUID


def test_1_3_the_body_is_an_array_of_as_many_events_as_there_are() -> None:
    body = json.loads(payload([_event("created"), _event("updated", id_="9")], Switches()))
    assert [event["intuitentityid"] for event in body] == ["145", "9"]


def test_1_3_nanoseconds_are_made_up_below_microseconds() -> None:
    at = StoppedClock().now().replace(microsecond=179851)
    assert zulu(at, 9) == "2026-11-10T12:00:00.179851517Z"


@pytest.mark.parametrize(
    ("legacy_time", "last_updated"),
    [
        ("milliseconds", "2026-11-10T12:00:00.657Z"),
        ("zeros", "2026-11-10T12:00:00.000Z"),
        ("offset", "2026-11-10T04:00:00-0800"),
    ],
)
def test_1_2_the_legacy_envelope_in_each_form_of_time(legacy_time: str, last_updated: str) -> None:
    switches = Switches().changed({"format": "legacy", "legacy_time": legacy_time})
    assert payload([_event("updated")], switches).decode() == (
        f'{{"eventNotifications":[{{"realmId":"{REALM}","dataChangeEvent":{{"entities":['
        f'{{"name":"Invoice","id":"145","operation":"Update","lastUpdated":"{last_updated}"}}'
        "]}}]}"
    )


@pytest.mark.parametrize(
    ("operation", "word"),
    [
        ("created", "Create"),
        ("updated", "Update"),
        ("deleted", "Delete"),
        ("merged", "Merge"),
        ("void", "Void"),
        ("emailed", "Emailed"),
    ],
)
def test_1_2_every_legacy_operation(operation: str, word: str) -> None:
    body = json.loads(payload([_event(operation)], Switches(format="legacy")))
    [entity] = body["eventNotifications"][0]["dataChangeEvent"]["entities"]
    assert (entity["name"], entity["operation"]) == ("Invoice", word)


def test_1_2_a_legacy_merge_names_the_loser() -> None:
    merge = _event("merged", "Customer", "123", loser="27")
    body = json.loads(payload([merge], Switches(format="legacy")))
    [entity] = body["eventNotifications"][0]["dataChangeEvent"]["entities"]
    assert (entity["id"], entity["deletedId"]) == ("123", "27")


@pytest.fixture
def still(simulators: Simulators, app: App) -> Iterator[Wire]:
    clock: Clock = StoppedClock()
    with simulators.running(a_config(webhook_url=app.url), Book.of(BOOK), clock=clock) as simulator:
        wire = Wire(simulator)
        with wire.http:
            yield wire.connect()


@pytest.mark.parametrize(
    ("switches", "changed"),
    [
        ({}, {}),
        (
            {"content_type": "application/cloudevents+json"},
            {"content-type": "application/cloudevents+json"},
        ),
        ({"schema_version": "1.0"}, {"intuit-notification-schema-version": "1.0"}),
    ],
    ids=["1.5 headers", "1.5 cloudevents+json", "1.5 schema version 1.0"],
)
def test_1_5_a_delivery_carries_intuits_headers(
    still: Wire, app: App, switches: dict[str, str], changed: dict[str, str]
) -> None:
    still.http.post("/_sim/settings", json=switches)
    still.put("Invoice", {"Id": "9"})
    wait_until(lambda: app.heard)
    wanted = {
        "content-type": "application/json; charset=utf-8",
        "accept": "application/json",
        "user-agent": "intuit_notification_server/0.1",
        "intuit-created-time": "2026-11-10T04:00:00-0800",
        "intuit-notification-schema-version": "0.1",
    }
    heard = app.heard[0].headers
    assert {name: heard[name] for name in wanted} == wanted | changed
    assert len(heard["intuit-t-id"].split("-")) == 5
    assert len(heard["intuit-signature"]) == 44

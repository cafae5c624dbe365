"""Deliveries in both formats, and everything else that may arrive with a right signature."""

import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from service.quickbooks.event import Event
from service.quickbooks.webhooks import parse

# Reference 1.2, verbatim.
LEGACY = b"""{"eventNotifications":[{"realmId":"1185883450","dataChangeEvent":{"entities":[
  {"name":"Invoice","id":"145","operation":"Update","lastUpdated":"2025-09-08T20:52:31.657Z"}]}}]}"""

# Reference 1.3, but for line breaks and the account ids that it abbreviates.
CLOUD = b"""[{"specversion":"1.0","id":"88cd52aa-33b6-4351-9aa4-47572edbd068",
  "source":"intuit.<base64>=","type":"qbo.account.created.v1","datacontenttype":"application/json",
  "time":"2025-09-10T21:31:25.179851517Z","intuitentityid":"1234","intuitaccountid":"310687",
  "data":{}},
 {"specversion":"1.0","id":"<uuid>-SalesReceipt-150","source":"intuit.<base64>",
  "type":"qbo.salesreceipt.updated.v1","time":"2026-03-17T16:19:17Z",
  "intuitentityid":"150","intuitaccountid":"9341455000000001"},
 {"specversion":"1.0","id":"<uuid>-Customer-123","source":"intuit.<base64>",
  "type":"qbo.customer.merged.v1","datacontenttype":"application/json","time":"2025-12-04T15:25:05Z",
  "intuitentityid":"123","intuitaccountid":"9341455000000001","data":{"deletedid":"27"}}]"""


def cloud(**changes: Any) -> dict[str, Any]:
    event = {
        "specversion": "1.0",
        "id": "7b1d9f0e-3c55-4c0a-9f3a-5a1f0c6f2d11-Invoice-145",
        "source": "intuit.c2ltdWxhdG9yLXNvdXJjZS1oYXNoLTAwMDAwMDAwMDA=",
        "type": "qbo.invoice.updated.v1",
        "time": "2026-10-01T16:19:17Z",
        "intuitentityid": "145",
        "intuitaccountid": "9341455000000001",
        **changes,
    }
    return {name: value for name, value in event.items() if value is not ...}


def legacy(*, realm: Any = "1185883450", **changes: Any) -> dict[str, Any]:
    entity = {
        "name": "Invoice",
        "id": "145",
        "operation": "Update",
        "lastUpdated": "2025-09-08T20:52:31.657Z",
        **changes,
    }
    entity = {name: value for name, value in entity.items() if value is not ...}
    notification = {"realmId": realm, "dataChangeEvent": {"entities": [entity]}}
    if realm is ...:
        del notification["realmId"]
    return {"eventNotifications": [notification]}


def only(body: object) -> Event:
    [event] = parse(body if isinstance(body, bytes) else json.dumps(body).encode())
    return event


def test_the_legacy_sample_is_read() -> None:
    assert parse(LEGACY) == [
        Event(
            format="legacy",
            digest="e2fe124b36a76726a0ee55ab248c7a8bf91e23c236b216b21e55f56a951d3199",
            event_id=None,
            realm_id="1185883450",
            entity="Invoice",
            operation="updated",
            entity_id="145",
            changed_at=datetime(2025, 9, 8, 20, 52, 31, 657000, UTC),
            problem=None,
        )
    ]


def test_the_cloudevents_samples_are_read() -> None:
    account, receipt, customer = parse(CLOUD)
    assert account == Event(
        format="cloudevents",
        digest="e1fae6095d491cc0fec71070e7fa0adc0fc9103918ce3251be6be809b5e66b21",
        event_id="88cd52aa-33b6-4351-9aa4-47572edbd068",
        realm_id="310687",
        entity="Account",
        operation="created",
        entity_id="1234",
        changed_at=datetime(2025, 9, 10, 21, 31, 25, 179851, UTC),
        problem="entity is not followed",
    )
    assert (receipt.entity, receipt.operation) == ("SalesReceipt", "updated")
    assert receipt.changed_at == datetime(2026, 3, 17, 16, 19, 17, tzinfo=UTC)
    assert (customer.entity, customer.operation) == ("Customer", "merged")
    assert (customer.entity_id, customer.deleted_id) == ("123", "27")
    assert customer.event_id == "<uuid>-Customer-123"
    assert customer.problem is None


FOLLOWED = [
    *[(e, o) for e in ("invoice", "payment", "creditmemo") for o in ("created", "updated")],
    *[(e, o) for e in ("invoice", "payment", "creditmemo") for o in ("deleted", "emailed")],
    *[(e, o) for e in ("invoice", "payment", "creditmemo") for o in ("void", "voided")],
    *[("customer", o) for o in ("created", "updated", "deleted", "merged")],
]
PASCAL = {
    "invoice": "Invoice",
    "payment": "Payment",
    "creditmemo": "CreditMemo",
    "customer": "Customer",
}


@pytest.mark.parametrize(("entity", "operation"), FOLLOWED)
def test_what_is_followed_can_be_acted_upon(entity: str, operation: str) -> None:
    event = only([cloud(type=f"qbo.{entity}.{operation}.v1", data={"deletedid": "27"})])
    assert event.problem is None
    assert event.entity == PASCAL[entity]
    assert event.operation == ("voided" if operation == "void" else operation)


@pytest.mark.parametrize(
    ("written", "operation"),
    [
        ("Create", "created"),
        ("Update", "updated"),
        ("Delete", "deleted"),
        ("Void", "voided"),
        ("Emailed", "emailed"),
    ],
)
def test_the_operations_of_the_legacy_format_are_followed(written: str, operation: str) -> None:
    event = only(legacy(operation=written))
    assert (event.operation, event.problem) == (operation, None)


@pytest.mark.parametrize("spelling", ["deletedid", "deletedId", "deletedID"])
def test_a_merge_names_its_loser_in_three_spellings(spelling: str) -> None:
    new = only([cloud(type="qbo.customer.merged.v1", data={spelling: "27"})])
    old = only(legacy(name="Customer", operation="Merge", **{spelling: "27"}))
    assert (new.deleted_id, new.problem) == ("27", None)
    assert (old.deleted_id, old.problem) == ("27", None)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (..., "deletedid is missing"),
        (None, "deletedid is missing"),
        ("27", "deletedid is missing"),
        ({"deletedId": 27.0}, "deletedId is not text"),
        ({"deletedid": "x"}, "deletedid is not digits"),
    ],
)
def test_a_merge_without_its_loser_cannot_be_followed(data: Any, problem: str) -> None:
    assert only([cloud(type="qbo.customer.merged.v1", data=data)]).problem == problem


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-10-01T16:19:17Z", datetime(2026, 10, 1, 16, 19, 17, tzinfo=UTC)),
        ("2026-10-01T16:19:17.1Z", datetime(2026, 10, 1, 16, 19, 17, 100000, UTC)),
        ("2026-10-01T16:19:17.12Z", datetime(2026, 10, 1, 16, 19, 17, 120000, UTC)),
        ("2026-10-01T16:19:17.123Z", datetime(2026, 10, 1, 16, 19, 17, 123000, UTC)),
        ("2026-10-01T16:19:17.1234567Z", datetime(2026, 10, 1, 16, 19, 17, 123456, UTC)),
        ("2026-10-01T16:19:17.999999999Z", datetime(2026, 10, 1, 16, 19, 17, 999999, UTC)),
        ("2015-10-05T14:42:19-0700", datetime(2015, 10, 5, 21, 42, 19, tzinfo=UTC)),
        ("2015-10-05T14:42:19-07:00", datetime(2015, 10, 5, 21, 42, 19, tzinfo=UTC)),
        ("2016-10-05T03:09:04.000Z", datetime(2016, 10, 5, 3, 9, 4, tzinfo=UTC)),
        ("2026-01-01T00:00:00+05:30", datetime(2025, 12, 31, 18, 30, tzinfo=UTC)),
        ("2026-10-01T16:19:17", None),
        ("2026-10-01T16:19:17.0123456789Z", None),
        ("2026-13-01T16:19:17Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("2026-10-01T16:19:17+99:99", None),
        ("٢٠٢٦-10-01T16:19:17Z", None),
        ("2026-10-01T16:19:17.٣Z", None),
        ("yesterday", None),
        ("", None),
        (1759335557, None),
        (None, None),
        (..., None),
    ],
)
def test_any_time_is_read_or_done_without(written: Any, moment: datetime | None) -> None:
    new, old = only([cloud(time=written)]), only(legacy(lastUpdated=written))
    assert (new.changed_at, new.problem) == (moment, None)
    assert (old.changed_at, old.problem) == (moment, None)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"type": ...}, "type is missing"),
        ({"type": 7}, "type is not text"),
        ({"type": "invoice"}, "type is not qbo.<entity>.<operation>.<version>"),
        ({"type": "qbo.invoice.updated"}, "type is not qbo.<entity>.<operation>.<version>"),
        ({"type": "x.invoice.updated.v1"}, "type is not qbo.<entity>.<operation>.<version>"),
        ({"type": "qbo.invoice.updated."}, "type is not qbo.<entity>.<operation>.<version>"),
        ({"type": "qbo.vendor.updated.v1"}, "entity is not followed"),
        ({"type": "qbo.unheardof.updated.v1"}, "entity is not followed"),
        ({"type": "qbo.invoice.exploded.v1"}, "operation is not followed"),
        ({"type": "qbo.invoice.merged.v1"}, "operation is not followed"),
        ({"type": "qbo.customer.void.v1"}, "operation is not followed"),
        ({"intuitaccountid": ...}, "intuitaccountid is missing"),
        ({"intuitaccountid": None}, "intuitaccountid is not text"),
        ({"intuitaccountid": 310687.0}, "intuitaccountid is not text"),
        ({"intuitaccountid": -310687}, "intuitaccountid is not text"),
        ({"intuitaccountid": 0}, "intuitaccountid begins with a zero"),
        ({"intuitaccountid": 10**20}, "intuitaccountid is too long"),
        ({"intuitentityid": True}, "intuitentityid is not text"),
        ({"intuitaccountid": ""}, "intuitaccountid is not digits"),
        ({"intuitaccountid": "31-06"}, "intuitaccountid is not digits"),
        ({"intuitaccountid": "٣١"}, "intuitaccountid is not digits"),
        ({"intuitaccountid": "3106\u0000"}, "intuitaccountid is not digits"),
        ({"intuitaccountid": "9" * 5000}, "intuitaccountid is too long"),
        ({"intuitentityid": ...}, "intuitentityid is missing"),
        ({"intuitentityid": ["145"]}, "intuitentityid is not text"),
        ({"intuitentityid": "1') OR ('1'='1"}, "intuitentityid is not digits"),
        ({"intuitentityid": "9" * 5000}, "intuitentityid is too long"),
        ({"intuitentityid": "9" * 33}, "intuitentityid is too long"),
    ],
)
def test_a_cloudevent_says_what_is_wrong_with_it(changes: dict[str, Any], problem: str) -> None:
    event = only([cloud(**changes)])
    assert (event.format, event.problem) == ("cloudevents", problem)


@pytest.mark.parametrize(
    "written", ["00310687", " 310687", "310687\n", "\u3000310687", "0" * 40 + "310687"]
)
def test_a_company_has_one_spelling(written: str) -> None:
    plain = only([cloud(intuitaccountid="310687")])
    event = only([cloud(intuitaccountid=written)])
    assert (event.realm_id, event.problem) == ("310687", None)
    assert only(legacy(realm=written)).realm_id == "310687"
    assert plain.realm_id == "310687"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": ...}, "name is missing"),
        ({"name": {}}, "name is not text"),
        ({"name": "Vendor"}, "entity is not followed"),
        ({"operation": ...}, "operation is missing"),
        ({"operation": "Explode"}, "operation is not followed"),
        ({"id": ...}, "id is missing"),
        ({"id": 1.45e2}, "id is not text"),
        ({"id": "x"}, "id is not digits"),
        ({"realm": ...}, "realmId is missing"),
        ({"realm": ..., "realmId": "1185883450"}, "realmId is missing"),
        ({"realm": [1185883450]}, "realmId is not text"),
        ({"realm": "x"}, "realmId is not digits"),
        ({"name": "Customer", "operation": "Merge"}, "deletedid is missing"),
    ],
)
def test_a_legacy_event_says_what_is_wrong_with_it(changes: dict[str, Any], problem: str) -> None:
    event = only(legacy(**changes))
    assert (event.format, event.problem) == ("legacy", problem)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (
            [cloud(id="7")],
            [cloud(id=7, intuitentityid=145, intuitaccountid=9341455000000001)],
        ),
        (legacy(), legacy(realm=1185883450, id=145)),
        (
            [cloud(type="qbo.customer.merged.v1", data={"deletedid": "27"})],
            [cloud(type="qbo.customer.merged.v1", data={"deletedid": 27})],
        ),
        (
            legacy(name="Customer", operation="Merge", deletedId="27"),
            legacy(name="Customer", operation="Merge", deletedId=27),
        ),
    ],
    ids=["cloudevents", "legacy", "cloudevents merge", "legacy merge"],
)
def test_an_id_that_is_a_number_is_that_id(text: object, numbers: object) -> None:
    """Also for the digest, so that what is sent again in the other form is the same."""
    assert only(numbers) == only(text)
    assert only(numbers).problem is None


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("body", [[cloud()], legacy()], ids=["cloudevents", "legacy"])
def test_a_mark_before_the_body_is_no_part_of_it(body: object, encoding: str) -> None:
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    written = (mark + json.dumps(body)).encode(encoding)
    assert only(written) == only(body)


def test_a_mark_before_rubbish_is_rubbish() -> None:
    assert only(b"\xef\xbb\xbf").problem == "not JSON"
    assert only(b"\xef\xbb\xbf[\xff]").problem == "not JSON"
    assert only(b"\xff\xfe[").problem == "not JSON"


def test_what_is_missing_is_none_and_not_empty() -> None:
    nameless, verbless = only(legacy(name=...)), only(legacy(operation=...))
    assert (nameless.entity, nameless.operation) == (None, "updated")
    assert (verbless.entity, verbless.operation) == ("Invoice", None)
    for event in (only([cloud(type=...)]), only([cloud(type="")])):
        assert (event.entity, event.operation) == (None, None)
    assert only([cloud(type="qbo..updated.v1")]).entity is None


NOT_EVENTS = "neither an array of events nor an envelope"


@pytest.mark.parametrize(
    ("body", "format_", "problem"),
    [
        (b"", "unknown", "not JSON"),
        (b"\x00", "unknown", "not JSON"),
        (b"\xff\xfe[]", "unknown", "not JSON"),
        (b'[{"type":', "unknown", "not JSON"),
        (b'{"eventNotifications":[', "unknown", "not JSON"),
        (b"<Fault/>", "unknown", "not JSON"),
        (b"[" * 200_000, "unknown", "not JSON"),
        (b"[" * 200_000 + b"]" * 200_000, "unknown", "not JSON"),
        (b'{"a":' * 200_000 + b"1" + b"}" * 200_000, "unknown", "not JSON"),
        (b"null", "unknown", NOT_EVENTS),
        (b"5", "unknown", NOT_EVENTS),
        (b"1" * 10_000, "unknown", NOT_EVENTS),
        (b"1e99999999999999999999", "unknown", NOT_EVENTS),
        (b'"text"', "unknown", NOT_EVENTS),
        (b"{}", "unknown", NOT_EVENTS),
        (b'{"hello":"world"}', "unknown", NOT_EVENTS),
        (b"[]", "unknown", "no events"),
        (b" [ ] ", "unknown", "no events"),
        (b"[null]", "unknown", "event is not an object"),
        (b'["x"]', "unknown", "event is not an object"),
        (b"[[]]", "unknown", "event is not an object"),
        (b"[{}]", "cloudevents", "type is missing"),
        (b'{"eventNotifications":null}', "legacy", "eventNotifications is not a list"),
        (b'{"eventNotifications":[]}', "legacy", "no events"),
        (b'{"eventNotifications":[7]}', "legacy", "dataChangeEvent.entities is not a list"),
        (b'{"eventNotifications":[{}]}', "legacy", "dataChangeEvent.entities is not a list"),
        (
            b'{"eventNotifications":[{"dataChangeEvent":{"entities":{}}}]}',
            "legacy",
            "dataChangeEvent.entities is not a list",
        ),
        (
            b'{"eventNotifications":[{"dataChangeEvent":{"entities":[]}}]}',
            "legacy",
            "no events",
        ),
        (
            b'{"eventNotifications":[{"dataChangeEvent":{"entities":[7]}}]}',
            "legacy",
            "event is not an object",
        ),
    ],
    ids=lambda value: f"{value[:20]!r}..{len(value)}",
)
def test_what_is_no_event_is_shown_as_one(body: bytes, format_: str, problem: str) -> None:
    event = only(body)
    assert (event.format, event.problem) == (format_, problem)
    assert len(event.digest) == 64


def test_rubbish_in_one_event_leaves_the_others_readable() -> None:
    good = json.dumps(cloud()).encode()
    bad = [
        b"17",
        b"null",
        b'{"type":' + b"9" * 10_000 + b"}",
        b'{"intuitentityid":1e99999999999999999999}',
        b'{"data":' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"type":"\xff"}',
    ]
    events = parse(b"[" + b",".join([good, *bad, good]) + b"]")
    assert len(events) == 8
    assert events[0].problem is None
    assert events[-1] == events[0]
    assert all(event.problem for event in events[1:-1])


def test_a_hundred_events_of_several_companies_keep_their_company() -> None:
    body = [cloud(id=str(n), intuitaccountid=str(n % 7), intuitentityid=str(n)) for n in range(100)]
    events = parse(json.dumps(body).encode())
    assert [(e.realm_id, e.entity_id) for e in events] == [(str(n % 7), str(n)) for n in range(100)]
    assert len({event.digest for event in events}) == 100


def test_an_envelope_may_hold_several_companies() -> None:
    both = legacy()["eventNotifications"] + legacy(realm="77", id="9")["eventNotifications"]
    events = parse(json.dumps({"eventNotifications": both}).encode())
    assert [(e.realm_id, e.entity_id) for e in events] == [("1185883450", "145"), ("77", "9")]


def test_text_is_bounded_and_printable_for_storage() -> None:
    event = only(
        [
            cloud(
                id="a\u0000b\u001b[31m" + "x" * 5000,
                type="qbo." + "y" * 5000 + ".up\u0000.v1",
                intuitaccountid="1\u0000" + "2" * 5000,
                intuitentityid="z" * 5000,
                data={"deletedid": "w" * 5000},
            )
        ]
    )
    assert event.event_id == "a\ufffdb\ufffd[31m" + "x" * 120
    assert event.entity == "y" * 128
    assert event.operation == "up\ufffd"
    assert event.realm_id == "1\ufffd" + "2" * 126
    assert event.entity_id == "z" * 128
    assert event.deleted_id == "w" * 128
    assert event.problem == "intuitaccountid is too long"


def test_an_event_id_of_any_length_is_no_obstacle_and_told_apart_in_full() -> None:
    one, other = only([cloud(id="x" * 5000 + "1")]), only([cloud(id="x" * 5000 + "2")])
    assert (one.problem, other.problem) == (None, None)
    assert one.event_id == other.event_id
    assert one.digest != other.digest


def test_the_same_event_has_the_same_digest_whatever_else_it_says() -> None:
    first, again = only([cloud()]), only([cloud(time="2026-12-31T00:00:00Z", data={})])
    assert first.digest == "1669d39da955e1764210485a2ed09fb6d78560e298ac0944ff7a8b55e012686f"
    assert again.digest == first.digest


def test_realm_ids_of_nineteen_digits_are_followed() -> None:
    event = only([cloud(intuitaccountid="4620816365037572030")])
    assert (event.realm_id, event.problem) == ("4620816365037572030", None)
    assert only([cloud(intuitentityid="4620816365037572030")]).problem == (
        "intuitentityid is too long"
    )


def test_two_changes_that_share_an_event_id_are_two_events() -> None:
    one, other = only([cloud()]), only([cloud(intuitentityid="146")])
    third = only([cloud(type="qbo.invoice.deleted.v1")])
    assert len({one.digest, other.digest, third.digest}) == 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (cloud(), cloud(id="other")),
        (cloud(), cloud(intuitaccountid="1")),
        (cloud(intuitaccountid="12", id="3"), cloud(intuitaccountid="1", id="23")),
        (cloud(intuitaccountid='1","2', id="3"), cloud(intuitaccountid="1", id='2","3')),
        (cloud(id=...), cloud(id=..., time="2026-10-01T16:19:18Z")),
        (cloud(id=5), cloud(id=6)),
    ],
)
def test_different_events_have_different_digests(one: object, other: object) -> None:
    assert only([one]).digest != only([other]).digest


@pytest.mark.parametrize(
    "changes",
    [
        {"realm": "77"},
        {"name": "Customer"},
        {"id": "146"},
        {"operation": "Void"},
        {"lastUpdated": "2025-09-08T20:52:31.658Z"},
        {"lastUpdated": ...},
    ],
)
def test_a_legacy_event_is_told_apart_by_all_that_it_says(changes: dict[str, Any]) -> None:
    assert only(legacy()).digest != only(legacy(**changes)).digest


def test_an_event_without_an_id_can_be_acted_upon() -> None:
    event = only([cloud(id=...)])
    assert (event.event_id, event.problem) == (None, None)
    assert event.digest == only([cloud(id=...)]).digest


def test_an_unreadable_body_is_told_apart_by_its_bytes() -> None:
    assert only(b"{").digest == "81ea01fc91f778433199d12c7045c8d3092ae6b5111951ed97e9a7795a348f84"
    assert only(b"{ ").digest != only(b"{").digest


def test_a_realm_id_is_in_no_repr() -> None:
    assert "9341455000000001" not in repr(parse(CLOUD))


def test_ten_thousand_damaged_deliveries_give_events_and_no_exception() -> None:
    damage = random.Random(1)  # the same damage at every run
    for _ in range(10_000):
        body = bytearray(damage.choice((CLOUD, LEGACY)))
        for _ in range(damage.randint(1, 6)):
            at = damage.randrange(len(body))
            body[at : at + damage.randint(0, 4)] = damage.randbytes(damage.randint(0, 3))
        events = parse(bytes(body))
        assert events
        for event in events:
            usable = event.realm_id and event.realm_id.isdigit() and event.entity_id
            assert event.problem or usable

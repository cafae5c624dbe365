"""The bodies, headers and signatures of webhooks."""

import base64
import hashlib
import hmac
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime

from service.simulator import exact_json
from service.simulator.clock import pacific, to_zulu
from service.simulator.records import Json
from service.simulator.switches import Extra, Switches

_LEGACY = {
    "created": "Create",
    "updated": "Update",
    "deleted": "Delete",
    "merged": "Merge",
    "void": "Void",
    "emailed": "Emailed",
}
OPERATIONS = tuple(_LEGACY)

# What the portal's "Send test events" posts: no real company, no existing object.
TEST_BODY = (
    b'[{"specversion":"1.0","id":"88cd52aa-33b6-4351-9aa4-47572edbd068",'
    b'"source":"intuit.dsnC02Pk1XQ+u4hqdV4mBMmTVtCZfnUuTVkYnLoPvoE=",'
    b'"type":"qbo.account.created.v1","datacontenttype":"application/json",'
    b'"time":"2025-09-10T21:31:25.179851517Z","intuitentityid":"1234",'
    b'"intuitaccountid":"310687","data":{}}]'
)


@dataclass(frozen=True)
class Event:
    """One change of one object; `loser` is the customer that a merge removed."""

    realm: str
    entity: str
    id: str
    operation: str
    at: datetime
    loser: str | None = None
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))


def described(event: Event) -> str:
    return f"{event.realm} {event.entity} {event.id} {event.operation}"


def sign(token: str, body: bytes) -> str:
    digest = hmac.new(token.encode(), body, hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def payload(events: list[Event], switches: Switches) -> bytes:
    """Return the body of one delivery in the switched format."""
    if switches.format == "legacy":
        return exact_json.encode({"eventNotifications": _legacy(events, switches)})
    return exact_json.encode([_cloud_event(event, switches) for event in events])


def in_deliveries(events: list[Event], switches: Switches) -> list[list[Event]]:
    """Return the events in groups that one delivery can carry, in their order."""
    groups: list[list[Event]] = []
    size = 0
    for event in events:
        length = len(payload([event], switches))
        most = switches.events_per_delivery
        full = groups and (len(groups[-1]) >= most or size + length > switches.bytes_per_delivery)
        if full or not groups:
            groups.append([])
            size = 0
        groups[-1].append(event)
        size += length
    return groups


def headers(
    token: str, body: bytes, at: datetime, switches: Switches, signature: str = "right"
) -> dict[str, str]:
    """Return Intuit's headers for a delivery."""
    signed = {
        "right": {"intuit-signature": sign(token, body)},
        "wrong": {"intuit-signature": sign(f"not {token}", body)},
        "missing": {},
    }
    return {
        "content-type": switches.content_type,
        "accept": "application/json",
        "user-agent": "intuit_notification_server/0.1",
        **signed[signature],
        "intuit-t-id": str(uuid.uuid4()),
        "intuit-created-time": pacific(at).strftime("%Y-%m-%dT%H:%M:%S%z"),
        "intuit-notification-schema-version": switches.schema_version,
    }


def zulu(at: datetime, digits: int) -> str:
    """Return a time with that many fractional digits; those below microseconds are made up."""
    at = at.astimezone(UTC)
    fraction = f"{at.microsecond:06}517"[:digits]
    return f"{at:%Y-%m-%dT%H:%M:%S}{'.' if digits else ''}{fraction}Z"


def _cloud_event(event: Event, switches: Switches) -> Json:
    operation = switches.void if event.operation == "void" else event.operation
    source = hashlib.sha256(event.realm.encode()).digest()
    with_entity = f"{event.uuid}-{event.entity}-{event.id}"
    body: Json = {
        "specversion": "1.0",
        "id": event.uuid if switches.event_id == "uuid" else with_entity,
        "source": f"intuit.{base64.b64encode(source).decode()}",
        "type": f"qbo.{event.entity.lower()}.{operation}.v1",
    }
    # Intuit's own sample of a plain update has neither.
    plain = operation == "updated"
    if _shown(switches.datacontenttype, plain):
        body["datacontenttype"] = "application/json"
    body |= {
        "time": zulu(event.at, switches.time_digits),
        "intuitentityid": event.id,
        "intuitaccountid": event.realm,
    }
    if event.loser:
        body["data"] = {"deletedid": event.loser}
    elif switches.data == "full":
        body["data"] = {"alternative_ids": _alternatives(event)}
    elif _shown(switches.data, plain):
        body["data"] = {}
    return body


def _alternatives(event: Event) -> list[Json]:
    """Return about 1.7 kB of data, as much as events in Intuit's own samples have."""
    return [
        {"id": f"djQuMTo{n:02}-{event.uuid}", "namespace": "Intuit.sbseg.v4"} for n in range(19)
    ]


def _shown(extra: Extra, plain: bool) -> bool:
    return extra == "always" or (extra == "as seen" and not plain)


def _legacy(events: list[Event], switches: Switches) -> list[Json]:
    by_realm: dict[str, list[Json]] = {}
    for event in events:
        entity = {
            "name": event.entity,
            "id": event.id,
            "operation": _LEGACY[event.operation],
            "lastUpdated": _last_updated(event.at, switches.legacy_time),
        }
        if event.loser:
            entity["deletedId"] = event.loser
        by_realm.setdefault(event.realm, []).append(entity)
    return [
        {"realmId": realm, "dataChangeEvent": {"entities": entities}}
        for realm, entities in by_realm.items()
    ]


def _last_updated(at: datetime, form: str) -> str:
    if form == "offset":
        return pacific(at).strftime("%Y-%m-%dT%H:%M:%S%z")
    return to_zulu(at.replace(microsecond=0) if form == "zeros" else at)

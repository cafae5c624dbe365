"""What a webhook says, and how it is signed."""

import base64
import hashlib
import hmac
import uuid
from dataclasses import dataclass
from datetime import datetime

from service.simulator import exact
from service.simulator.clock import pacific, to_zulu
from service.simulator.config import Switches
from service.simulator.records import Json

_LEGACY = {
    "created": "Create",
    "updated": "Update",
    "deleted": "Delete",
    "merged": "Merge",
    "void": "Void",
    "emailed": "Emailed",
}


@dataclass(frozen=True)
class Event:
    """One change of one object; `loser` is the customer that a merge made disappear."""

    realm: str
    entity: str
    id: str
    operation: str
    at: datetime
    loser: str | None = None


def sign(token: str, body: bytes) -> str:
    """Return the `intuit-signature` of a body."""
    digest = hmac.new(token.encode(), body, hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def payload(events: list[Event], switches: Switches) -> bytes:
    """Return the body of one delivery in the format that is switched on."""
    if switches.format == "legacy":
        return exact.encode({"eventNotifications": _legacy(events)})
    return exact.encode([_cloud_event(event, switches) for event in events])


def headers(token: str, body: bytes, at: datetime) -> dict[str, str]:
    """Return Intuit's headers for a delivery."""
    return {
        "content-type": "application/json; charset=utf-8",
        "accept": "application/json",
        "user-agent": "intuit_notification_server/0.1",
        "intuit-signature": sign(token, body),
        "intuit-t-id": str(uuid.uuid4()),
        "intuit-created-time": pacific(at).strftime("%Y-%m-%dT%H:%M:%S%z"),
        "intuit-notification-schema-version": "0.1",
    }


def _cloud_event(event: Event, switches: Switches) -> Json:
    operation = switches.void if event.operation == "void" else event.operation
    source = hashlib.sha256(event.realm.encode()).digest()
    body: Json = {
        "specversion": "1.0",
        "id": f"{uuid.uuid4()}-{event.entity}-{event.id}",
        "source": f"intuit.{base64.b64encode(source).decode()}",
        "type": f"qbo.{event.entity.lower()}.{operation}.v1",
        "datacontenttype": "application/json",
        "time": to_zulu(event.at),
        "intuitentityid": event.id,
        "intuitaccountid": event.realm,
        "data": {},
    }
    if event.loser:
        body["data"] = {"deletedid": event.loser}
    elif operation == "updated":
        # Intuit's own sample of a plain update has neither of the two.
        del body["data"], body["datacontenttype"]
    return body


def _legacy(events: list[Event]) -> list[Json]:
    by_realm: dict[str, list[Json]] = {}
    for event in events:
        entity = {
            "name": event.entity,
            "id": event.id,
            "operation": _LEGACY[event.operation],
            "lastUpdated": to_zulu(event.at),
        }
        if event.loser:
            entity["deletedId"] = event.loser
        by_realm.setdefault(event.realm, []).append(entity)
    return [
        {"realmId": realm, "dataChangeEvent": {"entities": entities}}
        for realm, entities in by_realm.items()
    ]

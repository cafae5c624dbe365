"""Verifies and parses Intuit's webhooks, in both formats (reference 1.2, 1.3).

A webhook with a valid signature is never refused: everything in it becomes an `Event`, which says
in `problem` why it cannot be acted upon. Each event is decoded alone, so one broken event leaves
the others readable. A missing time or event id is no problem: the invoice is known.
"""

import codecs
import hmac
from binascii import b2a_base64
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple, Self

import msgspec

from service.domain import realm_id_of
from service.quickbooks.entity import parse_instant
from service.quickbooks.event import (
    FOLLOWED,
    Event,
    Format,
    bounded,
    digest_of,
    digest_of_bytes,
    entity_name,
    operation_name,
)

# Longer ones are no ids: QuickBooks would refuse a whole query because of one.
LONGEST_ID = 18
LONGEST_REALM_ID = 20
MOST_EVENTS = 10_000
_MOST_COMMAS = 20 * MOST_EVENTS

_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_text_decoder = msgspec.json.Decoder(str)

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

# Intuit's pages and SDKs spell it in three ways.
_DELETED_ID = ("deletedid", "deletedId", "deletedID")


def sign(body: bytes, verifier_token: str) -> str:
    """Return the value of `intuit-signature` for these exact bytes."""
    return _sign(body, verifier_token).decode("ascii")


def verify(body: bytes, signature: str | None, verifier_tokens: Sequence[str]) -> bool:
    """Return whether one of the verifier tokens made the signature; takes constant time.

    An empty token never matches: anybody could sign with it.
    """
    given = (signature or "").encode("utf-8", "surrogateescape")
    matches = [hmac.compare_digest(given, _sign(body, token)) for token in verifier_tokens if token]
    return any(matches)


def _sign(body: bytes, verifier_token: str) -> bytes:
    return b2a_base64(hmac.digest(verifier_token.encode(), body, "sha256"), newline=False)


class Fields:
    """The fields of a JSON object; `problem` is the first thing found wrong with them."""

    def __init__(self, fields: Mapping[str, msgspec.Raw]) -> None:
        self.problem: str | None = None
        self._fields = fields

    @classmethod
    def of(cls, raw: bytes | msgspec.Raw | None) -> Self | None:
        """Return the fields, or None if it is not an object."""
        fields = _decoded(_fields_decoder, raw)
        return None if fields is None else cls(fields)

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def blame(self, problem: str | None) -> None:
        """Store the problem, unless it is None or there is one already."""
        self.problem = self.problem or problem

    def given(self, **fields: msgspec.Raw | None) -> "Fields":
        """Return a copy with these fields set, or removed where None."""
        merged = {**self._fields, **fields}
        return Fields({name: raw for name, raw in merged.items() if raw is not None})

    def raw(self, name: str) -> msgspec.Raw | None:
        return self._fields.get(name)

    def nested(self, name: str) -> "Fields":
        """Return the fields of an inner object; empty if it is missing or no object."""
        return Fields.of(self.raw(name)) or Fields({})

    def items(self, name: str) -> list[msgspec.Raw] | None:
        """Return the undecoded items of a list, or None if it is missing or no list."""
        return items_of(self.raw(name))

    def optional(self, name: str) -> str | None:
        """Return the field if it is text."""
        text: str | None = _decoded(_text_decoder, self._fields.get(name))
        return text

    def optional_id(self, name: str) -> str | None:
        """Return the field if it is text or a whole number, as it is written."""
        text, raw = self.optional(name), self.raw(name)
        if text is None and raw is not None and (digits := bytes(raw).strip()).isdigit():
            return digits.decode("ascii")
        return text

    def text(self, name: str) -> str | None:
        """Return a required text; a missing one is a `problem`."""
        return self._required(name, self.optional(name))

    def _required(self, name: str, text: str | None) -> str | None:
        if text is None:
            self.blame(f"{name} is {'not text' if name in self else 'missing'}")
        return text

    def id(self, name: str, longest: int = LONGEST_ID) -> str | None:
        """Return a required id as it is written; anything but a number is a `problem`."""
        text = self._required(name, self.optional_id(name))
        if text is not None and len(text) > longest:
            self.blame(f"{name} is too long")
        elif text is not None and not (text.isascii() and text.isdigit()):
            self.blame(f"{name} is not digits")
        elif text is not None and text.startswith("0"):
            self.blame(f"{name} begins with a zero")
        return text

    def realm_id(self, name: str) -> str | None:
        """Return a company's id in its one form; as it was written where it is blamed for that."""
        text = self.optional_id(name)
        found = None if text is None else realm_id_of(text)
        return self.id(name, LONGEST_REALM_ID) if found is None else found


def items_of(raw: bytes | msgspec.Raw | None) -> list[msgspec.Raw] | None:
    """Return the undecoded items of a JSON list, or None if it is not a list."""
    items: list[msgspec.Raw] | None = _decoded(_items_decoder, raw)
    return items


def _decoded(decoder: msgspec.json.Decoder[Any], raw: bytes | msgspec.Raw | None) -> Any:
    if raw is None:
        return None
    try:
        return decoder.decode(raw)
    except (ValueError, RecursionError):
        return None


class TooManyEvents(Exception):
    """No webhook of Intuit's: theirs have up to 100 events."""


def parse(body: bytes) -> list[Event]:
    """Return the events of a webhook: at least one for any body.

    Raises TooManyEvents for more than can be stored in time. Where items are that many, commas are,
    and they can be counted without an object for each.
    """
    if body.count(b",") > _MOST_COMMAS:
        raise TooManyEvents
    found = list(islice(_events(_without_mark(body)), MOST_EVENTS + 1))
    if len(found) > MOST_EVENTS:
        raise TooManyEvents
    return found


def _events(body: bytes) -> Iterator[Event]:
    events = items_of(body)
    if events is not None:
        yield from map(_cloud_event, events) if events else [_unusable("no events", body)]
        return
    envelope = Fields.of(body)
    if envelope is None or "eventNotifications" not in envelope:
        yield _unusable(_why_unreadable(body), body)
    else:
        yield from _notifications(envelope, body)


def _without_mark(body: bytes) -> bytes:
    """Return the body without a byte order mark, in UTF-8 if the mark names another encoding."""
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            try:
                return body.decode(encoding).encode()
            except UnicodeError:
                return body.removeprefix(mark)
    return body


def _why_unreadable(body: bytes) -> str:
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except (ValueError, RecursionError):
        return "not JSON"
    return "neither an array of events nor an envelope"


def _cloud_event(raw: msgspec.Raw) -> Event:
    fields = Fields.of(raw)
    if fields is None:
        return _unusable("event is not an object", raw)
    event_id, written = fields.optional_id("id"), fields.text("type")
    kind = _kind_of_type(written or "")
    fields.blame(kind.malformed)
    realm_id = fields.realm_id("intuitaccountid")
    fields.blame(kind.unfollowed)
    entity_id = fields.id("intuitentityid")
    return Event(
        format="cloudevents",
        # Intuit does not promise unique event ids; a repeated delivery repeats all of these fields.
        digest=_digest(raw, realm_id, event_id, f"/{written}/{entity_id}"),
        event_id=bounded(event_id),
        realm_id=bounded(realm_id),
        entity=kind.entity,
        operation=kind.operation,
        entity_id=bounded(entity_id),
        deleted_id=bounded(_deleted_id_of_data(fields, kind.operation)),
        changed_at=_instant(fields.optional("time")),
        problem=fields.problem,
    )


class _Kind(NamedTuple):
    """Entity and operation as they are stored, and why that cannot be acted upon."""

    entity: str | None
    operation: str | None
    malformed: str | None = None
    unfollowed: str | None = None

    @classmethod
    def of(cls, entity: str, operation: str) -> Self:
        entity, operation = entity_name(entity), operation_name(operation)
        unfollowed = None
        if entity not in FOLLOWED:
            unfollowed = "entity is not followed"
        elif operation not in FOLLOWED[entity]:
            unfollowed = "operation is not followed"
        return cls(bounded(entity) or None, bounded(operation) or None, unfollowed=unfollowed)


@lru_cache(maxsize=64)  # more than Intuit has of those that we follow
def _kind_of_type(written: str) -> _Kind:
    """Split `qbo.invoice.updated.v1`; a type of another form is shown as the entity."""
    match written.split("."):
        case ["qbo", entity, operation, version] if version:
            return _Kind.of(entity, operation)
    malformed = "type is not qbo.<entity>.<operation>.<version>"
    return _Kind(bounded(written or None), None, malformed)


def _notifications(envelope: Fields, body: bytes) -> Iterator[Event]:
    notifications = envelope.items("eventNotifications")
    if notifications is None:
        yield _unusable("eventNotifications is not a list", body, "legacy")
    elif not notifications:
        yield _unusable("no events", body, "legacy")
    for notification in notifications or []:
        yield from _notification(notification)


def _notification(raw: msgspec.Raw) -> Iterator[Event]:
    fields = Fields.of(raw) or Fields({})
    entities = fields.nested("dataChangeEvent").items("entities")
    if entities is None:
        yield _unusable("dataChangeEvent.entities is not a list", raw, "legacy")
    elif not entities:
        yield _unusable("no events", raw, "legacy")
    for entity in entities or []:
        yield _legacy_event(entity, fields.raw("realmId"))


def _legacy_event(raw: msgspec.Raw, realm: msgspec.Raw | None) -> Event:
    entity_fields = Fields.of(raw)
    if entity_fields is None:
        return _unusable("event is not an object", raw, "legacy")
    fields = entity_fields.given(realmId=realm)
    name, verb, changed_at = fields.text("name"), fields.text("operation"), "lastUpdated"
    realm_id = fields.realm_id("realmId")
    kind = _Kind.of(name or "", verb or "")
    fields.blame(kind.unfollowed)
    entity_id = fields.id("id")
    return Event(
        format="legacy",
        digest=_digest(raw, realm_id, name, entity_id, verb, fields.optional(changed_at)),
        realm_id=bounded(realm_id),
        entity=kind.entity,
        operation=kind.operation,
        entity_id=bounded(entity_id),
        deleted_id=bounded(_deleted_id(fields, fields, kind.operation)),
        changed_at=_instant(fields.optional(changed_at)),
        problem=fields.problem,
    )


def _deleted_id_of_data(fields: Fields, operation: str | None) -> str | None:
    if "data" not in fields and operation != "merged":
        return None  # as nearly always
    return _deleted_id(fields, fields.nested("data"), operation)


def _deleted_id(fields: Fields, holder: Fields, operation: str | None) -> str | None:
    """Return the id of the record that a merge removed; without it a merge cannot be acted upon."""
    name = next((name for name in _DELETED_ID if name in holder), _DELETED_ID[0])
    if operation != "merged":
        return holder.optional_id(name)
    deleted_id = holder.id(name)
    if holder.problem:
        fields.blame(holder.problem)
    return deleted_id


def _digest(raw: msgspec.Raw, *key: str | None) -> str:
    parts = [part for part in key if part is not None]
    return digest_of(*parts) if len(parts) == len(key) else digest_of_bytes(bytes(raw))


def _instant(text: str | None) -> datetime | None:
    try:
        return None if text is None else parse_instant(text)
    except ValueError:
        return None


def _unusable(problem: str, raw: bytes | msgspec.Raw, format_: Format = "unknown") -> Event:
    return Event(format=format_, digest=digest_of_bytes(bytes(raw)), problem=problem)

"""The switches of a running simulator; every default is the reference's."""

from datetime import date
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from service.simulator import exact_json

Seconds = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Limit = Annotated[int, Meta(ge=1)]
Extra = Literal["as seen", "always", "never"]


class Switches(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What the reference leaves open, or names as possible."""

    # OAuth
    old_refresh_grace: Seconds = 0
    racing_refresh: Literal["refused", "revokes", "served"] = "refused"
    racing_seconds: Seconds = 0
    second_exchange: Literal["refused", "revokes"] = "refused"
    disconnect_names_company: bool = False

    # Limits
    requests_per_minute: Limit | None = 500
    requests_per_second: Limit | None = 10
    batches_per_minute: Limit | None = 40
    batches_per_minute_company: Limit | None = 120
    reads_per_month: Limit | None = None
    throttled_as: Literal["json", "xml"] = "json"
    retry_after: Annotated[int, Meta(ge=0)] | None = None

    # The accounting API
    batch_items: Limit = 30
    ids_in_a_query: Limit | None = None
    ids_refused_as: Literal["4000", "413", "414"] = "4000"
    poison_fails_reads: bool = True
    custom_numbers: bool = False
    unique_numbers: bool = False
    books_closed_until: date | None = None
    fields: Literal["as the book", "2020", "2026"] = "as the book"
    rows: Literal["as recorded", "reversed"] = "as recorded"
    changes_days: Limit | None = None
    stamped_later: Seconds = 0.55

    # What a change makes known
    payment_updates_invoice: bool = True
    payment_moves_sync_token: bool = False
    email_updates_invoice: bool = True
    void_updates_invoice: bool = False
    updates_per_save: Annotated[int, Meta(ge=1, le=10)] = 1

    # What a delivery looks like
    format: Literal["cloudevents", "legacy"] = "cloudevents"
    void: Literal["void", "voided"] = "void"
    event_id: Literal["with entity", "uuid"] = "with entity"
    time_digits: Literal[0, 2, 3, 9] = 3
    data: Literal["as seen", "always", "never", "full"] = "as seen"
    datacontenttype: Extra = "as seen"
    legacy_time: Literal["milliseconds", "zeros", "offset"] = "milliseconds"
    content_type: Literal["application/json; charset=utf-8", "application/cloudevents+json"] = (
        "application/json; charset=utf-8"
    )
    schema_version: Literal["0.1", "1.0"] = "0.1"
    signature: Literal["right", "wrong", "missing"] = "right"

    # How deliveries travel
    webhooks: Literal["on", "off"] = "on"
    notify_unconnected: bool = False
    answer_seconds: Annotated[float, Meta(gt=0, le=300)] = 3
    retry_seconds: Annotated[list[Seconds], Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: [10, 20, 30, 300, 1200, 7200, 14400, 21600]
    )
    delay_seconds: tuple[Seconds, Seconds] = (0, 0)
    order: Literal["kept", "free"] = "kept"
    collect_seconds: Seconds = 0
    events_per_delivery: Limit = 100
    bytes_per_delivery: Limit = 1_000_000
    mix_companies: bool = False
    drop_share: Share = 0
    duplicate_share: Share = 0
    hold_share: Share = 0
    seed: int = 1

    def changed(self, wanted: Any) -> "Switches":
        """Return a copy with `wanted` applied; raises ValueError that says what is wrong."""
        if not isinstance(wanted, dict):
            raise ValueError("settings must be a JSON object")  # noqa: TRY004 - the caller's input
        new = exact_json.convert({**msgspec.to_builtins(self), **wanted}, Switches)
        if new.delay_seconds[0] > new.delay_seconds[1]:
            raise ValueError("delay_seconds: the least is more than the most")
        return new


WORDS = {
    "old_refresh_grace": "seconds that a rotated refresh token lives on",
    "racing_refresh": "a second refresh with the same token meanwhile: refused; refused and the "
    "winner's tokens revoked; served",
    "racing_seconds": "seconds after a refresh in which another one still races it",
    "second_exchange": "of one code: refused, or refused and its tokens revoked",
    "disconnect_names_company": "the disconnect address gets realmId",
    "requests_per_minute": "per company",
    "requests_per_second": "per company",
    "batches_per_minute": "per company and app",
    "batches_per_minute_company": "per company, all apps",
    "reads_per_month": "of the whole app; then 429 until the next month",
    "throttled_as": "the body of a 429",
    "retry_after": "seconds in a 429's Retry-After",
    "batch_items": "most items of one batch",
    "ids_in_a_query": "most values of one Id IN",
    "ids_refused_as": "how a longer list is refused: a fault code or an HTTP status",
    "poison_fails_reads": "a poisoned record fails its own read too",
    "custom_numbers": "without a DocNumber an invoice gets none (else the next number)",
    "unique_numbers": "a DocNumber that is taken is refused with 6140",
    "books_closed_until": "transactions up to this day are refused with 6210",
    "fields": "of what is written: 2026 has ShipFromAddr, CustomExtensions and others; as the "
    "book: the newest record of the company decides",
    "rows": "the order without ORDERBY, and of equal seconds; reversed: the other way round",
    "changes_days": "cdc further back is refused with 2030",
    "stamped_later": "seconds that LastUpdatedTime lies after the answer's time",
    "payment_updates_invoice": "a payment sends the event of its invoice too",
    "payment_moves_sync_token": "a payment raises the SyncToken of its invoice",
    "email_updates_invoice": "sending sends updated beside emailed",
    "void_updates_invoice": "voiding sends updated beside void",
    "updates_per_save": "updated events of one save",
    "format": "the payload",
    "void": "the word of a void in CloudEvents",
    "event_id": "the id of a CloudEvent: uuid-Entity-id, or the uuid alone",
    "time_digits": "fractional digits of a CloudEvent's time",
    "data": "as seen: absent in a plain update; full: so much that an event has about 2 kB",
    "datacontenttype": "as seen: absent in a plain update",
    "legacy_time": "lastUpdated: .657Z, .000Z, or whole seconds with -0700",
    "content_type": "of a delivery",
    "schema_version": "intuit-notification-schema-version",
    "signature": "of every delivery",
    "webhooks": "off: events are lost",
    "notify_unconnected": "companies without a connection send events too",
    "answer_seconds": "how long an app may take",
    "retry_seconds": "the gaps of the retry ladder; the last one repeats",
    "delay_seconds": "least and most delay of a delivery",
    "order": "free: deliveries overtake each other as their delays have it",
    "collect_seconds": "how long events gather for one delivery",
    "events_per_delivery": "at most; the others come in further ones",
    "bytes_per_delivery": "at most, unless one event alone has more",
    "mix_companies": "gathered events of several companies share a delivery",
    "drop_share": "how many deliveries are lost",
    "duplicate_share": "how many are sent twice",
    "hold_share": "how many are overtaken by the next one",
    "seed": "of the three shares and of delays; setting it begins the series anew",
}

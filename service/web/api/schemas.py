"""What the API takes and gives, as types: its answers, its checks and its OpenAPI document are made
from them.
"""

from datetime import date, datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from service.domain import ConnectionState, Severity, State
from service.queries.invoice_file import FindingFacts, InvoiceSummary, Time
from service.store.event_feed import CloudEvent

_MOST = 200
_USUAL = 50

Limit = Annotated[int, Meta(ge=1, le=_MOST, description=f"How many at most, up to {_MOST}.")]
Cursor = Annotated[str, Meta(max_length=400, description="`next` of the page before.")]
SupplierQuery = Annotated[
    str, Meta(max_length=320, description="The supplier's e-mail address, spelled as in Infactor.")
]
ConnectionQuery = Annotated[str, Meta(max_length=32, description="The id of a connection.")]
Instant = Annotated[datetime, Meta(tz=True, description="With its zone: 2026-11-30T10:00:00Z.")]
Next = Annotated[str | None, Meta(description="Send it as `after`; null on the last page.")]


class _Query(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of an address; one that is not known is refused."""


class NoQuery(_Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No parameter."""


class ConnectionQueries(_Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which connections."""

    supplier: SupplierQuery | UnsetType = UNSET
    state: Annotated[ConnectionState, Meta(description="The state.")] | UnsetType = UNSET
    limit: Limit = _USUAL
    after: Cursor | UnsetType = UNSET


class InvoiceQueries(_Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which invoices."""

    supplier: SupplierQuery | UnsetType = UNSET
    connection: ConnectionQuery | UnsetType = UNSET
    state: Annotated[State, Meta(description="The state in Infactor.")] | UnsetType = UNSET
    held: Annotated[bool, Meta(description="Held back, or not.")] | UnsetType = UNSET
    changed_since: Instant | UnsetType = UNSET
    limit: Limit = _USUAL
    after: Cursor | UnsetType = UNSET


class FindingQueries(_Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which findings."""

    open: Annotated[bool, Meta(description="Open, or over; both if left out.")] | UnsetType = UNSET
    supplier: SupplierQuery | UnsetType = UNSET
    connection: ConnectionQuery | UnsetType = UNSET
    invoice: (
        Annotated[str, Meta(max_length=64, description="The id of an invoice.")] | UnsetType
    ) = UNSET
    severity: Annotated[Severity, Meta(description="The severity.")] | UnsetType = UNSET
    limit: Limit = _USUAL
    after: Cursor | UnsetType = UNSET


class EventQueries(_Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events."""

    limit: Limit = _USUAL
    after: (
        Annotated[
            str,
            Meta(
                max_length=400, description="`next` of the answer before; without it, the oldest."
            ),
        ]
        | UnsetType
    ) = UNSET


_Email = Annotated[str, Meta(min_length=3, max_length=320, extra_json_schema={"format": "email"})]


class ConnectLinkOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For whom a connect link is made."""

    email: Annotated[
        _Email, Meta(description="The supplier's e-mail address, spelled as in Infactor.")
    ]
    name: Annotated[str, Meta(max_length=200, description="The supplier's name.")] = ""
    address: Annotated[str, Meta(max_length=500, description="The supplier's address.")] = ""
    another_company: Annotated[
        bool, Meta(description="Allow a further QuickBooks company beside theirs.")
    ] = False


class ViewLinkOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For whom a view link is made."""

    email: Annotated[
        _Email, Meta(description="The supplier's e-mail address, spelled as in Infactor.")
    ]
    name: Annotated[str, Meta(max_length=200, description="The supplier's name.")] = ""
    address: Annotated[str, Meta(max_length=500, description="The supplier's address.")] = ""


class MadeLink(Struct, frozen=True, kw_only=True):
    """A link for a supplier's browser. Anyone who has it acts for the supplier."""

    url: str
    expires_at: Time


class SupplierEntry(Struct, frozen=True, kw_only=True):
    """A supplier."""

    email: str
    name: str


class InvoiceCounts(Struct, frozen=True, kw_only=True):
    """How many invoices of a company there are."""

    recorded: Annotated[int, Meta(description="Read from QuickBooks.")]
    in_infactor: Annotated[int, Meta(description="In Infactor, not withdrawn.")]
    held: Annotated[int, Meta(description="Held back by a rule.")]
    on_the_way: Annotated[int, Meta(description="Recorded, and not in Infactor as they are yet.")]
    refused: Annotated[int, Meta(description="Those of them that Infactor's database refused.")]


class NoticeCounts(Struct, frozen=True, kw_only=True):
    """How many events of a company are not done."""

    waiting: int
    failed: int


class ConnectionResource(Struct, frozen=True, kw_only=True):
    """A supplier's QuickBooks company, and how far its invoices are."""

    id: str
    company: Annotated[str, Meta(description="Its name; empty if it was forgotten.")]
    supplier: SupplierEntry
    state: ConnectionState
    paused: Annotated[bool, Meta(description="Paused by an operator.")]
    problem: Annotated[str | None, Meta(description="Why it ended, or does not get on.")]
    connected_at: Time
    disconnected_at: Time | None
    released_at: Annotated[Time | None, Meta(description="Since when anybody may have it.")]
    last_synced_at: Time | None
    last_webhook_at: Time | None
    lag_seconds: Annotated[
        float, Meta(description="For how long the oldest event waits; 0 if none does.")
    ]
    changes_read_until: Annotated[
        Time, Meta(description="The watermark: every change until then was read.")
    ]
    reconciled_until: Annotated[
        Time, Meta(description="Every change and deletion until then was compared.")
    ]
    proved_at: Annotated[
        Time | None, Meta(description="When it was last known to be as in QuickBooks.")
    ]
    invoices: InvoiceCounts
    notices: NoticeCounts


class ConnectionList(Struct, frozen=True, kw_only=True):
    """A page of connections."""

    items: list[ConnectionResource]
    next: Next


class InvoiceResource(InvoiceSummary, frozen=True, kw_only=True):
    """One invoice of a list."""

    buyer_emails: Annotated[list[str], Meta(description="Their addresses, the used one first.")]
    issued_on: Annotated[date | None, Meta(description="The day that is on the invoice.")]
    due_on: Annotated[date | None, Meta(description="The day on which it is due.")]
    withdrawn: Annotated[bool, Meta(description="We have withdrawn it from Infactor.")]
    held: Annotated[bool, Meta(description="Held back, for one of `holds` or the old import.")]
    delivery_error: Annotated[str | None, Meta(description="Why Infactor refused it.")]
    approved_at: Annotated[
        Time | None, Meta(description="When a buyer's approval was first noticed.")
    ]
    changed_at: Annotated[
        Time, Meta(description="When it last changed here or, as far as seen, in Infactor.")
    ]


class InvoiceList(Struct, frozen=True, kw_only=True):
    """A page of invoices."""

    items: list[InvoiceResource]
    next: Next


class FindingResource(FindingFacts, frozen=True, kw_only=True):
    """A difference between what was approved and what is so now, for somebody to review."""

    invoice: Annotated[str, Meta(description="The invoice's id.")]
    infactor_id: Annotated[str, Meta(description="Infactor's invoiceId: another if adopted.")]
    number: Annotated[str, Meta(description="The invoice's number.")]
    connection: str
    company: str


class FindingList(Struct, frozen=True, kw_only=True):
    """A page of findings."""

    items: list[FindingResource]
    next: Next


class EventList(Struct, frozen=True, kw_only=True):
    """A page of events, the oldest first."""

    items: list[CloudEvent]
    next: Annotated[str, Meta(description="Send it as `after`, now or later; never null.")]
    more: Annotated[bool, Meta(description="Whether there are more already.")]


class ProblemDetails(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was not answered, as RFC 9457 writes it."""

    type: Annotated[str, Meta(description="An address that says what this is.")]
    title: str
    status: int
    detail: Annotated[str, Meta(description="What is wrong with this request.")]
    advice: Annotated[str, Meta(description="What to do.")]
    reference: Annotated[
        str | None, Meta(description="Of an unexpected error: it is in the log.")
    ] = None

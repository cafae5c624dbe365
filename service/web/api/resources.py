"""What each call of the API does: asks the database, and answers with the types of `schemas`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

from msgspec import Meta, UnsetType
from sqlalchemy.orm import Session

from service import links
from service.domain import ConnectionState
from service.errors import LinkError
from service.infactor.rules.facts import decoded
from service.queries import api_lists, invoice_record
from service.queries.api_lists import (
    ConnectionLine,
    FindingFilter,
    InvoiceFilter,
    InvoiceLine,
    ListedFinding,
)
from service.queries.invoice_file import (
    InvoiceFile,
    finding_facts,
    invoice_file,
    invoice_summary,
)
from service.services import Services
from service.store import connections, event_feed
from service.web.api.cursor import cursor_of, key_of
from service.web.api.problem_details import NotAnswered, ProblemKind
from service.web.api.schemas import (
    ConnectionList,
    ConnectionQueries,
    ConnectionResource,
    ConnectLinkOrder,
    EventList,
    EventQueries,
    FindingList,
    FindingQueries,
    FindingResource,
    InvoiceCounts,
    InvoiceList,
    InvoiceQueries,
    InvoiceResource,
    MadeLink,
    NoticeCounts,
    SupplierEntry,
    ViewLinkOrder,
)

T = TypeVar("T")
_SECONDS = 2.0
_RowNumber = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_EventId = Annotated[str, Meta(max_length=32)]
_MOST_OF_A_FILE = 500


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was understood: its parameters, its body, and the id in its address."""

    services: Services
    query: Any
    body: Any
    id: str
    at: datetime

    @property
    def environment(self) -> str:
        return self.services.settings.quickbooks_environment


def make_connect_link(call: Call) -> MadeLink:
    order: ConnectLinkOrder = call.body
    token = _token(call, "connect", order, another_company=order.another_company)
    return _made(call, links.connect_url, token, links.CONNECT_LIFE)


def make_view_link(call: Call) -> MadeLink:
    token = _token(call, "view", call.body)
    return _made(call, links.view_url, token, links.VIEW_LIFE)


def _token(
    call: Call,
    purpose: links.Purpose,
    order: ConnectLinkOrder | ViewLinkOrder,
    *,
    another_company: bool = False,
) -> str:
    try:
        return links.issue(
            call.services.settings.infactor_shared_secret.get_secret_value(),
            purpose,
            order.email,
            now=call.at,
            name=order.name,
            address=order.address,
            another_company=another_company,
        )
    except LinkError as e:
        raise NotAnswered(ProblemKind.INVALID_REQUEST, str(e)) from None


def _made(call: Call, url_of: Callable[[str, str], str], token: str, life: timedelta) -> MadeLink:
    url = url_of(call.services.settings.public_url, token)
    return MadeLink(url=url, expires_at=(call.at + life).replace(microsecond=0))


def list_connections(call: Call) -> ConnectionList:
    query: ConnectionQueries = call.query
    after = _after(query.after, "connections", str)
    with call.services.database.read(seconds=_SECONDS) as session:
        supplier_id = _supplier_id(session, query.supplier)
        found = api_lists.connection_lines(
            session,
            call.environment,
            supplier_id=supplier_id,
            state=_given(query.state),
            after=after,
            limit=query.limit + 1,
        )
    page, more = found[: query.limit], len(found) > query.limit
    return ConnectionList(
        items=[_connection(one, call.at) for one in page],
        next=cursor_of("connections", page[-1].company.id) if more else None,
    )


def show_connection(call: Call) -> ConnectionResource:
    with call.services.database.read(seconds=_SECONDS) as session:
        found = api_lists.connection_lines(
            session, call.environment, connection_id=call.id, limit=1
        )
    if not found:
        raise NotAnswered(ProblemKind.NOT_FOUND, "no connection has this id")
    return _connection(found[0], call.at)


def _connection(line: ConnectionLine, at: datetime) -> ConnectionResource:
    company, outgoing = line.company, line.outgoing
    waits = (at - line.waiting_since).total_seconds() if line.waiting_since else 0.0
    return ConnectionResource(
        id=company.id,
        company=company.company_name,
        supplier=SupplierEntry(email=line.supplier.email, name=line.supplier.name),
        state=ConnectionState(company.state),
        paused=company.suspended_at is not None,
        problem=company.problem,
        connected_at=company.connected_at,
        disconnected_at=company.disconnected_at,
        released_at=company.released_at,
        last_synced_at=company.last_synced_at,
        last_webhook_at=line.last_webhook,
        lag_seconds=round(max(0.0, waits), 3),
        changes_read_until=company.changes_read_until,
        reconciled_until=company.reconciled_until,
        proved_at=company.proved_at,
        invoices=InvoiceCounts(
            recorded=line.recorded,
            in_infactor=line.offered,
            held=line.held,
            on_the_way=outgoing.count if outgoing else 0,
            refused=outgoing.refused if outgoing else 0,
        ),
        notices=NoticeCounts(waiting=line.waiting, failed=line.failed),
    )


def list_invoices(call: Call) -> InvoiceList:
    query: InvoiceQueries = call.query
    after = _after(query.after, "invoices", str)
    with call.services.database.read(seconds=_SECONDS) as session:
        wanted = InvoiceFilter(
            supplier_id=_supplier_id(session, query.supplier),
            connection_id=_given(query.connection),
            state=_given(query.state),
            held=_given(query.held),
            changed_since=_in_utc(query.changed_since),
        )
        found = api_lists.invoice_lines(
            session, call.environment, wanted, after=after, limit=query.limit + 1
        )
    page, more = found[: query.limit], len(found) > query.limit
    return InvoiceList(
        items=[_invoice(one) for one in page],
        next=cursor_of("invoices", page[-1].invoice.id) if more else None,
    )


def _invoice(line: InvoiceLine) -> InvoiceResource:
    invoice, document = line.invoice, line.document
    seen = (document.seen_at or document.written_at) if document else invoice.recorded_at
    facts = decoded(invoice.facts) if invoice.facts else None
    return InvoiceResource(
        **invoice_summary(invoice, document, line.company, line.supplier),
        buyer_emails=invoice.buyer_emails,
        issued_on=facts.txn_date if facts else None,
        due_on=facts.due_date if facts else None,
        withdrawn=bool(document and document.withdrawn),
        held=invoice.hold is not None or invoice.old_rows_held,
        delivery_error=invoice.delivery.error,
        approved_at=invoice.approved_at,
        changed_at=max(invoice.recorded_at, seen),
    )


def show_invoice(call: Call) -> InvoiceFile:
    with call.services.database.read(seconds=_SECONDS) as session:
        id_ = _invoice_id(session, call, call.id)
        found = id_ and invoice_record.record(session, call.environment, id_, most=_MOST_OF_A_FILE)
    if not found:
        raise NotAnswered(ProblemKind.NOT_FOUND, "no invoice has this id")
    return invoice_file(found)


def _invoice_id(session: Session, call: Call, text: str) -> str | None:
    """Return our id of the invoice that this text names; raises NotAnswered if it names several."""
    found = invoice_record.ids_of(session, call.environment, text)
    if len(found) > 1:
        detail = "several invoices are known by this id in Infactor: send the `id` of /invoices"
        raise NotAnswered(ProblemKind.INVALID_REQUEST, detail)
    return found[0] if found else None


def list_findings(call: Call) -> FindingList:
    query: FindingQueries = call.query
    before = _after(query.after, "findings", _RowNumber)
    with call.services.database.read(seconds=_SECONDS) as session:
        invoice = _given(query.invoice)
        wanted = FindingFilter(
            is_open=_given(query.open),
            supplier_id=_supplier_id(session, query.supplier),
            connection_id=_given(query.connection),
            invoice_id=invoice and (_invoice_id(session, call, invoice) or invoice),
            severity=_given(query.severity),
        )
        found = api_lists.finding_lines(
            session, call.environment, wanted, before=before, limit=query.limit + 1
        )
    page, more = found[: query.limit], len(found) > query.limit
    return FindingList(
        items=[_finding(one) for one in page],
        next=cursor_of("findings", page[-1].finding.id) if more else None,
    )


def _finding(row: ListedFinding) -> FindingResource:
    facts = finding_facts(row.finding)
    return FindingResource(
        **{name: getattr(facts, name) for name in facts.__struct_fields__},
        invoice=row.invoice.id,
        infactor_id=row.invoice.document_id,
        number=row.invoice.doc_number,
        connection=row.company.id,
        company=row.company.company_name,
    )


def list_events(call: Call) -> EventList:
    query: EventQueries = call.query
    place = _after(query.after, "events", tuple[_RowNumber, _EventId])
    began = event_feed.FeedCursor(*place) if place else None
    with call.services.database.read(seconds=_SECONDS) as session:
        if began and not event_feed.is_valid(session, began):
            raise NotAnswered(
                ProblemKind.CURSOR_GONE,
                "events behind it were deleted, or the database was restored from a backup",
            )
        position = began.position if began else 0
        found = event_feed.after(session, call.environment, position, query.limit + 1)
        end = event_feed.end(session)
    page, more = found[: query.limit], len(found) > query.limit
    if more:
        end = event_feed.FeedCursor(page[-1].position or 0, page[-1].event_id)
    source = call.services.settings.public_url
    return EventList(
        items=[event_feed.as_cloud_event(one, source) for one in page],
        next=cursor_of("events", (end.position, end.event_id)),
        more=more,
    )


def _given(value: T | UnsetType) -> T | None:
    return None if isinstance(value, UnsetType) else value


def _in_utc(at: datetime | UnsetType) -> datetime | None:
    if isinstance(at, UnsetType):
        return None
    try:
        return at.astimezone(UTC)
    except OverflowError:
        detail = "the parameters: no such time in UTC - at `changed_since`"
        raise NotAnswered(ProblemKind.INVALID_REQUEST, detail) from None


def _after(cursor: str | UnsetType, kind: str, key_type: type[T]) -> T | None:
    return None if isinstance(cursor, UnsetType) else key_of(cursor, kind, key_type)


def _supplier_id(session: Session, email: str | UnsetType) -> int | None:
    """Return the supplier's id; one that nobody has, if the address is not known."""
    if isinstance(email, UnsetType):
        return None
    found = connections.supplier_by_email(session, email)
    return found.id if found else -1

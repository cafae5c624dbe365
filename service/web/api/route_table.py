"""Every call of the API: its method and address, what it takes and gives, and what does it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msgspec import Struct

from service.queries.invoice_file import InvoiceFile
from service.web.api import resources
from service.web.api.problem_details import ProblemKind
from service.web.api.resources import Call
from service.web.api.schemas import (
    ConnectionList,
    ConnectionQueries,
    ConnectionResource,
    ConnectLinkOrder,
    EventList,
    EventQueries,
    FindingList,
    FindingQueries,
    InvoiceList,
    InvoiceQueries,
    MadeLink,
    NoQuery,
    ViewLinkOrder,
)

BASE = "/api/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCall:
    """One call. `id` names it in clients that are made from the OpenAPI document."""

    method: str
    path: str
    id: str
    summary: str
    work: Callable[[Call], Struct]
    answer: type[Struct]
    status: int = 200
    query: type[Struct] = NoQuery
    body: type[Struct] | None = None
    problems: Sequence[ProblemKind] = ()  # beside those of every call


CALLS: Sequence[ApiCall] = (
    ApiCall(
        method="POST",
        path="/connect-links",
        id="makeConnectLink",
        summary="Make a link with which a supplier connects QuickBooks, good for 7 days.",
        work=resources.make_connect_link,
        answer=MadeLink,
        status=201,
        body=ConnectLinkOrder,
    ),
    ApiCall(
        method="POST",
        path="/view-links",
        id="makeViewLink",
        summary="Make a link with which a supplier sees their invoices, good for 24 hours.",
        work=resources.make_view_link,
        answer=MadeLink,
        status=201,
        body=ViewLinkOrder,
    ),
    ApiCall(
        method="GET",
        path="/connections",
        id="listConnections",
        summary="List the connected companies, in the order of their ids.",
        work=resources.list_connections,
        answer=ConnectionList,
        query=ConnectionQueries,
    ),
    ApiCall(
        method="GET",
        path="/connections/{id}",
        id="showConnection",
        summary="Show one connection.",
        work=resources.show_connection,
        answer=ConnectionResource,
    ),
    ApiCall(
        method="GET",
        path="/invoices",
        id="listInvoices",
        summary="List invoices, in the order of their ids.",
        work=resources.list_invoices,
        answer=InvoiceList,
        query=InvoiceQueries,
    ),
    ApiCall(
        method="GET",
        path="/invoices/{id}",
        id="showInvoice",
        summary="Show everything that is known of one invoice.",
        work=resources.show_invoice,
        answer=InvoiceFile,
    ),
    ApiCall(
        method="GET",
        path="/findings",
        id="listFindings",
        summary="List findings, the newest first.",
        work=resources.list_findings,
        answer=FindingList,
        query=FindingQueries,
    ),
    ApiCall(
        method="GET",
        path="/events",
        id="listEvents",
        summary="Read what has happened in the last 30 days, the oldest first.",
        work=resources.list_events,
        answer=EventList,
        query=EventQueries,
        problems=(ProblemKind.CURSOR_GONE,),
    ),
)

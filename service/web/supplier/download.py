"""A supplier's invoices as a CSV file."""

import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import quote

from anyio import CapacityLimiter, to_thread
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from service.errors import OutOfTime
from service.kit.clock import now
from service.kit.spreadsheet import BYTE_ORDER_MARK, lines
from service.queries import invoices
from service.queries.invoices import Found, Wanted
from service.services import Services
from service.store import connections
from service.web.session import supplier_of
from service.web.state import AppState
from service.web.supplier.invoice_view import fields, row, to_fix
from service.web.supplier.list_query import ALL, ListQuery
from service.wording import plain

HEAD = (
    "Invoice no.",
    "Buyer",
    "Buyer e-mail",
    "PO title",
    "Amount",
    "Currency",
    "Balance due",
    "Invoice date",
    "Due",
    "Days to payout",
    "Status",
    "To fix",
    "Company",
)
_SECONDS = 10.0
# Of any number of files, so many parts at a time are made: they share it with all other pages.
_DOWNLOADS_AT_ONCE = 1
_OUT_OF_TIME = (
    "This file is not complete: the search took too long. Choose one company or search for less,"
    " and download it again."
)
_AT_FIRST, _AT_ONCE = 50, 1000  # so that the download begins soon
_ROWS = 100  # written at a time
_NOT_FOR_NAMES = re.compile(r"[^\w-]+")


def download(request: Request[AppState], threads: CapacityLimiter) -> Response:
    """Stream every matching invoice, in the order of the page."""
    services = request.state["services"]
    supplier = supplier_of(request)
    with services.database.read() as session:
        environment = services.settings.quickbooks_environment
        mine = connections.of_supplier(session, supplier.id, environment)
    names = {connection.id: connection.company_name for connection in mine}
    wanted = ListQuery.of(request.query_params, ALL).among(names).wanted(names, supplier.id)
    only = wanted.connection_ids[0] if len(wanted.connection_ids) == 1 else None
    whose = names[only] if only else supplier.name
    return StreamingResponse(
        _in_threads(_text(services, wanted, names), threads),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": _disposition(whose, now().date())},
    )


async def _in_threads(texts: Iterator[str], threads: CapacityLimiter) -> AsyncIterator[str]:
    """Give the texts, made in these threads."""
    make = partial(next_and_rest, texts)
    while (text := await to_thread.run_sync(make, limiter=threads)) is not None:
        yield text


def next_and_rest(texts: Iterator[str], rest: Callable[[float], None] = time.sleep) -> str | None:
    """Return the next text, if any, after a rest for as long as this thread computed for it.

    Meanwhile the interpreter is there for pages: beside a file that was made without a pause, they
    had half of it.
    """
    began = time.thread_time()
    text = next(texts, None)
    rest(time.thread_time() - began)
    return text


def _text(
    services: Services, wanted: Wanted, names: dict[str, str], seconds: float = _SECONDS
) -> Iterator[str]:
    yield BYTE_ORDER_MARK + lines([HEAD])
    currency, today, after = services.settings.infactor_currency, now().date(), None
    while True:
        at_once = _AT_ONCE if after else _AT_FIRST
        try:
            with services.database.read(seconds=seconds) as session:
                page = invoices.page(session, wanted, at_once, after=after, few=0)
        except OutOfTime:
            yield lines([[_OUT_OF_TIME]])
            return
        found = iter(page.found)
        while some := [*islice(found, _ROWS)]:
            yield lines([_cells(one, currency, today, names) for one in some])
        if not page.later:
            return
        after = page.found[-1][0].id


def _cells(found: Found, currency: str, today: date, names: dict[str, str]) -> Sequence[Any]:
    invoice, shown = found[0], fields(found)
    one = row(found, currency, today)
    fix = [warning["text"] for warning in to_fix(found)]
    return (
        *(one.number, one.buyer, shown["buyerEmail"], one.title),
        *(_amount(one.amount), one.currency, _amount(one.balance)),
        *(shown["invoiceDate"], shown["payableDate"], one.days or ""),
        *(one.status.words, " ".join(fix), names[invoice.connection_id]),
    )


def _amount(value: Any) -> Any:
    """Return an amount with its decimals; any other value unchanged."""
    try:
        return plain(value) if isinstance(value, Decimal | int) else value
    except InvalidOperation:
        return str(value)


def _disposition(whose: str, today: date) -> str:
    """Return the header that names the file after its company and day."""
    name = _NOT_FOR_NAMES.sub("-", whose).strip("-")[:60] or "QuickBooks"
    plain = _NOT_FOR_NAMES.sub("-", name.encode("ascii", "ignore").decode()).strip("-")
    end = f"{today.isoformat()}.csv"
    return (
        f'attachment; filename="invoices-{plain or "QuickBooks"}-{end}"; '
        f"filename*=UTF-8''invoices-{quote(name)}-{end}"
    )


def routes() -> list[Route]:
    """Return the route of the file; a long one leaves the common threads free."""
    threads = CapacityLimiter(_DOWNLOADS_AT_ONCE)

    async def endpoint(request: Request[AppState]) -> Response:
        return await run_in_threadpool(download, request, threads)

    return [Route("/quickbook/invoices.csv", endpoint)]

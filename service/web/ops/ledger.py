"""The operators' page of what each buyer owes, and its file."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from service.database.tables import Connection
from service.errors import OutOfTime
from service.kit.clock import now
from service.kit.spreadsheet import BYTE_ORDER_MARK, lines
from service.queries.ledger import AGES, LedgerEntry, columns, ledger, row
from service.services import Services
from service.web.ops.companies import chosen
from service.web.ops.flash import page
from service.web.ops.forms import asking, number, page_links
from service.web.state import AppState
from service.wording import money

PAGE = "/ops/ledger"
PAGE_SIZE = 50
_LAST_PAGE = 100_000
_PAGE_SECONDS = 5.0
_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Bar:
    """How old what is due is: parts of a bar (from, width) in the order of the ages, and words."""

    parts: Sequence[tuple[float, float]]
    words: str


def listing(request: Request[AppState]) -> Response:
    """Show a page of buyers, those that owe most first."""
    services, company = request.state["services"], chosen(request)
    turned = min(number(request.query_params.get("page")) or 1, _LAST_PAGE)
    found: Sequence[LedgerEntry] = []
    late = False
    try:
        with services.database.read(seconds=_PAGE_SECONDS) as session:
            offset = (turned - 1) * PAGE_SIZE
            found = _entries(services, session, company, offset=offset, limit=PAGE_SIZE + 1)
    except OutOfTime:
        late = True
    kept = {"company": company.id if company else ""}
    following = turned + 1 if len(found) > PAGE_SIZE else None
    return page(
        request,
        "ops/ledger.html",
        {
            "rows": [(one, bar(one)) for one in found[:PAGE_SIZE]],
            "ages": AGES,
            "late": late,
            "company": company,
            "file": asking(f"{PAGE}.csv", kept),
            "everyones": PAGE,
            **page_links(PAGE, kept, "page", request.query_params, following),
        },
    )


def download(request: Request[AppState]) -> Response:
    """Answer with the whole ledger as a CSV file, or 503 if that takes too long."""
    services, company = request.state["services"], chosen(request)
    try:
        with services.database.read(seconds=_PAGE_SECONDS) as session:
            found = _entries(services, session, company)
    except OutOfTime:
        return Response("That took too long. Choose one company.\n", 503, media_type="text/plain")
    return Response(
        BYTE_ORDER_MARK + lines([columns(), *(list(row(one).values()) for one in found)]),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="ledger-{now():%Y-%m-%d}.csv"'},
    )


def _entries(
    services: Services, session: Session, company: Connection | None, **which: Any
) -> Sequence[LedgerEntry]:
    settings = services.settings
    only = None if company is None else [company.id]
    return ledger(
        session,
        settings.quickbooks_environment,
        settings.infactor_currency,
        settings.today(now()),
        connection_ids=only,
        **which,
    )


def bar(entry: LedgerEntry) -> Bar | None:
    """Return the bar of what is due; None if nothing is."""
    if entry.open <= 0:
        return None
    widths = [float(amount / entry.open) * _WIDTH for amount in entry.ages]
    starts = [sum(widths[:n]) for n in range(len(widths))]
    told = [
        f"{name}: {money(amount, entry.currency)}"
        for name, amount in zip(AGES, entry.ages, strict=True)
        if amount
    ]
    parts = [
        (round(start, 2), round(width, 2)) for start, width in zip(starts, widths, strict=True)
    ]
    return Bar(parts, ", ".join(told))

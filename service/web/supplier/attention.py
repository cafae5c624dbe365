"""The page of what needs attention: to fix in QuickBooks, buyers to invite, and changes."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.database.tables import Supplier
from service.errors import OutOfTime
from service.infactor import warnings
from service.infactor.warnings import WarningCode
from service.kit.clock import now
from service.queries import invoices
from service.queries.invoices import Found, StatusFilter, StatusKind, Wanted
from service.store import connections
from service.web.session import supplier_of
from service.web.state import AppState
from service.web.supplier.invoice_view import (
    ListedInvoice,
    currency_of,
    fields,
    row,
    to_fix,
)
from service.web.supplier.list_query import ListQuery
from service.web.templating import render, unless_seen, version_of
from service.web.threads import in_dedicated_threads
from service.wording import day, several, written

PATH = "/quickbook/attention"
MOST_GROUPED = 500
"""So many invoices of each kind are read, the newest."""

_SECONDS = 2.0
FIXED_LATELY = timedelta(days=7)
_MOST_FIXED = 20
_MOST_CHANGED = 50
_MOST_NAMED = 5
_CODES = frozenset(WarningCode)


@dataclass(frozen=True, slots=True)
class InvoiceLink:
    """An invoice by the number under which its supplier knows it."""

    id: str
    number: str
    words: str
    """The number, or without one the date and the amount, which tell it from others."""


@dataclass(slots=True)
class Correction:
    """One thing to fix on some invoices of a customer; `value` is what QuickBooks has there.

    `id` stays the same while the page is open.
    """

    id: str
    title: str
    advice: str
    value: str
    invoices: list[InvoiceLink] = field(default_factory=list)


@dataclass(slots=True)
class CustomerGroup:
    """A customer in QuickBooks with something to fix."""

    connection_id: str
    name: str
    corrections: dict[tuple[str, str], Correction] = field(default_factory=dict)

    @property
    def invoices(self) -> int:
        return len({one.id for fix in self.corrections.values() for one in fix.invoices})


@dataclass(slots=True)
class UnregisteredBuyer:
    """A buyer who has not signed up to Infactor with this address."""

    buyer: str
    address: str
    invoices: list[InvoiceLink] = field(default_factory=list)

    def mail(self, supplier: str) -> str:
        """Return the address of an e-mail that asks the buyer to sign up."""
        numbers = [one.number for one in self.invoices if one.number]
        named = f" {', '.join(numbers[:_MOST_NAMED])}" if numbers else ""
        more = len(self.invoices) - min(len(numbers), _MOST_NAMED)
        others = f" and {several(more, 'other', 'others')}" if named and more else ""
        what = "invoice" if len(self.invoices) == 1 else "invoices"
        body = (
            f"Hello,\n\nwe send you our invoices through Infactor. Please sign up there with this"
            f" e-mail address, {self.address}. Then you can see and approve our"
            f" {what}{named}{others}.\n\nThank you\n{supplier}"
        )
        subject = quote(f"Please sign up to Infactor to see our {what}")
        lines = quote(body.replace("\n", "\r\n"))  # RFC 6068
        return f"mailto:{quote(self.address)}?subject={subject}&body={lines}"


@dataclass(frozen=True, slots=True)
class FixedInvoice:
    """An invoice of which something was fixed lately, in words; `left` is still to fix."""

    invoice: InvoiceLink
    connection_id: str
    buyer: str
    words: str
    left: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Attention:
    """All of the page. `cut` names the kinds of which there are more than were read."""

    customers: Sequence[CustomerGroup]
    invitations: Sequence[UnregisteredBuyer]
    changed: Sequence[ListedInvoice]
    fixed: Sequence[FixedInvoice]
    cut: frozenset[StatusKind]

    @property
    def version(self) -> str:
        """A hash of everything shown."""
        return version_of(self)

    @property
    def is_empty(self) -> bool:
        return not (self.customers or self.invitations or self.changed)


_NOTHING = Attention((), (), (), (), frozenset())


def show(request: Request[AppState]) -> Response:
    """Show what the supplier can do so that every invoice goes its way."""
    return render(request, "attention.html", _context(request, supplier_of(request)))


def live(request: Request[AppState]) -> Response:
    """Show the changing part of the page, or 204 if the browser has it already."""
    context = _context(request, supplier_of(request, keep_alive=False))
    return unless_seen(
        request, context["version"], lambda: render(request, "attention_live.html", context)
    )


def _context(request: Request[AppState], supplier: Supplier) -> dict[str, Any]:
    services = request.state["services"]
    settings = services.settings
    with services.database.read() as session:
        mine = connections.of_supplier(session, supplier.id, settings.quickbooks_environment)
    names = {one.id: one.company_name or "Your company" for one in mine}
    company = ListQuery.of(request.query_params).among(names).company
    ids = (company,) if company else tuple(names)
    found, out_of_time = _NOTHING, False
    try:
        with services.database.read(seconds=_SECONDS) as session:
            found = _found(session, ids, supplier.id, settings.infactor_currency)
    except OutOfTime:
        out_of_time = True
    return {
        "supplier": supplier,
        "found": found,
        "out_of_time": out_of_time,
        "version": found.version,
        "company": company,
        # Where there is one company, its name says nothing.
        "names": names if len(ids) > 1 else {},
        "chosen": names.get(company),
        "most_named": _MOST_NAMED,
        "most_grouped": MOST_GROUPED,
        "most_changed": _MOST_CHANGED,
    }


def _found(session: Session, ids: tuple[str, ...], supplier_id: int, currency: str) -> Attention:
    today = now().date()
    if not ids:
        return _NOTHING
    cut: set[StatusKind] = set()

    def newest(kind: StatusKind, most: int) -> Sequence[Found]:
        wanted = Wanted(connection_ids=ids, supplier_id=supplier_id, status=StatusFilter(kind))
        page = invoices.page(session, wanted, most)
        if page.later:
            cut.add(kind)
        return page.found

    customers = customers_of(newest("to correct", MOST_GROUPED), currency)
    invitations = invitations_of(newest("to invite", MOST_GROUPED), currency)
    changed = [row(one, currency, today, changed=True) for one in newest("changed", _MOST_CHANGED)]
    lately = now() - FIXED_LATELY
    fixed = invoices.fixed_since(session, ids, supplier_id, lately, _MOST_FIXED)
    return Attention(customers, invitations, changed, fixed_of(fixed, currency), frozenset(cut))


def customers_of(some: Iterable[Found], currency: str) -> list[CustomerGroup]:
    """Return what is to fix in QuickBooks by customer, whoever has most invoices first."""
    found: dict[tuple[str, str], CustomerGroup] = {}
    for one in some:
        invoice, shown = one[0], fields(one)
        name = shown["companyName"]
        key = (invoice.connection_id, invoice.customer_id or name)
        customer = found.setdefault(key, CustomerGroup(invoice.connection_id, name))
        for warning in to_fix(one):
            code = warning.get("code")
            if code in _CODES and code != WarningCode.BUYER_NOT_REGISTERED:
                _correction(customer, key, warning).invoices.append(_named(one, currency))
    return sorted(found.values(), key=lambda one: (-one.invoices, one.name.casefold()))


def _correction(
    customer: CustomerGroup, key: tuple[str, str], warning: Mapping[str, Any]
) -> Correction:
    code, value = WarningCode(warning["code"]), str(warning.get("value") or "")
    name = hashlib.sha256(repr((key, code.value, value)).encode()).hexdigest()[:12]
    made = Correction(f"fix-{name}", warnings.title(code), warning["text"], value)
    return customer.corrections.setdefault((code, value), made)


def invitations_of(some: Iterable[Found], currency: str) -> list[UnregisteredBuyer]:
    """Return the buyers to invite, those with most invoices first."""
    found: dict[str, UnregisteredBuyer] = {}
    for one in some:
        shown = fields(one)
        address = str(shown["buyerEmail"])
        invitation = found.setdefault(
            address.casefold(), UnregisteredBuyer(shown["companyName"], address)
        )
        invitation.invoices.append(_named(one, currency))
    return sorted(found.values(), key=lambda one: (-len(one.invoices), one.buyer.casefold()))


def fixed_of(some: Iterable[Found], currency: str) -> list[FixedInvoice]:
    """Return what was fixed lately; what is wrong again, or was held since, is left out."""
    found = []
    for one in some:
        invoice, shown = one[0], fields(one)
        words = fixed_words(one)
        if words and invoice.fixed_at and not invoice.hold:
            found.append(
                FixedInvoice(
                    _named(one, currency),
                    invoice.connection_id,
                    shown["companyName"],
                    words,
                    len(to_fix(one)),
                    invoice.fixed_at,
                )
            )
    return found


def fixed_words(found: Found) -> str:
    """Return what was fixed last of this invoice, in words; "" if nothing was."""
    invoice = found[0]
    left = {one.get("code") for one in (*invoice.warnings, *invoice.delivery_warnings)}
    codes = [one.get("code") for one in invoice.fixed or ()]
    gone = [WarningCode(code) for code in codes if code in _CODES and code not in left]
    return ", ".join(map(warnings.fixed, gone))


def _named(found: Found, currency: str) -> InvoiceLink:
    shown = fields(found)
    number = str(shown["invoiceNo"] or "")
    amount = written("invoiceAmount", shown["invoiceAmount"], currency_of(found, currency))
    nameless = f"No number ({day(shown['invoiceDate'])}, {amount})"
    return InvoiceLink(found[0].id, number, number or nameless)


def routes() -> list[Route]:
    threads = in_dedicated_threads()
    return [Route(PATH, threads(show)), Route(f"{PATH}/live", threads(live))]

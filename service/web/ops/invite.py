"""Inviting a supplier: a link with which they connect QuickBooks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlencode

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from service import links
from service.config.settings import Settings
from service.database.tables import Connection
from service.errors import InfactorAway, LinkError, NotASupplier, Refusal
from service.infactor.users import Users, verified_supplier
from service.kit.clock import now
from service.operations import actions
from service.services import Services
from service.store import connections
from service.web.ops.flash import page
from service.web.ops.forms import words
from service.web.ops.session import operator_of
from service.web.state import AppState

PAGE = "/ops/invite"

_REFUSED = {
    Refusal.UNKNOWN: "Infactor has no account with exactly this e-mail address. Upper and lower"
    " case count.",
    Refusal.NOT_A_SUPPLIER: "The account with this e-mail address in Infactor is not a supplier's.",
    Refusal.NOT_VERIFIED: "The account with this e-mail address in Infactor is not verified yet.",
}


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link to connect, for whom it is, and until when it works."""

    url: str
    email: str
    name: str
    address: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Typed:
    """What an operator has typed."""

    email: str = ""
    name: str = ""
    address: str = ""
    another_company: bool = False


class _Wrong(Exception):
    """What is wrong with what an operator has typed, by field."""

    def __init__(self, **by_field: str) -> None:
        super().__init__()
        self.by_field = by_field


def question(request: Request[AppState]) -> Response:
    """Ask whom to invite."""
    return _ask(request, Typed(), {})


def invite(request: Request[AppState], form: FormData) -> Response:
    """Show a link for this supplier, or ask again and say what is wrong; it is not stored."""
    email, name, address = (words(form, one, most + 1) for one, most in links.LONGEST.items())
    typed = Typed(email, name, address, another_company=form.get("another_company") == "yes")
    try:
        return _invited(request, typed)
    except _Wrong as e:
        return _ask(request, typed, e.by_field)


def _invited(request: Request[AppState], typed: Typed) -> Response:
    """Show a link for this supplier; raises _Wrong."""
    services = request.state["services"]
    if wrong := _wrong(typed):
        raise _Wrong(**wrong)
    name, address = _account(services, typed)
    with services.database.read() as session:
        known = connections.supplier_by_email(session, typed.email)
        environment = services.settings.quickbooks_environment
        theirs = connections.of_supplier(session, known.id, environment) if known else ()
    if known is not None:
        name, address = name or known.name, address or known.address
    try:
        made = link_for(
            services.settings, typed.email, name, address, another_company=typed.another_company
        )
    except LinkError:
        raise _Wrong(name="Name or address has characters that a link cannot carry.") from None
    actions.invite(
        services.database,
        None if known is None else known.id,
        operator_of(request).actor,
        another_company=typed.another_company,
    )
    return link_page(
        request,
        made,
        back=("/ops/connections", "Connections"),
        companies=theirs if not typed.another_company else (),
        subject="Connect QuickBooks to Infactor",
        body="Please connect your QuickBooks company to Infactor with this link.",
    )


def link_for(
    settings: Settings, email: str, name: str, address: str, *, another_company: bool = False
) -> Invitation:
    """Return a link to connect for this supplier; raises LinkError if a link cannot carry it."""
    at, secret = now(), settings.infactor_shared_secret.get_secret_value()
    token = links.issue(
        secret,
        "connect",
        email,
        now=at,
        name=name,
        address=address,
        another_company=another_company,
    )
    url = links.connect_url(settings.public_url, token)
    return Invitation(url, email, name, address, at + links.CONNECT_LIFE)


def link_page(
    request: Request[AppState],
    made: Invitation,
    *,
    back: tuple[str, str],
    companies: Sequence[Connection] = (),
    subject: str,
    body: str,
) -> Response:
    """Show a link, the one time; `back` is (address, name) of the page that one came from.

    `companies` are those that the supplier has and this link can only connect again.
    """
    fields = urlencode(
        {"subject": subject, "body": f"{body}\r\nIt is yours alone:\r\n\r\n{made.url}\r\n"},
        quote_via=quote,
        safe="",
    )
    context = {
        "made": made,
        "companies": companies,
        "back": back,
        "mail": f"mailto:{quote(made.email, safe='@')}?{fields}",
    }
    return page(request, "ops/link.html", context)


def _ask(request: Request[AppState], typed: Typed, wrong: Mapping[str, str]) -> Response:
    context = {
        "typed": typed,
        "wrong": wrong,
        "longest": links.LONGEST,
        "asks_infactor": request.state["services"].infactor is not None,
    }
    response = page(request, "ops/invite.html", context)
    if wrong:
        response.status_code = 422
    return response


def _wrong(typed: Typed) -> dict[str, str]:
    """Return what is wrong with the texts, by field."""
    found: dict[str, str] = {}
    if not typed.email:
        found["email"] = "Enter the supplier's e-mail address in Infactor."
    elif not links.is_address(typed.email):
        found["email"] = "This is not an e-mail address, such as supplier@example.com."
    for name in ("name", "address"):
        if len(getattr(typed, name)) > links.LONGEST[name]:
            found[name] = f"At most {links.LONGEST[name]} characters fit into a link."
    return found


def _account(services: Services, typed: Typed) -> tuple[str, str]:
    """Return the supplier's name and address: Infactor's own, where its database can be asked.

    Raises _Wrong if there is no such supplier.
    """
    if services.infactor is None:
        return typed.name, typed.address
    try:
        account = verified_supplier(Users(services.infactor).supplier(typed.email))
    except NotASupplier as e:
        raise _Wrong(email=_REFUSED[e.refusal]) from None
    except InfactorAway as e:
        why = f"Infactor's database could not be asked: {e}. Try again later."
        raise _Wrong(email=why) from None
    return account.name, account.address

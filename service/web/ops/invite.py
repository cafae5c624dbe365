"""Inviting a supplier: a link with which they connect QuickBooks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote, urlencode

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from service import links
from service.config.settings import Settings
from service.database.tables import Connection
from service.errors import InfactorAway, LinkError, NotASupplier, Refusal
from service.infactor import mapping
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
# A link holds no more.
LONGEST = {"email": 320, "name": 200, "address": 500}

_REFUSED = {
    Refusal.UNKNOWN: "Infactor has no account with exactly this e-mail address. Upper and lower"
    " case count.",
    Refusal.NOT_A_SUPPLIER: "The account with this e-mail address in Infactor is not a supplier's.",
    Refusal.NOT_VERIFIED: "The account with this e-mail address in Infactor is not verified yet.",
}


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link to connect, its id, for whom it is, and until when it works."""

    id: str
    url: str
    email: str
    name: str
    address: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Invited:
    """What an operator has typed, and what is wrong with it, by field."""

    email: str = ""
    name: str = ""
    address: str = ""
    another_company: bool = False
    wrong: dict[str, str] = field(default_factory=dict)


def question(request: Request[AppState]) -> Response:
    """Ask whom to invite."""
    return _ask(request, Invited())


def invite(request: Request[AppState], form: FormData) -> Response:
    """Show a link for this supplier, or ask again and say what is wrong; it is not stored."""
    services = request.state["services"]
    email, name, address = (words(form, one, most + 1) for one, most in LONGEST.items())
    typed = Invited(
        email=email,
        name=name,
        address=address,
        another_company=form.get("another_company") == "yes",
    )
    typed.wrong.update(_wrong(typed))
    if typed.wrong:
        return _ask(request, typed)
    name, address = _account(services, typed)
    with services.database.read() as session:
        known = connections.supplier_by_email(session, typed.email)
        environment = services.settings.quickbooks_environment
        theirs = connections.of_supplier(session, known.id, environment) if known else ()
    if known is not None:
        name, address = name or known.name, address or known.address
    if typed.wrong:
        return _ask(request, typed)
    try:
        made = link_for(
            services.settings, typed.email, name, address, another_company=typed.another_company
        )
    except LinkError:
        typed.wrong["name"] = "Name or address has characters that a link cannot carry."
        return _ask(request, typed)
    actions.invite(
        services.database,
        None if known is None else known.id,
        made.id,
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
    link_id = links.read(token, "connect", secret, at).id
    return Invitation(link_id, url, email, name, address, at + links.CONNECT_LIFE)


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


def _ask(request: Request[AppState], typed: Invited) -> Response:
    context = {
        "typed": typed,
        "longest": LONGEST,
        "asks_infactor": request.state["services"].infactor is not None,
    }
    response = page(request, "ops/invite.html", context)
    if typed.wrong:
        response.status_code = 422
    return response


def _wrong(typed: Invited) -> dict[str, str]:
    """Return what is wrong with the texts, by field."""
    found: dict[str, str] = {}
    if not typed.email:
        found["email"] = "Enter the supplier's e-mail address in Infactor."
    elif not typed.email.isascii() or mapping.addresses(typed.email) != (typed.email,):
        found["email"] = "This is not an e-mail address, such as supplier@example.com."
    for name in ("name", "address"):
        if len(getattr(typed, name)) > LONGEST[name]:
            found[name] = f"At most {LONGEST[name]} characters fit into a link."
    return found


def _account(services: Services, typed: Invited) -> tuple[str, str]:
    """Return the supplier's name and address: Infactor's own, where its database can be asked.

    Notes in `typed.wrong` why there is no such supplier.
    """
    if services.infactor is None:
        return typed.name, typed.address
    try:
        account = verified_supplier(Users(services.infactor).supplier(typed.email))
    except NotASupplier as e:
        typed.wrong["email"] = _REFUSED[e.refusal]
    except InfactorAway as e:
        typed.wrong["email"] = f"Infactor's database could not be asked: {e}. Try again later."
    else:
        return account.name, account.address
    return "", ""

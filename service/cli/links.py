"""`connect-url`, `supplier-url` and `log-out`: links for suppliers, and the end of sessions."""

from datetime import timedelta
from typing import Annotated

import typer

from service.cli.console import answer, answer_json, fail, hint, says_what_is_wrong
from service.cli.context import (
    Json,
    command_services,
    missing_file,
    name_one,
    named_supplier,
    operator,
    settings_and_logs,
)
from service.cli.exit_status import Exit
from service.config.settings import Settings
from service.errors import InfactorAway, LinkError, NotASupplier, Refusal, ServiceError
from service.infactor.users import Account, Users, verified_supplier
from service.links import CONNECT_LIFE, LONGEST, VIEW_LIFE, Purpose, is_address
from service.operations import actions
from service.services import infactor_database
from service.store import connections

_REFUSED = {
    Refusal.UNKNOWN: "has no account with exactly this e-mail address; upper and lower case count.",
    Refusal.NOT_A_SUPPLIER: "has another kind of account with this e-mail address, no supplier's.",
    Refusal.NOT_VERIFIED: "has not verified the account with this e-mail address yet.",
}

_EMAIL = typer.Argument(help="The supplier's e-mail address in Infactor.")


@says_what_is_wrong
def connect_url(
    email: Annotated[str | None, _EMAIL] = None,
    connection: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="In place of EMAIL: the supplier of this connection, to connect again.",
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="The supplier's name, as Infactor shows it.")] = "",
    address: Annotated[
        str,
        typer.Option(metavar="TEXT", help="The supplier's postal address, as Infactor shows it."),
    ] = "",
    another_company: Annotated[
        bool,
        typer.Option("--another-company", help="Allow a further QuickBooks company beside theirs."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Print a link for a supplier to connect QuickBooks."""
    from service import links

    name_one({"EMAIL": email, "--connection ID": connection})
    settings = settings_and_logs(quiet=True)
    whose = email if email is not None else _supplier_of(connection or "")
    _check(whose.strip(), name.strip(), address.strip())
    account = _account(settings, whose.strip())
    if account is not None:
        if name or address:
            hint("Infactor's own name and address of this supplier count, not --name or --address.")
        name, address = account.name, account.address
    token = _token(settings, "connect", whose, name, address, another_company=another_company)
    if not name:
        _hint_at_name(settings, whose)
    hint(f"Good for {CONNECT_LIFE.days} days, until a company is connected with it.")
    url = links.connect_url(settings.public_url, token)
    _tell(url, whose.strip(), CONNECT_LIFE, as_json=as_json)


@says_what_is_wrong
def supplier_url(email: Annotated[str, _EMAIL], as_json: Json = False) -> None:
    """Print a link to a supplier's own pages."""
    from service import links

    settings = settings_and_logs(quiet=True)
    _check(email.strip(), "", "")
    account = _account(settings, email.strip())
    whose = (account.name, account.address) if account else ("", "")
    token = _token(settings, "view", email, *whose)
    _hint_at_newcomer(settings, email)
    hours = int(VIEW_LIFE.total_seconds() // 3600)
    hint(f"Works for {hours} hours. Anyone who has it sees this supplier's invoices.")
    url = links.view_url(settings.public_url, token)
    _tell(url, email.strip(), VIEW_LIFE, as_json=as_json)


def _tell(url: str, supplier: str, life: timedelta, *, as_json: bool) -> None:
    """Print a link that was made just now."""
    from service.kit.clock import now

    if as_json:
        answer_json([{"url": url, "supplier": supplier, "expires_at": now() + life}])
    else:
        answer(url)


def _supplier_of(connection_id: str) -> str:
    """Return the e-mail address of the connection's supplier."""
    from service.cli.context import command_services

    with command_services() as services, services.database.read() as session:
        connection = connections.get(session, connection_id)
        owner = connections.supplier(session, connection.supplier_id) if connection else None
    if owner is None:
        raise fail("No connection has this id. `infactor-quickbooks connections` lists them.")
    return owner.email


def _token(
    settings: Settings,
    purpose: Purpose,
    email: str,
    name: str,
    address: str,
    *,
    another_company: bool = False,
) -> str:
    from service import links
    from service.kit.clock import now

    try:
        return links.issue(
            settings.infactor_shared_secret.get_secret_value(),
            purpose,
            email,
            now=now(),
            name=name,
            address=address,
            another_company=another_company,
        )
    except LinkError:
        raise fail(
            "--name, --address: line breaks and hidden characters cannot be shown."
        ) from None


def _account(settings: Settings, email: str) -> Account | None:
    """Return the supplier's account, None if no database of Infactor's is configured."""
    infactor = infactor_database(settings)
    if infactor is None:
        return None
    try:
        return verified_supplier(Users(infactor).supplier(email))
    except NotASupplier as e:
        raise fail(f"Infactor {_REFUSED[e.refusal]}") from None
    except InfactorAway as e:
        raise fail(
            f"No link is made: {e}. See what `infactor-quickbooks doctor` advises, then try again.",
            Exit.UNREACHABLE,
        ) from None
    finally:
        infactor.close()


def _check(email: str, name: str, address: str) -> None:
    """Exit if the texts do not fit into a link."""
    if not email:
        raise fail("EMAIL: is empty; give the supplier's e-mail address in Infactor.")
    if not is_address(email):
        raise fail("EMAIL: is not an e-mail address, such as supplier@example.com.")
    for field, text in (("name", name), ("address", address)):
        if len(text) > LONGEST[field]:
            raise fail(f"--{field}: has {len(text)} characters; a link holds {LONGEST[field]}.")


class _CannotTell(ServiceError):
    """The database cannot be asked for the supplier."""


def _hint_at_name(settings: Settings, email: str) -> None:
    try:
        known = _known_name(settings, email)
    except _CannotTell:
        hint("Without the database nobody can tell whether this supplier has a name: see --name.")
        return
    if not known:
        hint("Infactor shows suppliers by name, and this one has none yet: consider --name.")


def _hint_at_newcomer(settings: Settings, email: str) -> None:
    try:
        known = _known_name(settings, email)
    except _CannotTell:
        return
    if known is None:
        hint("This supplier has opened no link yet: the page will offer to connect QuickBooks.")


def _known_name(settings: Settings, email: str) -> str | None:
    """Return the supplier's recorded name, None if unknown; raises _CannotTell."""
    from sqlalchemy.exc import SQLAlchemyError

    from service.database import schema
    from service.database.engine import Database
    from service.errors import ConfigurationError

    if missing_file(settings):
        raise _CannotTell
    database = Database(settings.database_url.get_secret_value())
    try:
        schema.prepare(database)
        with database.read() as session:
            found = connections.supplier_by_email(session, email)
    except (SQLAlchemyError, ConfigurationError) as e:
        # A link needs no database: this only decides about a hint.
        raise _CannotTell from e
    else:
        return None if found is None else found.name
    finally:
        database.close()


@says_what_is_wrong
def log_out(email: Annotated[str, _EMAIL], as_json: Json = False) -> None:
    """Log a supplier out in every browser, as when a device is lost.

    Their companies stay connected. A link from `supplier-url` logs in again until it is 24 hours
    old.
    """
    with command_services() as services:
        with services.database.read() as session:
            supplier = named_supplier(session, email)
        ended = actions.log_out(services.database, supplier.id, operator())
    if as_json:
        answer_json([{"supplier": supplier.email, "sessions": ended}])
        return
    if not ended:
        answer("Was not logged in anywhere.")
        return
    answer(f"Logged out: {ended} {'session' if ended == 1 else 'sessions'}.")
    hint(f"To let them in again: infactor-quickbooks supplier-url {supplier.email}")

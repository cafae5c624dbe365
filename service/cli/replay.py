"""`replay`: have notices worked on once more."""

from collections.abc import Collection
from functools import partial
from typing import Annotated, Any

import typer

from service import orders
from service.bootstrap import Services
from service.cli.companies import operator
from service.cli.compose import command_services, nudge
from service.cli.console import answer, fail, hint, says_what_is_wrong
from service.cli.options import check_invoice, instant, meant
from service.store import connections
from service.store.tables import Connection

_LARGEST_ID = 2**63 - 1


@says_what_is_wrong
def replay(
    notice: Annotated[
        int | None,
        typer.Option(min=1, max=_LARGEST_ID, help="The notice with this id, as `notices` shows."),
    ] = None,
    invoice: Annotated[
        str | None,
        typer.Option(help="Those about the invoice with this QuickBooks Id, not its number."),
    ] = None,
    company: Annotated[
        str | None, typer.Option(help="Those of the company with this realm id.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Those received since: 2026-01-31, or with a time."),
    ] = None,
    until: Annotated[str | None, typer.Option(help="And before: the same forms.")] = None,
) -> None:
    """Put parked and done notices back, to be worked on again; harmless however often it is done.

    Several options together choose what fits all of them. Exit status: 1 when nothing does.
    """
    if all(option is None for option in (notice, invoice, company, since)):
        raise fail(
            "Name at least one of --notice ID, --invoice ID, --company REALM, --since WHEN.", 2
        )
    check_invoice(invoice)
    begin, end = instant("--since", since), instant("--until", until)
    if begin is not None and end is not None and end <= begin:
        raise fail("--until must be later than --since.", 2)
    with command_services() as services:
        known = _companies(services, company)
        count, whose = orders.replay(
            services.database,
            list(known),
            operator(),
            _given(notice=notice, invoice=invoice, since=begin, until=end),
            notice_ids=None if notice is None else [notice],
            invoice_id=invoice,
            since=begin,
            until=end,
        )
        if not count:
            raise fail(
                "Nothing to put back: no parked or done notice matches."
                " Pending ones are tried anyway; ignored ones can never be acted upon."
                + ("" if invoice is None else meant(services, list(known), invoice))
            )
        _send(services, [known[connection_id] for connection_id in sorted(whose)])
    answer(f"{count} {'notice' if count == 1 else 'notices'} put back.")


def _given(**options: Any) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _companies(services: Services, realm_id: str | None) -> dict[str, Connection]:
    """Return the companies of this environment, or the one with this realm id, by connection.

    A realm id that nobody has is a slip of the pen, not a company without notices.
    """
    with services.database.read() as session:
        everyone = connections.everyone(session, services.settings.quickbooks_environment)
    digest = None if realm_id is None else services.vault.digest(realm_id.strip())
    known = {c.id: c for c, _ in everyone if digest in (None, c.realm_digest)}
    if realm_id is not None and not known:
        raise fail("No company fits. `infactor-quickbooks connections` lists them.", 2)
    return known


def _send(services: Services, companies: Collection[Connection]) -> None:
    for connection in companies:
        if connection.state != "connected":
            hint(f"{connection.company_name}: not connected; its notices wait until it is again.")
            continue
        nudge(services, partial(services.jobs.sync, connection.id))

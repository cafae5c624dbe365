"""`notices`: every notification of QuickBooks, for people and for programs."""

from collections.abc import Collection, Iterator
from functools import partial
from itertools import islice
from typing import Annotated, Any

import typer

from service.cli.console import (
    answer,
    answer_json,
    fail,
    hint,
    moment,
    says_what_is_wrong,
    show_table,
)
from service.cli.context import (
    Json,
    check_invoice,
    command_services,
    instant,
    meant,
    nudge,
    operator,
)
from service.context import Services
from service.database.tables import Connection, Notice
from service.operations import actions
from service.queries import notices
from service.store import connections
from service.wording import what, why

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
        count, whose = actions.replay(
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


_PAGE = 500
_SHOWN = 100


@says_what_is_wrong
def show_notices(
    parked: Annotated[bool, typer.Option("--parked", help="Those that failed for good.")] = False,
    pending: Annotated[bool, typer.Option("--pending", help="Those still to be done.")] = False,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help=f"At most so many; default: {_SHOWN}, with --json all of them."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the notices that QuickBooks sent, the newest first, and what became of them."""
    chosen = [name for name, wanted in (("parked", parked), ("pending", pending)) if wanted]
    statuses = chosen or notices.STATUSES
    with command_services() as services:
        if as_json:
            found = islice(_notices(services, statuses), limit)
            answer_json(_notice(notice, company) for notice, company in found)
            return
        shown = limit or _SHOWN
        some = list(islice(_notices(services, statuses), shown + 1))
        _show(some[:shown])
        if len(some) > shown:
            hint(f"These are the newest {shown}. --limit shows more, --json all of them.")


def _show(found: list[tuple[Notice, str | None]]) -> None:
    show_table(
        "Notices",
        (
            *("Id", "Received", "Company", "What", "Status", "Why"),
            *("Attempts", "Next try", "Times", "intuit_tid"),
        ),
        (
            (
                notice.id,
                moment(notice.received_at),
                company,
                what(notice),
                notice.status,
                why(notice),
                notice.attempts,
                moment(notice.due_at) if notice.status == "pending" else "",
                notice.duplicates + 1,
                notice.intuit_tid,
            )
            for notice, company in found
        ),
    )


def _notices(services: Services, statuses: Collection[str]) -> Iterator[tuple[Notice, str | None]]:
    names: dict[str, str] = {}
    before: int | None = None
    while True:
        with services.database.read() as session:
            page = notices.newest(session, before, _PAGE, statuses)
            for connection_id in {n.connection_id for n in page if n.connection_id} - set(names):
                connection = connections.get(session, connection_id)
                names[connection_id] = connection.company_name if connection else ""
        yield from ((notice, names.get(notice.connection_id or "")) for notice in page)
        if len(page) < _PAGE:
            return
        before = page[-1].id


def _notice(notice: Notice, company: str | None) -> dict[str, Any]:
    return {
        "id": notice.id,
        "received_at": notice.received_at,
        "delivery": notice.delivery_id,
        "connection": notice.connection_id,
        "company": company,
        "format": notice.format,
        "event_id": notice.event_id,
        "entity": notice.entity,
        "operation": notice.operation,
        "entity_id": notice.entity_id,
        "changed_at": notice.changed_at,
        "status": notice.status,
        "reason": notice.reason,
        "attempts": notice.attempts,
        "due_at": notice.due_at,
        "duplicates": notice.duplicates,
        "error_class": notice.error_class,
        "error": notice.error_message,
        "intuit_tid": notice.intuit_tid,
        "handled_at": notice.handled_at,
    }

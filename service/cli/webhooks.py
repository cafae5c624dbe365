"""`webhooks` and `replay`: lists webhook events, and makes some of them pending again."""

from collections.abc import Collection
from functools import partial
from itertools import islice
from typing import Annotated, Any

import typer

from service.cli.console import (
    Limit,
    answer,
    answer_json,
    fail,
    hint,
    newest,
    says_what_is_wrong,
    show_list,
    utc_cell,
)
from service.cli.context import (
    Json,
    check_invoice,
    command_services,
    instant,
    meant,
    nudge,
    operator,
    realm_digest,
)
from service.database.tables import Connection, Notice
from service.domain import ConnectionState, NoticeStatus
from service.operations import actions
from service.queries import notices
from service.services import Services
from service.store import connections
from service.wording import what, why

_LARGEST_ID = 2**63 - 1
_COLUMNS = (
    *("Id", "Received", "Company", "What", "Status", "Why"),
    *("Attempts", "Next try", "Times", "intuit_tid"),
)


@says_what_is_wrong
def show_webhooks(
    failed: Annotated[bool, typer.Option("--failed", help="Those that have failed.")] = False,
    pending: Annotated[bool, typer.Option("--pending", help="Those still to be done.")] = False,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Show webhook events, the newest first, each with its result."""
    chosen = [
        name
        for name, wanted in ((NoticeStatus.FAILED, failed), (NoticeStatus.PENDING, pending))
        if wanted
    ]
    read = partial(notices.newest, statuses=chosen or tuple(NoticeStatus))
    with command_services() as services:
        found = newest(services, read)
        if as_json:
            answer_json(_row(notice, company) for notice, company in islice(found, limit))
        else:
            cells = (_cells(notice, company) for notice, company in found)
            show_list("Webhook events", _COLUMNS, cells, limit, "the newest ")


def _cells(notice: Notice, company: Connection | None) -> tuple[object, ...]:
    return (
        notice.id,
        utc_cell(notice.received_at),
        company and company.company_name,
        what(notice),
        notice.status,
        why(notice),
        notice.attempts,
        utc_cell(notice.due_at) if notice.status == NoticeStatus.PENDING else "",
        notice.duplicates + 1,
        notice.intuit_tid,
    )


def _row(notice: Notice, company: Connection | None) -> dict[str, Any]:
    return {
        "id": notice.id,
        "received_at": notice.received_at,
        "delivery": notice.webhook_id,
        "connection": notice.connection_id,
        "company": company and company.company_name,
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


@says_what_is_wrong
def replay(
    event: Annotated[
        int | None,
        typer.Option(min=1, max=_LARGEST_ID, help="The event with this id, as `webhooks` shows."),
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
    as_json: Json = False,
) -> None:
    """Retry webhook events that failed or are done; safe to repeat.

    A company whose calls pause after an error is called at once. Several options
    together choose what fits all of them. Exit status: 2 when nothing does.
    """
    if all(option is None for option in (event, invoice, company, since)):
        raise fail("Name at least one of --event ID, --invoice ID, --company REALM, --since WHEN.")
    check_invoice(invoice)
    begin, end = instant("--since", since), instant("--until", until)
    if begin is not None and end is not None and end <= begin:
        raise fail("--until must be later than --since.")
    with command_services() as services:
        known = _companies(services, company)
        count, whose = actions.replay(
            services.database,
            list(known),
            operator(),
            _given(event=event, invoice=invoice, since=begin, until=end),
            notice_ids=None if event is None else [event],
            invoice_id=invoice,
            since=begin,
            until=end,
        )
        if not count:
            raise fail(
                "Nothing to retry: no failed or done webhook event matches."
                " Pending ones are tried anyway; ignored ones can never be acted upon."
                + ("" if invoice is None else meant(services, list(known), invoice))
            )
        _send(services, [known[connection_id] for connection_id in sorted(whose)])
    if as_json:
        answer_json([{"events": count, "connections": sorted(whose)}])
    else:
        answer(f"{count} {'event' if count == 1 else 'events'} will be retried.")


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _companies(services: Services, realm_id: str | None) -> dict[str, Connection]:
    """Return {connection id: connection} of this environment, or of this realm id; exits if
    unknown.
    """
    with services.database.read() as session:
        everyone = connections.everyone(session, services.settings.quickbooks_environment)
    digest = realm_digest(services, realm_id)
    known = {c.id: c for c, _ in everyone if digest in (None, c.realm_digest)}
    if realm_id is not None and not known:
        raise fail("No company matches. `infactor-quickbooks connections` lists them.")
    return known


def _send(services: Services, companies: Collection[Connection]) -> None:
    for connection in companies:
        if connection.state != ConnectionState.CONNECTED:
            hint(f"{connection.company_name}: not connected; its events wait until it is again.")
            continue
        nudge(services, partial(services.jobs.sync, connection.id))

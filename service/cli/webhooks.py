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
    ByRealm,
    Json,
    an_id,
    check_invoice,
    chosen,
    command_services,
    find,
    instant,
    meant,
    nudge,
    operator,
)
from service.database.tables import Connection, Notice
from service.domain import ConnectionState, NoticeStatus
from service.operations import actions
from service.queries import notices
from service.services import Services
from service.wording import what, why

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
    asked = {NoticeStatus.FAILED: failed, NoticeStatus.PENDING: pending}
    statuses = [status for status, wanted in asked.items() if wanted] or tuple(NoticeStatus)
    read = partial(notices.newest, statuses=statuses)
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
        typer.Option(
            metavar="ID", parser=an_id, help="The event with this id, as `webhooks` has it."
        ),
    ] = None,
    invoice: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="Those about the invoice with this QuickBooks Id, not its number."
        ),
    ] = None,
    company: ByRealm = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN", help="Those received at this time or later, as 2026-01-31T08:00Z."
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Those received before this time.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Retry webhook events that failed or are done; safe to repeat.

    A company whose calls pause after an error is called at once. Several options
    together choose what fits all of them.
    """
    if all(option is None for option in (event, invoice, company, since)):
        raise fail("Name at least one of --event ID, --invoice ID, --company REALM, --since WHEN.")
    check_invoice(invoice)
    begin, end = instant("--since", since), instant("--until", until)
    if begin is not None and end is not None and end <= begin:
        raise fail("--until must be later than --since.")
    with command_services() as services:
        found = find(services) if company is None else chosen(services, realm_id=company)
        known = {one.id: one for one, _ in found}
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


def _send(services: Services, companies: Collection[Connection]) -> None:
    for connection in companies:
        if connection.state != ConnectionState.CONNECTED:
            hint(f"{connection.company_name}: not connected; its events wait until it is again.")
            continue
        nudge(services, partial(services.jobs.sync, connection.id))

"""`notices`: every notification of QuickBooks, for people and for programs."""

from collections.abc import Collection, Iterator
from itertools import islice
from typing import Annotated, Any

import typer

from service.bootstrap import Services
from service.cli.compose import command_services
from service.cli.console import answer_json, hint, moment, says_what_is_wrong, show_table
from service.cli.options import Json
from service.notice_words import what, why
from service.store import connections, notices
from service.store.tables import Notice

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

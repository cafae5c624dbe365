"""`feed`: shows what waits for EVENTS_URL; skips or retries what it refuses."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any

import typer

from service.cli.console import (
    Limit,
    answer,
    answer_json,
    fail,
    hint,
    says_what_is_wrong,
    show_list,
    utc_cell,
)
from service.cli.context import Json, command_services, name_of, operator
from service.cli.help import add_command, new_typer
from service.database.tables import Connection, FeedEvent
from service.operations import actions
from service.services import Services
from service.store import connections, event_feed
from service.store.event_feed import as_cloud_event

_PAGE = 500
_COLUMNS = ("Id", "Happened", "Company", "Type", "Subject", "Attempts", "Next try", "Refused with")

EventId = Annotated[str, typer.Argument(metavar="ID", help="The event's id, as `feed` shows it.")]

group = new_typer()


@group.callback(invoke_without_command=True)
@says_what_is_wrong
def show_events(
    context: typer.Context,
    refused: Annotated[
        bool, typer.Option("--refused", help="Only those that EVENTS_URL has refused.")
    ] = False,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Show the events that wait for EVENTS_URL, the oldest first.

    A refused one holds back the later ones of its company. `show` prints one, `retry` sends again,
    and `skip` lets the later ones pass.
    """
    if context.invoked_subcommand is not None:
        return
    with command_services() as services:
        if not services.settings.sends_events:
            hint("EVENTS_URL is not set, so no event is sent.")
        rows = (_row(event, company) for event, company in _unsent(services, refused=refused))
        if as_json:
            answer_json(islice(rows, limit))
        else:
            title = "Refused events" if refused else "Waiting events"
            show_list(title, _COLUMNS, map(_cells, rows), limit, "the oldest ")


def _unsent(services: Services, *, refused: bool) -> Iterator[tuple[FeedEvent, Connection | None]]:
    environment, after = services.settings.quickbooks_environment, None
    companies: dict[str, Connection | None] = {}
    while True:
        with services.database.read() as session:
            page = event_feed.unsent(
                session, environment, refused=refused, after=after, limit=_PAGE
            )
            for connection_id in {event.connection_id for event in page} - companies.keys():
                companies[connection_id] = connections.get(session, connection_id)
        yield from ((event, companies[event.connection_id]) for event in page)
        if len(page) < _PAGE:
            return
        after = (page[-1].at, page[-1].id)


def _row(event: FeedEvent, company: Connection | None) -> dict[str, Any]:
    return {
        "id": event.event_id,
        "at": event.at,
        "connection": event.connection_id,
        "company": company and name_of(company),
        "type": event.type,
        "subject": event.subject,
        "attempts": event.attempts,
        "due_at": event.due_at,
        "error": event.error,
    }


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    tried = utc_cell(row["due_at"]) if row["attempts"] else ""
    return (
        *(row["id"], utc_cell(row["at"]), row["company"] or row["connection"], row["type"]),
        *(row["subject"], row["attempts"], tried, row["error"]),
    )


@says_what_is_wrong
def show_event(event: EventId) -> None:
    """Print a waiting event as it is sent, and how often it was refused, as JSON."""
    with command_services() as services:
        environment = services.settings.quickbooks_environment
        with services.database.read() as session:
            found = event_feed.find_unsent(session, environment, event)
        if found is None:
            raise fail("No event with this id waits. `infactor-quickbooks feed` lists them.")
        sent = as_cloud_event(found, services.settings.public_url)
        tries = {"attempts": found.attempts, "due_at": found.due_at, "error": found.error}
        answer_json([{"event": sent, **tries}])


@says_what_is_wrong
def skip_event(
    event: EventId,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", help="Even if the last answer was no 4xx, so that it may yet be accepted."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Give up a refused event, so that its company's later ones are sent.

    EVENTS_URL never gets it. With INFACTOR_API=on it is readable at `/api/v1/events` until it is
    30 days old.

    Without --yes, one is skipped only if the last answer was a 4xx: a listener that is down accepts
    the event once it is up again.
    """
    with command_services() as services:
        environment = services.settings.quickbooks_environment
        with services.database.read() as session:
            found = event_feed.find_unsent(session, environment, event)
        if found is not None and found.attempts and not (yes or _is_rejected(found)):
            raise fail(
                f"EVENTS_URL {found.error}, so it may accept the event later. `--yes` skips it."
            )
        skipped = actions.skip_event(services.database, environment, event, operator())
    if skipped is None:
        raise fail("No refused event has this id. `infactor-quickbooks feed --refused` lists them.")
    if as_json:
        answer_json([{"event": event, "type": skipped.type, "attempts": skipped.attempts}])
        return
    answer(
        f"Skipped {skipped.type} of {skipped.subject} after {skipped.attempts}"
        f" {'attempt' if skipped.attempts == 1 else 'attempts'}. Later events of its company are"
        " sent within seconds."
    )


def _is_rejected(event: FeedEvent) -> bool:
    """Return whether the listener's last answer was that something is wrong with the event."""
    return re.fullmatch(r"answered 4\d\d", event.error or "") is not None


@says_what_is_wrong
def retry_events(
    event: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="Only the event with this id; else all refused ones."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Send refused events again now, without waiting for their next try."""
    with command_services() as services:
        environment = services.settings.quickbooks_environment
        count = actions.retry_events(services.database, environment, operator(), event)
    if not count:
        raise fail("Nothing to retry: no such event is refused.")
    if as_json:
        answer_json([{"events": count}])
        return
    answer(f"{count} {'event is' if count == 1 else 'events are'} sent again within seconds.")


_AN_EVENT = "5f0c2a91d3b84e7f9a6c1e2d4b8f7a03"

add_command(group, "show", show_event, [f"feed show {_AN_EVENT}"])
add_command(group, "retry", retry_events, ["feed retry", f"feed retry {_AN_EVENT}"])
add_command(group, "skip", skip_event, [f"feed skip {_AN_EVENT}"])

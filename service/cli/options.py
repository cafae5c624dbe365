"""What several commands take in the same words."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Annotated

import typer

from service.bootstrap import Services
from service.cli.console import fail
from service.store import invoices

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, on stdout.")]


def instant(option: str, text: str | None) -> datetime | None:
    """Return the instant that an option names; a date alone begins at midnight UTC."""
    if text is None:
        return None
    try:
        parsed = datetime.fromisoformat(text)
        aware = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed
        return aware.astimezone(UTC)
    except (ValueError, OverflowError):
        raise fail(f"{option} takes a date such as 2026-01-31, or 2026-01-31T08:00Z.", 2) from None


def check_invoice(text: str | None) -> None:
    """Refuse what cannot be the Id of an invoice in QuickBooks."""
    if text is not None and not (text.isascii() and text.isdigit()):
        raise fail("--invoice takes the Id of an invoice in QuickBooks, which is digits.", 2)


def meant(services: Services, connection_ids: Collection[str], text: str) -> str:
    """Return a sentence, with a blank before it, on whose number was given as an Id, if anyone's.

    Pages show the numbers of invoices, and nearly all of these are digits too.
    """
    with services.database.read() as session:
        ids = invoices.numbered(session, connection_ids, text)
    return f" Number {text} is Id {' or '.join(ids)}." if ids else ""

"""What several commands take in the same words."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from service.cli.console import fail

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

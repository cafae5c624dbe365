"""`simulator`: starts the QuickBooks simulator on this machine."""

import os
from pathlib import Path
from typing import Annotated

import typer
from dotenv import dotenv_values

from service.cli.console import ENV_FILE, fail, hint, says_what_is_wrong

_DEFAULT_PUBLIC_URL = "http://localhost:3000"


@says_what_is_wrong
def simulator(
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port to listen on, on 127.0.0.1 only.")
    ] = 8700,
    book: Annotated[
        Path | None, typer.Option(help="JSON file with companies; without one, made-up ones.")
    ] = None,
    webhook_url: Annotated[
        str | None, typer.Option(help="Where notifications go; default: PUBLIC_URL's webhook.")
    ] = None,
    redirect_uri: Annotated[
        str | None, typer.Option(help="The app's redirect URI; default: PUBLIC_URL's.")
    ] = None,
    disconnect_url: Annotated[
        str | None,
        typer.Option(help="Called when a user disconnects; default: PUBLIC_URL's."),
    ] = None,
    generate: Annotated[
        int | None,
        typer.Option(min=1, max=2_000_000, help="Also a company with so many invoices."),
    ] = None,
    client_id: Annotated[str | None, typer.Option(help="Default: QUICKBOOKS_CLIENT_ID.")] = None,
    client_secret: Annotated[
        str | None, typer.Option(help="Default: QUICKBOOKS_CLIENT_SECRET.")
    ] = None,
    verifier_token: Annotated[
        str | None,
        typer.Option(help="Default: the first of QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS."),
    ] = None,
) -> None:
    """Play QuickBooks: consent, tokens, accounting API, webhooks, and a page to edit invoices.

    Refuses to start unless QUICKBOOKS_ENVIRONMENT is `simulator`.
    """
    from service.simulator.books.book import Book, BookError
    from service.simulator.config import SimulatorConfig
    from service.simulator.server import run

    # As for the settings, an empty value counts as not set.
    sources = (dotenv_values(ENV_FILE), os.environ)
    given = {name: value for source in sources for name, value in source.items() if value}
    environment = given.get("QUICKBOOKS_ENVIRONMENT") or given.get("environment") or ""
    if environment.lower() != "simulator":
        raise fail(
            "QUICKBOOKS_ENVIRONMENT is not `simulator`: the simulator plays QuickBooks for that"
            " environment alone. Set QUICKBOOKS_ENVIRONMENT=simulator and start again.",
            2,
        )
    public_url = (given.get("PUBLIC_URL") or _DEFAULT_PUBLIC_URL).rstrip("/")
    verifier = verifier_token or given.get("QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS") or ""
    try:
        config = SimulatorConfig(
            client_id=_needed(client_id, given, "QUICKBOOKS_CLIENT_ID", "clientId"),
            client_secret=_needed(client_secret, given, "QUICKBOOKS_CLIENT_SECRET", "clientSecret"),
            verifier_token=_needed(
                verifier.split(",")[0].strip(), given, "QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS"
            ),
            redirect_uri=redirect_uri or f"{public_url}/quickbook/connect",
            webhook_url=webhook_url or f"{public_url}/quickbook/webhook",
            disconnect_url=disconnect_url or f"{public_url}/quickbook/disconnected",
            generate=generate or 0,
        )
        companies = Book.read(book) if book else None
    except (ValueError, BookError) as e:
        raise fail(str(e), 2) from None
    hint(f"QuickBooks simulator: http://127.0.0.1:{port}/  (Ctrl-C ends it)")
    run(config, book=companies, port=port)


def _needed(option: str | None, given: dict[str, str], *names: str) -> str:
    value = option or next((v for name in names if (v := given.get(name))), None)
    if not value:
        raise fail(f"{names[0]} is not set: set it, or name it as an option (see --help).", 2)
    return value

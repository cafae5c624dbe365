"""`infactor-quickbooks init`: a `.env` with secrets of its own."""

import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

from service.encryption_keys import new_key
from service.example_env import render

_WRITTEN = """\
Wrote {file}, readable by you alone.

Back up now, apart from the database and its backups:
  ENCRYPTION_KEYS   opens the stored authorisations
  SECRET_KEY        finds a company's row again by its QuickBooks id
Without them every supplier must reconnect.

Fill in next:
  QUICKBOOKS_CLIENT_ID, QUICKBOOKS_CLIENT_SECRET, QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS
                    from your app in Intuit's developer portal
  PUBLIC_URL        where Intuit and suppliers reach this service
Give INFACTOR_SHARED_SECRET to Infactor's server if that is to issue connect links.
Then start: infactor-quickbooks serve"""


def init(
    file: Annotated[Path, typer.Option(help="The file to write; never overwritten.")] = Path(
        ".env"
    ),
) -> None:
    """Write a .env with fresh secrets, and say which of them to back up."""
    text = render(
        {
            "QUICKBOOKS_CLIENT_ID": "",
            "QUICKBOOKS_CLIENT_SECRET": "",
            "SECRET_KEY": secrets.token_urlsafe(48),
            "INFACTOR_SHARED_SECRET": secrets.token_urlsafe(48),
            "ENCRYPTION_KEYS": new_key(),
            "POSTGRES_PASSWORD": secrets.token_hex(24),
        }
    )
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        typer.echo(
            f"{file} exists and stays as it is: overwriting its keys would cut off every supplier."
            " Move it away first, or name another with --file.",
            err=True,
        )
        raise typer.Exit(1) from None
    except OSError as e:
        typer.echo(f"{file}: cannot be written ({e.strerror})", err=True)
        raise typer.Exit(1) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as env:
        env.write(text)
    typer.echo(_WRITTEN.format(file=file), err=True)

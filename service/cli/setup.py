"""`init`, `ops-user` and `rekey`: fresh secrets, operators, and the change of a key."""

import os
import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

from service.cli.console import answer, answer_json, fail, hint, says_what_is_wrong
from service.cli.context import Json, operator, settings_and_logs
from service.cli.exit_status import Exit
from service.config.example import render
from service.config.parsers import is_name, new_key
from service.kit import passwords

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


@says_what_is_wrong
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
            "REDIS_PASSWORD": secrets.token_hex(24),
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
        raise typer.Exit(Exit.WRONG_USE) from None
    except OSError as e:
        typer.echo(f"{file}: cannot be written ({e.strerror})", err=True)
        raise typer.Exit(Exit.WRONG_USE) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as env:
        env.write(text)
    typer.echo(_WRITTEN.format(file=file), err=True)


@says_what_is_wrong
def ops_user(
    name: Annotated[str, typer.Argument(help="The operator's name: lower-case letters, digits.")],
) -> None:
    """Print an entry for OPS_USERS; asks twice for a password, or reads it from stdin.

    Nothing is stored: put the entry into `.env` and restart `serve`.
    """
    if not is_name(name):
        raise fail("NAME takes up to 32 lower-case letters, digits, dots and hyphens.")
    password = _password()
    if not passwords.LEAST <= len(password) <= passwords.MOST:
        raise fail(
            f"A password needs {passwords.LEAST} characters or more, {passwords.MOST} at most."
        )
    answer(f"{name}:{passwords.hashed(password)}")
    hint("Add it to OPS_USERS, after a comma where there is another, and restart `serve`.")


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password


@says_what_is_wrong
def rekey(as_json: Json = False) -> None:
    """Re-encrypt stored data with the first of ENCRYPTION_KEYS, and digest it with SECRET_KEY.

    Run it with serve and worker stopped, after either was changed; old encryption keys must still
    stand behind the new one, and may be removed afterwards.
    """
    from service.database.engine import Database
    from service.database.schema import prepare
    from service.kit.vault import Vault
    from service.operations.rekey import rekey as rekey_database

    settings = settings_and_logs(quiet=True)
    database = Database(settings.database_url.get_secret_value())
    try:
        prepare(database)
        vault = Vault(settings.key_ring, settings.secret_key.get_secret_value())
        done = rekey_database(database, vault, operator())
    finally:
        database.close()
    if as_json:
        answer_json([{"connections": done.connections, "notices": done.notices}])
    hint(
        f"Sealed anew: {done.connections} connections and {done.notices} events."
        " Encryption keys behind the first are no longer needed for this database."
    )

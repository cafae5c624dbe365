"""`ops-user`: make the entry of OPS_USERS with which an operator logs in."""

import sys
from typing import Annotated

import typer

from service import passwords
from service.cli.console import answer, fail, hint
from service.operators import is_name


def ops_user(
    name: Annotated[str, typer.Argument(help="The operator's name: lower-case letters, digits.")],
) -> None:
    """Print an entry for OPS_USERS, after asking twice for a password, or reading it from stdin.

    Nothing is stored: put the entry into `.env` and restart `serve`.
    """
    if not is_name(name):
        raise fail("NAME takes up to 32 lower-case letters, digits, dots and hyphens.", 2)
    password = _password()
    if not passwords.LEAST <= len(password) <= passwords.MOST:
        raise fail(
            f"A password needs {passwords.LEAST} characters or more, {passwords.MOST} at most.", 2
        )
    answer(f"{name}:{passwords.hashed(password)}")
    hint("Add it to OPS_USERS, after a comma where there is another, and restart `serve`.")


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password

"""Every command there is, and the examples that its help gives."""

import shlex
from collections.abc import Iterator
from typing import Any

from typer.core import TyperGroup

from service.cli.main import COMMANDS

WITHOUT_FACTS = {
    "demo": "runs until it is ended",
    "serve": "runs until it is ended",
    "worker": "runs until it is ended",
    "simulator": "runs until it is ended",
    "init": "writes a file",
    "migrate": "changes the database",
    "ops-user": "asks for a password, and its answer is a line for .env",
    "guide": "is a text",
}
NOT_RUN_HERE = {*WITHOUT_FACTS, "adopt", "alerts"} - {"init", "migrate", "guide"}


def leaves() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Give each command with its words, those of groups too."""
    for row in COMMANDS:
        command = row.load()
        yield (row.name,), command
        if isinstance(command, TyperGroup):
            yield from (((row.name, name), inner) for name, inner in command.commands.items())


def examples_of(command: Any) -> list[list[str]]:
    lines = (command.epilog or "").splitlines()
    assert all(line.startswith("$ infactor-quickbooks ") for line in lines)
    return [shlex.split(line)[2:] for line in lines]

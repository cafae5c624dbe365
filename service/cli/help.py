"""How commands explain themselves: plain text, headings in bold on a terminal, examples at the end.

Typer's own help draws boxes with Rich, which costs more CPU to import than all else that `--help`
does, and is nothing for a pipe.
"""

import os
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import typer
from typer.core import TyperCommand, TyperGroup

_HEADING = re.compile(r"^[A-Z][A-Za-z ]*:", re.MULTILINE)
_PROGRAM = "infactor-quickbooks"


def add_command(
    to: typer.Typer, name: str, function: Callable[..., Any], lines: Iterable[str] = ()
) -> None:
    """Make the function a command of this name, with these lines as examples of its help."""
    to.command(name, cls=PlainCommand, epilog=examples(*lines))(function)


def examples(*lines: str) -> str:
    """Return the epilog of a command's help: each line as it is typed, without the program."""
    return "\n".join(f"$ {_PROGRAM} {line}" for line in lines)


def new_typer(*, completes: bool = False, **attributes: Any) -> typer.Typer:
    """Return a Typer whose commands and groups explain themselves as this module says."""
    return typer.Typer(
        add_completion=completes,
        cls=attributes.pop("cls", PlainGroup),
        context_settings={
            "help_option_names": ["-h", "--help"],
            # A pipe gets no colours anyway.
            "color": False if os.environ.get("NO_COLOR") else None,
        },
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        **attributes,
    )


class _Plain:
    """Help with its headings in bold, and its examples as a section, each in a line.

    Without a metavar a value is shown by the last word of its name, as `--simulator-port PORT`.
    """

    epilog: str | None
    params: list[Any]

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        for param in self.params:
            param.metavar = param.metavar or param.name.rpartition("_")[2].upper()

    def get_help(self, ctx: Any) -> str:
        """Return Click's text with each heading in bold."""
        text: str = super().get_help(ctx)  # type: ignore[misc]
        return _HEADING.sub(lambda found: typer.style(found[0], bold=True), text)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples."""
        if self.epilog:
            with formatter.section("Examples"):
                formatter.write(textwrap.indent(self.epilog, "  ") + "\n")


class PlainCommand(_Plain, TyperCommand):
    """A command with plain help."""


class PlainGroup(_Plain, TyperGroup):
    """A group whose help lists its commands under headings, each with all of its summary."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each panel, with the first paragraph of each command's help."""
        widest = max(map(len, self.commands))
        for panel, rows in _by_panel(self.commands).items():
            with formatter.section(panel):
                formatter.write_dl([(f"{name:{widest}}", text) for name, text in rows])


def _by_panel(commands: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    panels: dict[str, list[tuple[str, str]]] = {}
    for name, command in commands.items():
        panel = cast(str | None, command.rich_help_panel) or "Commands"
        summary = (command.help or "").partition("\n\n")[0]
        panels.setdefault(panel, []).append((name, " ".join(summary.split())))
    return panels

"""`guide`: the pages of the guide, and what it says about one condition."""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from service.cli.console import answer, fail, says_what_is_wrong
from service.guide.chapters import PURPOSES, chapter, chapters, paragraph

_WIDEST = 100
_LONGEST_NAME = max(map(len, PURPOSES))


@says_what_is_wrong
def show_guide(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[PAGE]",
            help="A page, or a condition such as connection.dead.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Print a page of the guide, what it says about a condition, or the list of its pages.

    A pipe gets the Markdown as it is.
    """
    if name is None:
        _show_list()
        return
    found = chapter(name.lower().removesuffix(".md"))
    text = found.text if found else paragraph(name)
    if text is None:
        raise fail(
            f"The guide has no page {name!r}, and no condition of that name. Its pages:"
            f" {', '.join(one.name for one in chapters())}."
        )
    _show(text)


def _show_list() -> None:
    if not sys.stdout.isatty():
        for one in chapters():
            answer(f"{one.name:<{_LONGEST_NAME}}  {one.purpose}")
        return
    table = Table(title="Pages of the guide", title_justify="left", show_edge=False)
    table.add_column("page", no_wrap=True)
    table.add_column("what it is for")
    for one in chapters():
        table.add_row(one.name, one.purpose)
    _console().print(table)


def _show(text: str) -> None:
    if sys.stdout.isatty():
        _console().print(Markdown(text))
    else:
        for line in text.splitlines():
            answer(line)


def _console() -> Console:
    console = Console(highlight=False)
    console.width = min(console.width, _WIDEST)
    return console

"""`guide`: the pages of the guide, and what it says about one condition."""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown

from service.cli.console import answer, fail, says_what_is_wrong, show_table
from service.guide.chapters import chapter, chapters, paragraph

_WIDEST = 100


@says_what_is_wrong
def show_guide(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="PAGE",
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
    rows = ((one.name, one.purpose) for one in chapters())
    show_table("Pages of the guide", ("Page", "What it is for"), rows)


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

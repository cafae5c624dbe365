"""Which chapters the guide has, and what stands in each."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent

NAMES = (
    *("setup", "settings", "infactor", "suppliers", "sync", "rules", "evidence"),
    *("commands", "operating", "monitoring", "kept", "simulator"),
    *("architecture", "testing", "benchmarks", "words"),
)
"""The chapters, in the order in which somebody needs them. Each is a file of this folder."""

CONDITIONS = "operating"
"""The chapter with a paragraph for each condition."""

# A paragraph begins with the names of its conditions: "- **`one.thing`, `another.thing`**: …"
_ITEM = re.compile(r"^- \*\*(`.+?`)\*\*:.*(?:\n(?!- |\n).*)*", re.MULTILINE)
_NAME = re.compile(r"`([a-z_]+\.[a-z_]+)`")


@dataclass(frozen=True, slots=True)
class Chapter:
    """A page of the guide: its name, its title, what it is for, and its Markdown.

    `summary` is the text between the title and the next heading or list.
    """

    name: str
    title: str
    summary: str
    text: str


@cache
def chapters() -> tuple[Chapter, ...]:
    return tuple(_read(name) for name in NAMES)


def chapter(name: str) -> Chapter | None:
    return next((one for one in chapters() if one.name == name), None)


def _read(name: str) -> Chapter:
    text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    title, _, rest = text.partition("\n\n")
    summary = " ".join(rest.split("\n\n", 1)[0].split())
    return Chapter(name, title.removeprefix("# "), summary, text)


def paragraph(cause: str) -> str | None:
    """Return what the guide says about a condition, as Markdown; None if there is none of it."""
    return _paragraphs().get(cause)


@cache
def _paragraphs() -> Mapping[str, str]:
    text = (FOLDER / f"{CONDITIONS}.md").read_text(encoding="utf-8")
    return {
        name: found[0].removeprefix("- ")
        for found in _ITEM.finditer(text)
        for name in _NAME.findall(found[1])
    }

"""Which chapters the guide has, and what stands in each."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent

PURPOSES: Mapping[str, str] = {
    "setup": "Run it: one machine, production, a public address, Intuit's portal.",
    "settings": "Every setting, with its default.",
    "infactor": "Deliver into Infactor's own database; its own address; its old import.",
    "suppliers": "Connect suppliers, know what they see, and what happens when one leaves.",
    "sync": "What is synced, how to import the past, and how to prove that nothing is missing.",
    "rules": "Which invoices are offered, which are held back, and how to change that.",
    "evidence": "What each figure of the rules is made of, and where it can be wrong.",
    "commands": "Every command.",
    "api": "Let Infactor's own server make links, read invoices, and be told what happens.",
    "operating": "What is wrong, who gets the alert, and what to do: each condition, each fault.",
    "monitoring": "Probes, metrics, logs and traces.",
    "kept": "What is kept for how long, and how an auditor checks it offline.",
    "simulator": "A stand-in for QuickBooks, its misbehaviours, and how far to trust it.",
    "architecture": "How the code is made: packages, flow, what must always hold.",
    "testing": "Run the tests, the storm, and the checks of the structure.",
    "benchmarks": "What a piece of work costs, and what bounds it.",
    "words": "The words of this project.",
    "changelog": "What each version changed.",
}
"""What each chapter is for, in the order in which somebody needs them; each is a file here."""

CONDITIONS = "operating"
"""The chapter with a paragraph for each condition."""

# A paragraph begins with the names of its conditions: "- **`one.thing`, `another.thing`**: …"
_ITEM = re.compile(r"^- \*\*(`.+?`)\*\*:.*(?:\n(?!- |\n).*)*", re.MULTILINE)
_NAME = re.compile(r"`([a-z_]+\.[a-z_]+)`")


@dataclass(frozen=True, slots=True)
class Chapter:
    """A page of the guide: its name, its title, what it is for, and its Markdown."""

    name: str
    title: str
    purpose: str
    text: str


@cache
def chapters() -> tuple[Chapter, ...]:
    return tuple(_read(name) for name in PURPOSES)


def chapter(name: str) -> Chapter | None:
    return next((one for one in chapters() if one.name == name), None)


def _read(name: str) -> Chapter:
    text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    title = text.partition("\n")[0].removeprefix("# ")
    return Chapter(name, title, PURPOSES[name], text)


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

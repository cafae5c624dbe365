"""Every command line of the README and the guide can be typed as it stands there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.cli.main import COMMANDS
from service.guide.chapters import chapter, chapters

BY_NAME = {row.name: row for row in COMMANDS}
README = (Path(__file__).parents[2] / "README.md").read_text()
# The words of the project are no command lines.
READ = "\n".join((README, *(one.text for one in chapters())))


def command_lines() -> Iterator[tuple[str, str]]:
    """Give each command with the rest of its line."""
    for text in (*re.findall(r"`([^`\n]+)`", READ), *READ.splitlines()):
        yield from re.findall(r"\binfactor-quickbooks ([a-z][a-z-]+)([^`#|]*)", text)


@pytest.mark.parametrize(("name", "rest"), sorted(set(command_lines())))
def test_every_option_that_the_guide_names_exists(name: str, rest: str) -> None:
    command = BY_NAME[name].load()
    inner = getattr(command, "commands", {}).get(next(iter(rest.split()), ""))
    known = {option for parameter in (inner or command).params for option in parameter.opts}
    assert set(re.findall(r"--[a-z-]+", rest)) <= known


def test_every_subcommand_that_the_table_names_belongs_to_its_command() -> None:
    commands = chapter("commands")
    assert commands is not None
    loaded = {name: getattr(row.load(), "commands", {}) for name, row in BY_NAME.items()}
    orders = set().union(*loaded.values())
    spans = re.findall(r"`(?:infactor-quickbooks )?([a-z-]+) ([a-z-]+)\b[^`]*`", commands.text)
    found = {(name, order) for name, order in spans if order in orders}
    assert ("feed", "skip") in found
    assert [one for one in found if one[1] not in loaded.get(one[0], {})] == []


def test_the_guide_has_every_command_in_one_table() -> None:
    commands = chapter("commands")
    assert commands is not None
    named = set(re.findall(r"^\| `infactor-quickbooks ([a-z-]+)", commands.text, re.MULTILINE))
    assert named == BY_NAME.keys()


def test_the_guide_has_everything_that_operators_can_do_about_a_connection() -> None:
    orders = BY_NAME["connections"].load().commands  # type: ignore[union-attr]
    assert set(orders) == {
        *("pause", "resume", "retry", "disconnect", "release", "reset-watermarks")
    }
    for order in orders:
        assert f"connections {order} " in READ or f"`{order}` " in READ


def test_the_guide_has_every_option_of_replay() -> None:
    for option in ("--event", "--invoice", "--company", "--since", "--until"):
        assert f"`{option} " in READ or f"replay {option} " in READ


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150

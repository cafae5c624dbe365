"""Every command line of the README can be typed as it stands there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.cli.main import COMMANDS

BY_NAME = {row.name: row for row in COMMANDS}
ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
# What operators read; the README alone has to name every command.
READ = README + (ROOT / "service" / "guide" / "operating.md").read_text()


def command_lines() -> Iterator[tuple[str, str]]:
    """Give each command of the README with the rest of its line."""
    for text in (*re.findall(r"`([^`\n]+)`", READ), *READ.splitlines()):
        yield from re.findall(r"\binfactor-quickbooks ([a-z][a-z-]+)([^`#|]*)", text)


@pytest.mark.parametrize(("name", "rest"), sorted(set(command_lines())))
def test_every_option_that_the_readme_names_exists(name: str, rest: str) -> None:
    command = BY_NAME[name].load()
    inner = getattr(command, "commands", {}).get(next(iter(rest.split()), ""))
    known = {option for parameter in (inner or command).params for option in parameter.opts}
    assert set(re.findall(r"--[a-z-]+", rest)) <= known


def test_the_readme_names_every_command() -> None:
    named = {name for name, _ in command_lines()}
    assert BY_NAME.keys() - named == set()


def test_the_readme_names_everything_that_operators_can_do_about_a_connection() -> None:
    orders = BY_NAME["connections"].load().commands  # type: ignore[union-attr]
    assert set(orders) == {
        *("pause", "resume", "retry", "disconnect", "release", "reset-watermarks")
    }
    for order in orders:
        assert f"connections {order} " in READ or f"`{order}` " in READ


def test_the_readme_names_every_option_of_replay() -> None:
    for option in ("--notice", "--invoice", "--company", "--since", "--until"):
        assert f"`{option} " in README or f"replay {option} " in README


def test_the_readme_is_short_but_for_the_simulators_checklist() -> None:
    product, simulator = README.split("## Simulator\n")
    assert len(product.splitlines()) < 400
    assert len(simulator.splitlines()) < 100

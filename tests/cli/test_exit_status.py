"""What the exit status of a command says: the same for the same cause, whichever the command."""

import ast
import re
from pathlib import Path

import pytest
from typer.core import TyperGroup

import service.cli
from service.cli.exit_status import Exit
from service.guide.chapters import chapter
from tests.cli.examples import NOT_RUN_HERE, examples_of, leaves
from tests.cli.place import Place
from tests.servers import free_port

REALM = "9341455000000077"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.add_company(REALM, "Bright Bakery")
    return made


def test_the_guide_has_the_table() -> None:
    page = chapter("commands")
    assert page is not None
    assert re.findall(r"^\| (\d+) \| .+ \|$", page.text, re.M) == [str(int(one)) for one in Exit]


def numbers_of_its_own(code: str) -> list[int]:
    """Return each line that ends the program with something else than a member of `Exit`."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"typer.Exit", "SystemExit", "sys.exit", "exit"}
        and not all(
            ast.unparse(given).startswith("Exit.")
            for given in (*node.args, *(word.value for word in node.keywords))
        )
    ]


def test_no_command_ends_with_a_number_of_its_own() -> None:
    found = {
        path.name: lines
        for path in sorted(Path(service.cli.__file__).parent.rglob("*.py"))
        if (lines := numbers_of_its_own(path.read_text()))
    }
    # `fail` is given a member, which mypy checks.
    assert {name: len(lines) for name, lines in found.items()} == {"console.py": 1}


@pytest.mark.parametrize(
    "code", ["raise typer.Exit(4)", "raise typer.Exit(code=1)", "sys.exit(1)", "exit('why')"]
)
def test_a_number_of_its_own_is_found(code: str) -> None:
    assert numbers_of_its_own(code) == [1]


def naming(option: str, value: str) -> list[list[str]]:
    """Return a call of each command that has this option."""
    return [
        [*words, option, value]
        for words, command in leaves()
        if option in {name for param in command.params for name in param.opts}
        and words[0] not in NOT_RUN_HERE
    ]


@pytest.mark.parametrize(
    ("option", "value", "least"),
    [("--company", "1", 11), ("--supplier", "no@example.com", 9), ("--connection", "none", 8)],
)
def test_what_nobody_has_is_wrong_use_of_every_command(
    place: Place, option: str, value: str, least: int
) -> None:
    calls = naming(option, value)
    assert len(calls) >= least
    ended = {" ".join(call): place.run(*call).returncode for call in calls}
    assert {call: status for call, status in ended.items() if status != Exit.WRONG_USE} == {}


def test_a_database_that_does_not_answer_is_told_apart_by_every_command(tmp_path: Path) -> None:
    place = Place(tmp_path)
    nobody = {"DATABASE_URL": f"postgresql://u:p@127.0.0.1:{free_port()}/x?connect_timeout=1"}
    away = place.with_settings(nobody)
    without = {*NOT_RUN_HERE, "init", "guide", "connect-url", "supplier-url", "doctor"}
    ended = {
        " ".join(words): away.run(*examples_of(command)[0]).returncode
        for words, command in leaves()
        if words[0] not in without
        and not (isinstance(command, TyperGroup) and command.no_args_is_help)
    }
    assert len(ended) > 20
    assert {words: status for words, status in ended.items() if status != Exit.UNREACHABLE} == {}

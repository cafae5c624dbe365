"""`ops-user`: the entry with which an operator logs in."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli.main import app
from service.config.parsers import parse_operators
from service.kit import passwords


def run(*arguments: str, password: str) -> tuple[int, str, str]:
    ended = CliRunner().invoke(app, ["ops-user", *arguments], input=password)
    return ended.exit_code, ended.stdout, ended.stderr


def test_the_entry_opens_with_the_password_that_was_read() -> None:
    status, printed, hint = run("ada", password="correct horse battery\n")
    assert status == 0
    (operator,) = parse_operators(printed.strip())
    assert operator.name == "ada"
    assert passwords.fits("correct horse battery", operator.password_hash)
    assert "restart `serve`" in hint
    assert "correct horse" not in printed + hint


@pytest.mark.parametrize(
    ("name", "password", "problem"),
    [
        ("ada", "eleven char\n", "A password needs 12 characters or more, 256 at most."),
        ("ada", "x" * 257, "A password needs 12 characters or more, 256 at most."),
        ("ada", "", "A password needs 12 characters or more, 256 at most."),
        ("Ada", "correct horse battery\n", "NAME takes up to 32 lower-case letters, digits"),
        ("a,b", "correct horse battery\n", "NAME takes up to 32 lower-case letters, digits"),
    ],
)
def test_what_could_not_be_an_entry_is_refused(name: str, password: str, problem: str) -> None:
    status, printed, hint = run(name, password=password)
    assert (status, printed) == (2, "")
    assert problem in hint


def test_nothing_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("ada", password="correct horse battery")[0] == 0
    assert list(tmp_path.iterdir()) == []

"""`guide`: a page, a condition, or the list of pages."""

import pytest
from typer.testing import CliRunner

from service.cli.main import app
from service.guide.chapters import FOLDER, PURPOSES


def run(*arguments: str) -> tuple[int, str, str]:
    ended = CliRunner().invoke(app, ["guide", *arguments])
    return ended.exit_code, ended.stdout, ended.stderr


def test_a_pipe_gets_a_page_as_it_is() -> None:
    assert run("sync") == (0, (FOLDER / "sync.md").read_text(), "")
    assert run("sync.md")[0] == 0


def test_a_condition_has_its_paragraph() -> None:
    status, printed, _ = run("token.ending_soon")
    assert status == 0
    assert printed.startswith("**`token.ending`, `token.ending_soon`**: Intuit ends every")


def test_without_a_page_it_lists_them() -> None:
    status, printed, _ = run()
    assert status == 0
    assert [line.split()[0] for line in printed.splitlines()] == ["Page", *PURPOSES]
    assert "operating     What is wrong, who gets the alert," in printed


@pytest.mark.parametrize("name", ["nothing", "connection.nothing", "../README"])
def test_what_it_does_not_have_is_refused_with_what_it_has(name: str) -> None:
    status, printed, problem = run(name)
    assert (status, printed) == (2, "")
    assert f"no page '{name}', and no condition of that name. Its pages: setup," in problem

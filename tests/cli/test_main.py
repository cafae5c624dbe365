"""The command line as a whole: its help, and what a shell completes."""

import pytest
from typer.testing import CliRunner

from service.cli.main import app


@pytest.mark.parametrize(
    ("words", "completed"),
    [("infactor-quickbooks reco", ["reconcile"]), ("infactor-quickbooks sync --al", ["--all"])],
)
def test_a_shell_completes_commands_and_options_that_are_not_imported_yet(
    words: str, completed: list[str]
) -> None:
    variables = {
        "_INFACTOR_QUICKBOOKS_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    ended = CliRunner().invoke(app, [], env=variables, prog_name="infactor-quickbooks")
    assert ended.stdout.split() == completed


def test_minus_h_is_help() -> None:
    for arguments in (["-h"], ["sync", "-h"], ["connections", "pause", "-h"]):
        ended = CliRunner().invoke(app, arguments)
        assert (ended.exit_code, "Usage: " in ended.stdout) == (0, True)

"""The tool that takes guards out finds them, and calls nothing noticed that no test failed for."""

from pathlib import Path

import pytest

from tests.mutants import ACCEPTED, NoVerdict, mutants, noticed_by


def test_each_accepted_guard_is_there_once() -> None:
    found = [f"{mutant.path}: {mutant.text}" for mutant in mutants()]
    assert {guard: found.count(guard) for guard in ACCEPTED} == dict.fromkeys(ACCEPTED, 1)


def test_guards_of_every_where_are_found_but_not_a_key_alone(tmp_path: Path) -> None:
    source = tmp_path / "service" / "store"
    source.mkdir(parents=True)
    (source / "one.py").write_text(
        "update(A).where(A.id == 1)\n"
        "update(A).where(A.id == 2, A.free).values(free=False)\n"
        "update(A).where(A.id == 3).where(A.mine).values(mine=False)\n"
        "select(A).where(A.id == 4).where(A.read)\n"
    )
    found = [mutant.text for mutant in mutants(tmp_path, schema=None)]
    assert sorted(found) == ["A.free", "A.id == 2", "A.mine"]


def test_only_a_test_that_failed_has_noticed() -> None:
    assert noticed_by(0, "3 passed") is None
    assert noticed_by(1, "F\nFAILED tests/test_a.py::test_b - assert 1 == 2") == (
        "FAILED tests/test_a.py::test_b"
    )


@pytest.mark.parametrize(
    ("returncode", "output"),
    [
        (1, "E\nERROR tests/test_a.py::test_b - a fixture that failed"),
        (2, "ERROR tests/test_a.py\n1 error"),  # a file that cannot be imported
        (3, "INTERNALERROR"),
        (4, "ERROR: file or directory not found: tests/test_c.py"),
        (5, "no tests ran"),
    ],
)
def test_how_else_pytest_ends_says_nothing_of_a_guard(returncode: int, output: str) -> None:
    with pytest.raises(NoVerdict, match=f"pytest ended with {returncode}"):
        noticed_by(returncode, output)

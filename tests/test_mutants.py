"""The list of guards that no test holds names only guards that there are."""

from tests.mutants import ACCEPTED, mutants


def test_each_accepted_guard_is_there_once() -> None:
    found = [f"{mutant.path}: {mutant.text}" for mutant in mutants()]
    assert {guard: found.count(guard) for guard in ACCEPTED} == dict.fromkeys(ACCEPTED, 1)

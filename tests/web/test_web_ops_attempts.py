"""How often one may try to log in as an operator."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.web.conftest import Place, said
from tests.web.ops import BOB, try_to_log_in, two_operators


@pytest.fixture
def more_settings() -> dict[str, str]:
    return two_operators()


def test_five_failures_lock_a_name_even_for_the_right_password(place: Place) -> None:
    for _ in range(5):
        assert try_to_log_in(place.browser(), "ada", "wrong").status_code == 401
    locked = try_to_log_in(place.browser(), "ada")
    assert locked.status_code == 429
    assert 800 < int(locked.headers["retry-after"]) <= 900
    assert re.search(
        r"Too many log-ins have failed\. Try again after \d+ \w+ \d{4}, \d\d:\d\d",
        said(locked.text),
    )
    assert "set-cookie" not in locked.headers
    assert try_to_log_in(place.browser(), "bob", BOB).status_code == 303
    place.do("UPDATE login_attempts SET at = strftime('%Y-%m-%d %H:%M:%f000', at, '-15 minutes')")
    assert try_to_log_in(place.browser(), "ada").status_code == 303


def test_a_crowd_of_guesses_at_once_gets_no_more_of_them(place: Place) -> None:
    with ThreadPoolExecutor(12) as crowd:
        answers = crowd.map(lambda _: try_to_log_in(place.browser(), "ada", "wrong"), range(12))
    found = [answer.status_code for answer in answers]
    assert set(found) <= {401, 429}
    assert found.count(401) <= 5


def test_trying_while_locked_does_not_lock_for_longer(place: Place) -> None:
    for _ in range(5):
        try_to_log_in(place.browser(), "ada", "wrong")
    before = place.rows("login_attempts")
    assert try_to_log_in(place.browser(), "ada").status_code == 429
    assert place.rows("login_attempts") == before == 10


def test_a_right_password_forgives_the_failures_before(place: Place) -> None:
    for _ in range(3):
        for _ in range(4):
            assert try_to_log_in(place.browser(), "ada", "wrong").status_code == 401
        assert try_to_log_in(place.browser(), "ada").status_code == 303


def test_one_place_may_not_try_every_name(place: Place) -> None:
    for number in range(20):
        assert try_to_log_in(place.browser(), f"name{number}", "wrong").status_code == 401
    assert try_to_log_in(place.browser(), "ada").status_code == 429

"""How our cookies are read, and to whom they belong on https."""

import pytest

from service.web.cookies import value
from tests.web.conftest import Place

QUOTED = 'a="' + "\\\\" * 1000 + '"'


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", ""),
        ("ours", ""),
        ("ours=1", "1"),
        ("theirs=1; ours=2", "2"),
        ("theirs=1;ours=2 ", "2"),
        ("notours=1; ours2=2", ""),
        ("ours=long; ours=short", "long"),
        ("ours=a=b", "a=b"),
        ('ours="1"', '"1"'),
        (f"{QUOTED}; ours={QUOTED}", QUOTED),
    ],
)
def test_a_cookie_is_read_as_it_stands(header: str, found: str) -> None:
    assert value(header, "ours") == found


def test_only_as_we_gave_it_a_cookie_opens_its_session(place: Place) -> None:
    cookie = place.log_in().cookies["infactor_quickbooks"]
    quoted = "".join(f"\\{ord(letter):03o}" for letter in cookie)
    for header, status in (
        (f"infactor_quickbooks={cookie}", 200),
        (f"{QUOTED}; infactor_quickbooks={cookie}", 200),
        (f'infactor_quickbooks="{cookie}"', 401),
        (f'infactor_quickbooks="{quoted}"', 401),
        (f"infactor_quickbooks={'a' * 43}; infactor_quickbooks={cookie}", 401),
    ):
        assert place.browser(cookie=header).get("/quickbook/").status_code == status, header


class TestOnHttps:
    @pytest.fixture
    def more_settings(self) -> dict[str, str]:
        return {"PUBLIC_URL": "https://localhost:8443"}

    def test_a_suppliers_session_is_bound_to_the_host(self, place: Place) -> None:
        """Or a neighbour's cookie could make somebody's consent the neighbour's connection."""
        answer = place.browser().post(f"/quickbook/view?token={place.token(purpose='view')}")
        assert answer.status_code == 303
        given = answer.headers["set-cookie"]
        assert given.startswith("__Host-infactor_quickbooks=")
        assert given.endswith("; HttpOnly; Path=/; SameSite=lax; Secure")
        ours = given.partition(";")[0]
        assert place.browser(cookie=ours).get("/quickbook/").status_code == 200
        planted = ours.removeprefix("__Host-")
        assert place.browser(cookie=planted).get("/quickbook/").status_code == 401

    def test_logging_out_takes_the_cookie_that_was_given(self, place: Place) -> None:
        browser = place.browser()
        browser.base_url = "https://localhost:8443"
        browser.post(f"/quickbook/view?token={place.token(purpose='view')}")
        assert list(browser.cookies) == ["__Host-infactor_quickbooks"]
        assert browser.post("/quickbook/logout").status_code == 303
        assert list(browser.cookies) == []

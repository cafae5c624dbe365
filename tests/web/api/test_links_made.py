"""Links that Infactor's own server has made for its suppliers."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from service.kit.clock import now
from tests.web.api.conftest import Api
from tests.web.conftest import Place, said

SUPPLIER = {"email": "supplier@example.com", "name": "Example Supplies"}


def path_of(place: Place, url: str) -> str:
    assert url.startswith(place.services.settings.public_url)
    return url.removeprefix(place.services.settings.public_url)


def test_a_connect_link_opens_the_page_in_the_supplier_s_name(api: Api) -> None:
    answer = api.post("/connect-links", SUPPLIER)
    assert answer.status_code == 201
    made = answer.json()
    left = datetime.fromisoformat(made["expires_at"]) - now()
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)
    page = api.place.browser().get(path_of(api.place, made["url"]))
    assert page.status_code == 200
    assert "Example Supplies" in said(page.text)


def test_a_link_for_another_company_connects_a_second_one(api: Api, company: str) -> None:
    place = api.place
    for allowed, connected in ((False, 1), (True, 2)):
        made = api.post("/connect-links", {**SUPPLIER, "another_company": allowed}).json()
        token = made["url"].partition("token=")[2]
        place.connect(place.browser(), token, "9341455000000002")
        assert len(place.connections()) == connected


def test_a_view_link_shows_the_supplier_s_invoices(api: Api, company: str) -> None:
    answer = api.post("/view-links", {"email": "supplier@example.com"})
    made = answer.json()
    left = datetime.fromisoformat(made["expires_at"]) - now()
    assert timedelta(hours=23) < left <= timedelta(hours=24)
    browser = api.place.browser()
    opened = browser.post(path_of(api.place, made["url"]))
    assert opened.headers["location"] == "/quickbook/"
    assert "Buyer Seven" in browser.get("/quickbook/").text


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({}, 400, "the body: missing required field `email`"),
        ({"email": "nobody"}, 400, "this link names no valid e-mail address"),
        ({"email": 5}, 400, "the body: expected `str`, got `int` - at `email`"),
        (
            {**SUPPLIER, "name": "a\nb"},
            400,
            "this link contains characters that cannot be shown",
        ),
        (
            {
                "email": f"{'a' * 60}@{'b' * 60}.com",
                "name": "\U00020000" * 200,
                "address": "\U00020000" * 500,
            },
            400,
            "name and address together are too long for a link",
        ),
        ({**SUPPLIER, "realm": "1"}, 400, "the body: contains unknown field `realm`"),
        ([], 400, "the body: expected `object`, got `array`"),
        ({"email": "a" * 17_000}, 413, "it has more than 16384 bytes"),
    ],
)
def test_a_body_that_makes_no_sense_is_explained(
    api: Api, body: Any, status: int, detail: str
) -> None:
    answer = api.post("/connect-links", body)
    assert (answer.status_code, answer.json()["detail"]) == (status, detail)


def test_what_is_no_json_is_refused(api: Api) -> None:
    json = {"content-type": "application/json; charset=utf-8"}
    for headers, status in ((json, 400), ({"content-type": "text/plain"}, 415), ({}, 415)):
        answer = api.call("POST", "/view-links", content=b"{no", headers=headers)
        assert answer.status_code == status

"""Who gets into the API, and what everybody else is told."""

from typing import Any

import psycopg
import pytest
from openapi_spec_validator import validate

from service import links
from tests.web.api.conftest import Api, claims, signed
from tests.web.conftest import SECRET, Place


def refused(api: Api, token: str) -> tuple[int, str, str]:
    """Return (status, name of the problem, detail) of a call with this token."""
    api.token = token
    answer = api.get("/connections")
    assert answer.headers["www-authenticate"] == 'Bearer realm="infactor-quickbooks"'
    problem = answer.json()
    assert problem["status"] == answer.status_code
    return answer.status_code, problem["type"].removeprefix("/api/v1/docs#"), problem["detail"]


@pytest.mark.parametrize(
    ("changes", "name", "detail"),
    [
        ({"exp": 1}, "token-expired", "this token has expired"),
        ({"exp": 2**40}, "token-refused", "this token is good for more than 60 minutes"),
        ({"iss": "other"}, "token-refused", "this token is meant for another service"),
        ({"aud": "other"}, "token-refused", "this token is meant for another service"),
        ({"purpose": "connect"}, "token-refused", "this token is not made to open the API"),
        ({"nbf": 2**40}, "token-refused", "this token is not good yet"),
    ],
)
def test_a_token_for_anything_else_opens_nothing(
    api: Api, changes: dict[str, Any], name: str, detail: str
) -> None:
    assert refused(api, signed(claims(**changes))) == (401, name, detail)


def test_a_token_that_says_no_end_or_no_purpose_is_incomplete(api: Api) -> None:
    for name in ("exp", "purpose"):
        left = {key: value for key, value in claims().items() if key != name}
        status, problem, detail = refused(api, signed(left))
        assert (status, problem) == (401, "token-refused")
        assert detail == (
            f"this token is incomplete or malformed: Object missing required field `{name}`"
        )


@pytest.mark.parametrize("alg", ["none", "HS512"])
def test_only_one_algorithm_counts(api: Api, alg: str) -> None:
    assert refused(api, signed(claims(), alg=alg))[1] == "token-refused"


def test_another_secret_s_token_opens_nothing(api: Api) -> None:
    assert refused(api, signed(claims(), secret="x" * 40)) == (
        *(401, "token-refused"),
        "this token was not made by Infactor, or was cut short",
    )


@pytest.mark.parametrize("purpose", ["connect", "view"])
def test_a_link_s_token_never_opens_the_api(api: Api, purpose: links.Purpose) -> None:
    token = api.place.token(purpose=purpose)
    assert refused(api, token)[1:] == ("token-refused", "this token is not made to open the API")


def test_a_token_of_the_api_never_opens_a_supplier_s_page(place: Place) -> None:
    link = {"sub": "supplier@example.com", "jti": "one", "name": "Example"}
    token = signed(claims(**link))
    assert (
        "Connect"
        in place.browser()
        .get(f"/quickbook/authorise?token={signed(claims(**link, purpose='connect'))}")
        .text
    )
    for path in ("authorise", "view"):
        answer = place.browser().get(f"/quickbook/{path}?token={token}")
        assert answer.status_code == 302
        assert answer.headers["location"].startswith("/quickbook/problem/link-invalid/")


def test_without_a_token_a_browser_s_cookies_count_for_nothing(api: Api) -> None:
    answer = api.place.log_in().get("/api/v1/connections")
    api.check("GET", "/api/v1/connections", answer)
    assert answer.status_code == 401
    assert answer.json()["type"] == "/api/v1/docs#token-missing"
    assert "set-cookie" not in answer.headers
    assert "access-control-allow-origin" not in answer.headers


def test_no_token_is_logged(api: Api, logged: list[Any]) -> None:
    token = signed(claims())
    api.token = token
    api.get("/invoices", supplier="supplier@example.com")
    api.token = bad = signed(claims(exp=1))
    api.get("/invoices")
    assert logged
    for secret in (token, bad, SECRET, "supplier@example.com"):
        assert secret not in repr(logged)


def test_what_is_not_there_and_what_is_not_offered_is_a_problem(api: Api) -> None:
    for path in ("/nothing", "/invoices/qbk-1/lines"):
        answer = api.get(path)
        assert (answer.status_code, answer.json()["type"]) == (404, "/api/v1/docs#not-found")
    answer = api.call("DELETE", "/invoices")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert answer.json()["detail"] == "DELETE is not one of GET, HEAD"


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"limit": "201"}, "the parameters: expected `int` <= 200 - at `limit`"),
        ({"limit": "many"}, "the parameters: expected `int`, got `str` - at `limit`"),
        ({"offset": "5"}, "the parameters: contains unknown field `offset`"),
        ({"held": "perhaps"}, "the parameters: expected `bool`, got `str` - at `held`"),
        ({"state": "paid"}, "the parameters: invalid enum value 'paid' - at `state`"),
        (
            {"changed_since": "2026-11-30T10:00:00"},
            "the parameters: expected `datetime` with a timezone component - at `changed_since`",
        ),
        (
            {"changed_since": "0001-01-01T00:00:00+10:00"},
            "the parameters: no such time in UTC - at `changed_since`",
        ),
        ({"supplier": "a\0b"}, "`supplier` contains a zero byte"),
        ({"limit": ["1", "2"]}, "`limit` is given twice"),
        (
            {"after": "nonsense"},
            "`after` is no cursor of this list: send `next` of an earlier page of invoices",
        ),
        (
            {"after": "WyJmaW5kaW5ncyIsMV0"},  # ["findings",1]
            "`after` is no cursor of this list: send `next` of an earlier page of invoices",
        ),
    ],
)
def test_parameters_that_make_no_sense_are_named(
    api: Api, query: dict[str, Any], detail: str
) -> None:
    answer = api.get("/invoices", **query)
    assert (answer.status_code, answer.json()["detail"]) == (400, detail)


def test_the_document_is_valid_and_the_docs_page_shows_every_call(api: Api) -> None:
    validate(api.document)
    page = api.place.browser().get("/api/v1/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for path, operations in api.document["paths"].items():
        for method in operations:
            assert f"{method.upper()} {path}" in page.text
    assert "https://" not in page.text
    assert "http://" not in page.text


@pytest.mark.postgresql("a table can be locked, so that a search takes as long as a test likes")
def test_a_search_that_takes_too_long_says_how_to_ask_for_less(place: Place) -> None:
    url = place.services.database.engine.url.render_as_string(hide_password=False)
    with psycopg.connect(url.replace("+psycopg", "")) as other:
        other.execute("LOCK TABLE findings IN ACCESS EXCLUSIVE MODE")
        answer = Api(place).get("/findings")
        other.rollback()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json() == {
        "type": "/api/v1/docs#too-slow",
        "title": "The answer took too long",
        "status": 503,
        "detail": "the database took too long",
        "advice": "Ask for less: a connection, a supplier, or a smaller `limit`.",
    }


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
def test_the_description_can_only_be_read(api: Api, path: str) -> None:
    answer = api.post(path, {})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert answer.json()["type"] == "/api/v1/docs#method-not-allowed"

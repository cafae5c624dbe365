"""Every address of the suppliers' pages, as nobody, and as another supplier.

By the table of routes, so that no new one can be forgotten.
"""

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from service.app import routes
from service.config.loading import settings_from
from tests.web.conftest import OTHER, Place, settings_of

# Whoever has no session may open these; what they show is in the tests of each.
OPEN = {
    "/quickbook": 303,
    "/quickbook/arrived": 204,
    "/quickbook/authorise": 302,
    "/quickbook/connect": 302,
    "/quickbook/disconnected": 200,
    "/quickbook/goodbye": 200,
    "/quickbook/launch": 303,
    "/quickbook/logout": 303,
    "/quickbook/problem/{kind}/{reference}": 404,
    "/quickbook/problem/{kind}/{reference}/button": 404,
    "/quickbook/reconnect": 303,
    "/quickbook/setupQuickbook": 200,
    "/quickbook/view": 302,
    "/quickbook/welcome": 200,
}
OF_CONNECTIONS = ("/quickbook/connected/", "/quickbook/connections/")
OF_INVOICES = ("/quickbook/invoices/",)
NEITHER = "a" * 30


def addresses() -> list[tuple[str, str]]:
    """Return each method and path of the suppliers' pages, static files apart."""
    settings = settings_from(settings_of("http://127.0.0.1:1", "sqlite:///unused.db"))
    found = [
        (method, route.path)
        for route in routes(settings)
        if isinstance(route, Route) and route.path.startswith("/quickbook")
        for method in sorted(set(route.methods or ()) - {"HEAD"})
    ]
    assert ("GET", "/quickbook/") in found
    assert ("POST", "/quickbook/connections/{id}/disconnect") in found
    return found


def filled(path: str, id_: str) -> str:
    """Return the path with this id in it, and something in any other place."""
    return path.replace("{id}", id_).replace("{kind}", "x").replace("{reference}", "y")


@pytest.mark.parametrize(("method", "path"), addresses())
def test_nobody_sees_or_does_anything(place: Place, method: str, path: str) -> None:
    wanted = OPEN.get(path, 401)
    answer = place.browser().request(method, filled(path, NEITHER))
    assert answer.status_code == wanted
    assert answer.headers["cache-control"] == "no-store"
    if wanted in (302, 303):
        assert "?" not in answer.headers["location"]


@pytest.fixture
def theirs(place: Place) -> dict[str, str]:
    """The ids of a connection and an invoice of another supplier, by how their paths begin."""
    other = place.browser()
    place.connect(other, place.token("other@example.com"), OTHER)
    [connection] = place.connections()
    place.imported(connection.id)
    invoice = place.invoice_id("2")
    for path in (f"/quickbook/invoices/{invoice}", f"/quickbook/connections/{connection.id}"):
        assert other.get(path).status_code == 200
    return {
        **dict.fromkeys(OF_CONNECTIONS, connection.id),
        **dict.fromkeys(OF_INVOICES, invoice),
    }


@pytest.fixture
def browser(place: Place, theirs: dict[str, str]) -> TestClient:
    """The browser of a supplier with a company of their own."""
    browser = place.browser()
    place.connect(browser)
    return browser


@pytest.mark.parametrize(("method", "path"), [one for one in addresses() if "{id}" in one[1]])
def test_another_suppliers_id_answers_like_one_that_does_not_exist(
    place: Place, browser: TestClient, theirs: dict[str, str], method: str, path: str
) -> None:
    (id_,) = {theirs[start] for start in theirs if path.startswith(start)}
    foreign = browser.request(method, filled(path, id_))
    unknown = browser.request(method, filled(path, NEITHER))
    assert (foreign.status_code, unknown.status_code) == (404, 404)
    assert foreign.text == unknown.text
    assert foreign.headers == unknown.headers
    assert [c.state for c in place.connections()] == ["connected", "connected"]


@pytest.mark.parametrize(("method", "path"), [one for one in addresses() if "{id}" in one[1]])
def test_an_id_of_another_environment_answers_like_one_that_does_not_exist(
    place: Place, method: str, path: str
) -> None:
    browser = place.browser()
    place.connect(browser)
    [connection] = place.connections()
    place.imported(connection.id)
    own = place.invoice_id("1") if path.startswith(OF_INVOICES) else connection.id
    assert browser.get(filled(path, own)).status_code == 200
    place.do("UPDATE connections SET environment = 'production'")
    elsewhere = browser.request(method, filled(path, own))
    unknown = browser.request(method, filled(path, NEITHER))
    assert (elsewhere.status_code, unknown.status_code) == (404, 404)
    assert elsewhere.text == unknown.text
    assert elsewhere.headers == unknown.headers
    assert place.connections()[0].state == "connected"


@pytest.mark.parametrize("path", [p for m, p in addresses() if m == "GET" and "{" not in p])
def test_no_address_of_ones_own_names_another_supplier(
    browser: TestClient, theirs: dict[str, str], path: str
) -> None:
    text = browser.get(path).text
    for secret in (*theirs.values(), "other@example.com", "Other Books"):
        assert secret not in text

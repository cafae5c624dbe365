"""How much a browser has to load for each page, and from where."""

import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from tests.web.conftest import CUSTOMER, OURS, Place, an_invoice
from tests.web.ops.operators import add_samples, operator, two_operators

MOST_BYTES = 60_000
ASSET = re.compile(r'(?:href|src)="(/quickbook/static/[^"]+)"')
# A reader may follow these; nothing of them is loaded.
LINKS = re.compile(r'<a [^>]*href="[^"]*"')


@pytest.fixture
def book() -> dict[str, Any]:
    """A company with more invoices than a page has, each with something to fix."""
    invoices = [an_invoice(str(n), DueDate=None, DocNumber=None) for n in range(100, 160)]
    company = {"CompanyInfo": {"CompanyName": "Our Books"}, "Customer": [CUSTOMER]}
    return {OURS: {**company, "Invoice": invoices}}


def loaded(browser: TestClient, path: str) -> int:
    """Return how many bytes come for this page and all that it needs, compressed as served."""
    page = weighed(browser, path)
    assets = set(ASSET.findall(page.text))
    assert assets, path
    return sum(int(one.headers["content-length"]) for one in (page, *assets_of(browser, assets)))


def assets_of(browser: TestClient, addresses: set[str]) -> list[httpx.Response]:
    return [weighed(browser, address) for address in sorted(addresses)]


def weighed(browser: TestClient, path: str) -> httpx.Response:
    answer = browser.get(path, headers={"accept-encoding": "gzip"})
    assert answer.status_code == 200, path
    assert int(answer.headers["content-length"]) < 1000 or (
        answer.headers["content-encoding"] == "gzip"
    ), path
    return answer


def test_every_page_is_light_and_asks_nobody_else(place: Place, company: str) -> None:
    browser = place.log_in()
    invoice = place.invoice_id("100")
    pages = [
        *("/quickbook/", "/quickbook/?status=all&q=buyer", "/quickbook/attention"),
        *(f"/quickbook/invoices/{invoice}", f"/quickbook/connections/{company}"),
        *(f"/quickbook/connected/{company}", f"/quickbook/connections/{company}/disconnect"),
        *("/quickbook/welcome", "/quickbook/problem/denied/K7QM-2F4T", "/quickbook/disconnected"),
        f"/quickbook/authorise?token={place.token(another_company=True)}",
    ]
    assert_light(browser, pages)


def assert_light(browser: TestClient, pages: list[str]) -> None:
    """Fail unless each of these pages is light and asks nobody else for anything."""
    weights = {path.partition("?token")[0]: loaded(browser, path) for path in pages}
    assert {path: bytes_ for path, bytes_ in weights.items() if bytes_ >= MOST_BYTES} == {}
    for path in pages:
        text = LINKS.sub("", browser.get(path).text)
        assert not re.search(r'(?:src|href|action)="(?:https?:)?//', text), path


class TestOfOperators:
    @pytest.fixture
    def more_settings(self) -> dict[str, str]:
        return two_operators()

    def test_every_page_is_light_and_asks_nobody_else(self, place: Place, company: str) -> None:
        add_samples(place, *(timedelta(minutes=5 * n) for n in range(1, 8640, 2)))
        of_company = f"/ops/connections/{company}"
        names = ("events", "runs", "runs/1", "alerts", "audit", "findings", "ledger", "invite")
        pages = ["/ops/", "/ops/?range=30d", of_company, *(f"/ops/{name}" for name in names)]
        assert_light(operator(place), [*pages, "/ops/connections", "/ops/invoices?q=1"])

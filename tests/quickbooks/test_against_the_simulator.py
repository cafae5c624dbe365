"""The package and the simulator, each written from the reference, understand each other."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from service.errors import Disconnected, Gone, Refused, TransientError
from service.quickbooks.client import BearerAuth, CompanyClient, http_client
from service.quickbooks.endpoints import endpoints
from service.quickbooks.entity import entity
from service.quickbooks.oauth import OAuth, Tokens
from service.quickbooks.queries import by_ids, count, page_by_id, page_by_time
from service.simulator.app import RunningSimulator
from service.simulator.books.book import Book
from service.simulator.config import SimulatorConfig
from tests.servers import PATIENCE
from tests.simulators import Simulators

REALM = "9341455000000001"
REDIRECT = "http://localhost:3000/quickbook/connect"


def book() -> Book:
    meta = {"CreateTime": "2026-01-01T00:00:00-08:00"}
    invoices = [
        {
            "Id": str(n),
            "SyncToken": "0",
            "TotalAmt": n,
            "MetaData": {**meta, "LastUpdatedTime": f"2026-01-01T00:00:{n:02}-08:00"},
        }
        for n in range(1, 6)
    ]
    customers = [
        {
            "Id": str(n),
            "SyncToken": "0",
            "DisplayName": f"Customer {n}",
            "Active": n != 2,
            "MetaData": {**meta, "LastUpdatedTime": "2026-01-01T00:00:00-08:00"},
        }
        for n in (1, 2)
    ]
    company = {"CompanyInfo": {"CompanyName": "Example"}, "Invoice": invoices}
    return Book({REALM: {**company, "Customer": customers}, "77": {}})


@pytest.fixture
def sim(simulators: Simulators) -> Iterator[RunningSimulator]:
    config = SimulatorConfig(
        client_id="app", client_secret="s3cret", verifier_token="v", redirect_uri=REDIRECT
    )
    with simulators.running(config, book()) as sim:
        yield sim


@pytest.fixture
def oauth(sim: RunningSimulator) -> Iterator[OAuth]:
    with closing(OAuth(endpoints("simulator", sim.url), "app", "s3cret", REDIRECT)) as oauth:
        yield oauth


def consent(sim: RunningSimulator, oauth: OAuth) -> str:
    """Return the code that Intuit hands over when the supplier approves."""
    with httpx.Client(trust_env=False, timeout=PATIENCE) as browser:
        browser.post(f"{sim.url}/_sim/consent", json={"approve": True, "realmId": REALM})
        back = browser.get(oauth.authorize_url("state-1"))
    answer = parse_qs(urlsplit(back.headers["location"]).query)
    assert (answer["state"], answer["realmId"]) == (["state-1"], [REALM])
    return answer["code"][0]


@pytest.fixture
def tokens(sim: RunningSimulator, oauth: OAuth) -> Tokens:
    return oauth.exchange(consent(sim, oauth), "state-1")


@pytest.fixture
def company(sim: RunningSimulator, tokens: Tokens) -> Iterator[CompanyClient]:
    with http_client() as http:
        yield books(http, sim, tokens)


def books(
    http: httpx.Client, sim: RunningSimulator, tokens: Tokens, realm: str = REALM
) -> CompanyClient:
    auth = BearerAuth(lambda rejected: tokens.access_token)
    return CompanyClient(http, sim.url, realm, auth, lambda kind: None)


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [entity(row).id for row in rows]


def test_a_consent_becomes_tokens_that_open_the_company(
    tokens: Tokens, company: CompanyClient
) -> None:
    assert (tokens.expires_in, tokens.hard_expires_in) == (3600, 157680000)
    assert company.company_info().company_info["CompanyName"] == "Example"


def test_a_code_is_good_for_one_exchange(sim: RunningSimulator, oauth: OAuth) -> None:
    code = consent(sim, oauth)
    oauth.exchange(code, "state-1")
    with pytest.raises(Refused, match="the authorisation code was refused"):
        oauth.exchange(code, "state-1")


def test_an_expired_token_is_refreshed_on_the_way(
    sim: RunningSimulator, oauth: OAuth, tokens: Tokens
) -> None:
    sim.simulator.clock.advance(timedelta(hours=2).total_seconds())

    def token(rejected: str | None) -> str:
        return oauth.refresh(tokens.refresh_token).access_token if rejected else tokens.access_token

    with http_client() as http:
        company = CompanyClient(http, sim.url, REALM, BearerAuth(token), lambda kind: None)
        assert company.count(count("Invoice")) == 5


def test_a_revoked_connection_is_dead(oauth: OAuth, tokens: Tokens, company: CompanyClient) -> None:
    oauth.revoke(tokens.refresh_token)
    with pytest.raises(Disconnected):
        oauth.refresh(tokens.refresh_token)
    with pytest.raises(TransientError) as caught:
        company.count(count("Invoice"))
    assert caught.value.code == "3200"
    with pytest.raises(Refused):
        oauth.revoke(tokens.refresh_token)


def test_wrong_keys_are_told(sim: RunningSimulator) -> None:
    wrong = OAuth(endpoints("simulator", sim.url), "app", "wrong", REDIRECT)
    with closing(wrong), pytest.raises(Refused, match="QUICKBOOKS_CLIENT_SECRET"):
        wrong.refresh("anything")


def test_another_company_is_refused(sim: RunningSimulator, tokens: Tokens) -> None:
    with http_client() as http, pytest.raises(Refused) as caught:
        books(http, sim, tokens, realm="77").company_info()
    assert caught.value.code == "3100"


def test_every_statement_is_understood(company: CompanyClient) -> None:
    third = entity(company.read("Invoice", "3")).last_updated
    assert ids(company.query(by_ids("Invoice", ["2", "4", "99"])).found) == ["4", "2"]
    assert ids(company.query(page_by_time("Invoice", third)).found) == ["3", "4", "5"]
    assert ids(company.query(page_by_time("Invoice", None, start=4)).found) == ["4", "5"]
    assert ids(company.query(page_by_time("Invoice", None, start=6)).found) == []
    assert ids(company.query(page_by_id("Customer")).found) == ["1", "2"]
    assert ids(company.query(by_ids("Customer", ["1", "2"])).found) == ["1", "2"]
    assert company.count(count("Customer")) == 2
    assert company.count(count("Invoice", third)) == 3
    assert company.query(page_by_time("CreditMemo", None)).found == []


def test_what_is_not_there_is_gone(company: CompanyClient) -> None:
    with pytest.raises(Gone) as caught:
        company.read("Invoice", "99")
    assert caught.value.intuit_tid

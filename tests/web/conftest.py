"""The real application on a real database, Intuit's stand-in behind it, and browsers before it."""

import base64
import html
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import structlog
from dramatiq.brokers.stub import StubBroker
from sqlalchemy import func, select
from starlette.testclient import TestClient

from service import links
from service.app import create_app
from service.config.loading import settings_from
from service.database.tables import Base, Connection, Document, Invoice
from service.infactor.document_lifecycle import is_withdrawn
from service.jobs import receiver_broker
from service.kit.clock import now
from service.operations.disconnect import disconnect
from service.services import Services, build_services
from service.simulator.app import RunningSimulator
from service.simulator.books.book import Book
from service.simulator.config import SimulatorConfig
from service.store import connection_lifecycle
from service.web.health.probes import probes_for
from tests import databases
from tests.builders import a_customer, an_invoice
from tests.servers import PATIENCE
from tests.simulators import Simulators

SECRET = "i" * 40
PUBLIC_URL = "http://localhost:3000"

OURS = "9341455000000001"
OTHER = "9341455000000002"
WITHOUT_NAME = "9341455000000003"

CONFIG = SimulatorConfig(
    client_id="client-1",
    client_secret="secret-1",
    verifier_token="verifier-1",
    redirect_uri=f"{PUBLIC_URL}/quickbook/connect",
)


CUSTOMER = a_customer()


@dataclass
class Place:
    """What the tests of the web stand on."""

    services: Services
    simulator: RunningSimulator
    client: TestClient
    _sim: httpx.Client = field(
        default_factory=lambda: httpx.Client(verify=False, trust_env=False, timeout=PATIENCE)
    )

    def browser(self, **headers: str) -> TestClient:
        """Return one more browser, with a cookie jar of its own, that follows no redirects."""
        browser = TestClient(
            self.client.app, base_url=PUBLIC_URL, follow_redirects=False, headers=headers
        )
        browser.app_state.update(self.client.app_state)
        browser.portal = self.client.portal  # all in the one loop of the application
        return browser

    def token(
        self,
        email: str = "supplier@example.com",
        purpose: links.Purpose = "connect",
        *,
        at: datetime | None = None,
        **more: Any,
    ) -> str:
        """Return the token of a link as Infactor would make it."""
        name = more.pop("name", "Example Supplies")
        return links.issue(SECRET, purpose, email, now=at or now(), name=name, **more)

    def consent(self, approve: bool = True, realm: str = OURS) -> None:
        """Let the person at QuickBooks decide so from now on."""
        self.sim("POST", "/consent", {"approve": approve, "realmId": realm})

    def sim(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the simulator for something that Intuit does not offer."""
        answer = self._sim.request(method, f"{self.simulator.url}/_sim{path}", json=body)
        answer.raise_for_status()
        return answer.json()

    def authorised(self, browser: TestClient, token: str) -> httpx.Response:
        """Open the link and press the button; return the redirect to QuickBooks' consent."""
        page = browser.get(f"/quickbook/authorise?token={token}")
        assert page.status_code == 200, page.headers
        answer = browser.post(f"/quickbook/authorise?token={token}")
        assert answer.status_code == 302, answer.text
        return answer

    def begin(self, browser: TestClient, token: str) -> str:
        """Open the link and press the button; return where QuickBooks' consent is."""
        return self.authorised(browser, token).headers["location"]

    def decided(self, consent_url: str) -> str:
        """Let the person at QuickBooks decide; return the address to which it sends them back."""
        answer = self._sim.get(consent_url)
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    def connect(
        self, browser: TestClient, token: str | None = None, realm: str = OURS
    ) -> httpx.Response:
        """Make the whole journey; return the callback's answer."""
        self.consent(realm=realm)
        return browser.get(self.decided(self.begin(browser, token or self.token())))

    def log_in(self, email: str = "supplier@example.com") -> TestClient:
        """Return a browser in which this supplier has opened a view link."""
        browser = self.browser()
        answer = self.opened(browser, self.token(email, "view"))
        assert answer.headers["location"] == "/quickbook/"
        return browser

    def opened(self, browser: TestClient, token: str) -> httpx.Response:
        """Open a view link and press the button."""
        address = f"/quickbook/view?token={token}"
        assert browser.get(address).status_code == 200
        return browser.post(address)

    def imported(self, connection_id: str) -> None:
        """Do the background work of the connection's import."""
        from workers.runs.run import advance

        run_id = self.only(f"SELECT id FROM runs WHERE connection_id = '{connection_id}'")
        while advance(self.services, run_id):
            pass

    def rows(self, table: str) -> int:
        """Return how many rows there are."""
        with self.services.database.read() as session:
            query = select(func.count()).select_from(Base.metadata.tables[table])
            return session.execute(query).scalar_one()

    def only(self, sql: str) -> Any:
        """Return the one value that a query gives."""
        with self.services.database.engine.connect() as connection:
            return connection.exec_driver_sql(sql).scalar_one()

    def do(self, sql: str) -> None:
        """Change rows behind the application's back."""
        with self.services.database.engine.begin() as connection:
            connection.exec_driver_sql(sql)

    def connections(self) -> Sequence[Connection]:
        """Return every connection, the oldest first."""
        with self.services.database.read() as session:
            return session.scalars(select(Connection).order_by(Connection.connected_at)).all()

    def invoice_id(self, quickbooks_id: str) -> str:
        """Return Infactor's id of this QuickBooks invoice."""
        with self.services.database.read() as session:
            query = select(Invoice.id).where(Invoice.quickbooks_id == quickbooks_id)
            return session.execute(query).scalar_one()

    def decide(self, quickbooks_id: str, state: str, **fields: Any) -> None:
        """Let somebody bring Infactor's document of this invoice into this state."""
        with self.services.database.write() as session:
            document = session.get_one(Document, self.invoice_id(quickbooks_id))
            document.document = {**document.document, "state": state, **fields}
            document.withdrawn = is_withdrawn(document.document)
            document.state = state

    def nothing_is_stored(self) -> bool:
        """Tell whether no journey has left anything of a company."""
        return not any(map(self.rows, ("connections", "runs", "spent_links")))

    def is_granted(self, realm: str = OURS) -> bool:
        """Tell whether, for Intuit, the company is connected to the app."""
        return self.simulator.simulator.grants.connected(realm, datetime.now(UTC))


def release(place: Place, *, disconnected: bool = True) -> bool:
    """Release the first company."""
    connection = place.connections()[0]
    if disconnected:
        disconnect(place.services, connection.id, "cli:me", force=False)
    with place.services.database.write() as session:
        return connection_lifecycle.release(session, connection.id, now())


def said(page: str) -> str:
    """Return a page's text in one line, without its markup."""
    text = html.unescape(re.sub("<[^>]*>", " ", page.replace("<wbr>", "")))
    return " ".join(text.split())


def settings_of(simulator_url: str, database_url: str, **more: str) -> dict[str, str]:
    """Return the settings of a service that talks to this simulator."""
    return {
        "QUICKBOOKS_CLIENT_ID": CONFIG.client_id,
        "QUICKBOOKS_CLIENT_SECRET": CONFIG.client_secret,
        "QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS": CONFIG.verifier_token,
        "QUICKBOOKS_ENVIRONMENT": "simulator",
        "QUICKBOOKS_SIMULATOR_URL": simulator_url,
        "DATABASE_URL": database_url,
        "SECRET_KEY": "s" * 40,
        "INFACTOR_SHARED_SECRET": SECRET,
        "ENCRYPTION_KEYS": base64.urlsafe_b64encode(b"k" * 32).decode(),
        **more,
    }


@contextmanager
def receiver(database_url: str, redis_url: str) -> Iterator[TestClient]:
    """A receiver whose background threads are left out: they would wait for what is silent."""
    values = settings_of("http://127.0.0.1:9", database_url, REDIS_URL=redis_url)
    services = build_services(settings_from(values), receiver_broker(redis_url))
    client = TestClient(create_app(services))
    client.app_state.update({"services": services, "probes": probes_for(services)})
    yield client
    services.close()


@pytest.fixture
def book() -> dict[str, Any]:
    """Three companies: two with an invoice each, and one that has not even a name."""
    return {
        OURS: {
            "CompanyInfo": {"CompanyName": "Our <b>Books</b>", "Country": "US"},
            "Customer": [CUSTOMER],
            "Invoice": [an_invoice()],
        },
        OTHER: {
            "CompanyInfo": {"CompanyName": "Other Books"},
            "Customer": [CUSTOMER],
            "Invoice": [an_invoice("2")],
        },
        WITHOUT_NAME: {"CompanyInfo": {"CompanyName": None, "LegalName": "Legal Name Ltd"}},
    }


@pytest.fixture
def simulator(simulators: Simulators, book: dict[str, Any]) -> Iterator[RunningSimulator]:
    """Intuit's stand-in, with the book's companies."""
    with simulators.running(CONFIG, Book.of(book)) as made:
        made.simulator.switch({"requests_per_second": None})
        yield made


@pytest.fixture
def more_settings() -> dict[str, str]:
    """Settings that differ from the defaults; a test file may replace this."""
    return {}


@pytest.fixture
def place(
    simulator: RunningSimulator, migrated_url: str, more_settings: dict[str, str]
) -> Iterator[Place]:
    """The application, started."""
    settings = settings_from(settings_of(simulator.url, migrated_url, **more_settings))
    services = build_services(
        settings, StubBroker(), databases.opened(migrated_url), call_interval=0.0
    )
    with TestClient(create_app(services), base_url=PUBLIC_URL, follow_redirects=False) as client:
        made = Place(services, simulator, client)
        yield made
        made._sim.close()


@pytest.fixture
def company(place: Place) -> str:
    """The connection of a company that was imported."""
    place.connect(place.browser())
    connection_id = place.connections()[0].id
    place.imported(connection_id)
    return connection_id


@pytest.fixture
def browser(place: Place, company: str) -> TestClient:
    """The browser of the supplier whose company was imported."""
    return place.log_in()


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    """Every log event of the test."""
    with structlog.testing.capture_logs() as events:
        yield events

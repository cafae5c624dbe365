"""A running simulator with a small book, and a client of it."""

from collections.abc import Iterator

import pytest

from service.simulator.books.book import Book
from tests.simulator.wire import OTHER_REALM, REALM, App, StoppedClock, Wire, a_config, listening
from tests.simulators import Simulators


def _invoice(id_: str, changed: str, **fields: object) -> dict[str, object]:
    meta = {"CreateTime": "2026-09-01T08:00:00-07:00", "LastUpdatedTime": changed}
    return {"Id": id_, "SyncToken": "0", "MetaData": meta, **fields}


def _customer(id_: str, name: str, **fields: object) -> dict[str, object]:
    return _invoice(id_, "2026-09-01T08:00:00-07:00", DisplayName=name, Active=True) | fields


BOOK = {
    REALM: {
        "CompanyInfo": {"CompanyName": "Harborline Supply Co.", "Country": "US"},
        "Customer": [
            _customer("1", "O'Brien's Bakery"),
            _customer("2", "Blue Heron"),
            _customer("3", "Old Mill (deleted)", Active=False),
        ],
        "Invoice": [
            _invoice(
                "145",
                "2026-10-01T09:19:17-07:00",
                DocNumber="1043",
                TotalAmt=269.5,
                Balance=169.5,
                DueDate="2026-10-29",
                CustomerRef={"value": "1", "name": "O'Brien's Bakery"},
                TxnTaxDetail={"TotalTax": 22.0},
                Line=[
                    {"Amount": 247.5, "DetailType": "SalesItemLineDetail"},
                    {"Amount": 247.5, "DetailType": "SubTotalLineDetail"},
                ],
            ),
            _invoice(
                "9",
                "2026-10-01T16:19:17Z",
                DocNumber="999",
                TotalAmt=100,
                Balance=100,
                CustomerRef={"value": "2", "name": "Blue Heron"},
            ),
            _invoice("30", "2026-10-02T09:00:00-07:00", TotalAmt=5, Balance=0),
        ],
        "Payment": [_invoice("200", "2026-10-01T09:00:00-07:00", TotalAmt=100)],
        "CreditMemo": [_invoice("300", "2026-10-01T09:00:00-07:00", TotalAmt=7)],
    },
    OTHER_REALM: {"CompanyInfo": {"CompanyName": "Juniper & Vale"}},
}


@pytest.fixture
def wire(simulators: Simulators) -> Iterator[Wire]:
    """A client of a simulator that sends no webhooks and lets tests call as fast as they can."""
    with simulators.running(a_config(), Book.of(BOOK)) as simulator:
        simulator.simulator.switch({"requests_per_second": None})
        wire = Wire(simulator)
        with wire.http:
            yield wire


@pytest.fixture
def app() -> Iterator[App]:
    with listening() as app:
        yield app


@pytest.fixture
def notifying(simulators: Simulators, app: App) -> Iterator[Wire]:
    """A client of a simulator that notifies `app`."""
    with simulators.running(a_config(webhook_url=app.url), Book.of(BOOK)) as simulator:
        wire = Wire(simulator)
        with wire.http:
            yield wire


@pytest.fixture
def still(simulators: Simulators) -> Iterator[Wire]:
    """A connected client of a simulator whose clock stands still."""
    with simulators.running(a_config(), Book.of(BOOK), clock=StoppedClock()) as simulator:
        simulator.simulator.switch({"requests_per_second": None})
        wire = Wire(simulator)
        with wire.http:
            yield wire.connect()

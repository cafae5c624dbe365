"""Deliveries that others change something before, between what was read and what is written."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymongo import monitoring
from pymongo.database import Database

from service.infactor.collection import InvoiceCollection
from service.infactor.mongo import InfactorDatabase
from tests.workers.delivering import infactor_settings, order


class BeforeUpdates(monitoring.CommandListener):
    """Lets something happen right before the driver sends the next update."""

    def __init__(self) -> None:
        self.happens: Callable[[], object] | None = None

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name == "update" and self.happens is not None:
            happens, self.happens = self.happens, None
            happens()

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


BEFORE_UPDATES = BeforeUpdates()
# For clients that are made from now on; there is no other way in from outside.
monitoring.register(BEFORE_UPDATES)


@pytest.fixture
def collection(infactors: Database[dict[str, Any]]) -> Iterator[InvoiceCollection]:
    """Infactor's invoices through a client that tells before it updates."""
    settings = infactor_settings(infactors)
    database = InfactorDatabase(
        settings["INFACTOR_MONGODB_URL"], settings["INFACTOR_MONGODB_DATABASE"]
    )
    yield InvoiceCollection(database, withdraw=True)
    database.close()


@pytest.fixture
def another(infactors: Database[dict[str, Any]]) -> Iterator[InvoiceCollection]:
    """Another worker's."""
    settings = infactor_settings(infactors)
    database = InfactorDatabase(
        settings["INFACTOR_MONGODB_URL"], settings["INFACTOR_MONGODB_DATABASE"]
    )
    yield InvoiceCollection(database, withdraw=True)
    database.close()


def test_what_is_approved_before_the_refresh_is_written_stays_as_it_was(
    collection: InvoiceCollection, infactors: Database[dict[str, Any]]
) -> None:
    collection.deliver([order("qbk-a", 1, 100.0)])
    approve = {"$set": {"state": "invoice_accepted"}}
    BEFORE_UPDATES.happens = lambda: infactors.invoices.update_one({"_id": "qbk-a"}, approve)
    result = collection.deliver([order("qbk-a", 2, 80.0)])["qbk-a"]
    assert BEFORE_UPDATES.happens is None
    assert getattr(result, "action", None) == "frozen"
    document = infactors.invoices.find_one({"_id": "qbk-a"}) or {}
    assert (document["state"], document["invoiceAmount"]) == ("invoice_accepted", 100.0)


def test_a_newer_revision_that_comes_before_the_write_is_not_overwritten(
    collection: InvoiceCollection, another: InvoiceCollection, infactors: Database[dict[str, Any]]
) -> None:
    collection.deliver([order("qbk-a", 1, 100.0)])
    BEFORE_UPDATES.happens = lambda: another.deliver([order("qbk-a", 3, 70.0)])
    result = collection.deliver([order("qbk-a", 2, 80.0)])["qbk-a"]
    document = infactors.invoices.find_one({"_id": "qbk-a"}) or {}
    assert (document["qbkRevision"], document["invoiceAmount"]) == (3, 70.0)
    assert getattr(result, "newer", None) == 3


@pytest.mark.parametrize("touched", ["buyerInvoiceRemark", "qbkWithdrawn"])
def test_what_people_touch_of_a_withdrawn_invoice_is_not_restored_over(
    collection: InvoiceCollection, infactors: Database[dict[str, Any]], touched: str
) -> None:
    collection.deliver([order("qbk-a", 1, 100.0)])
    collection.deliver([order("qbk-a", 2, 100.0, hold="void")])
    touch = {"$set": {touched: "the buyer's own words"}}
    BEFORE_UPDATES.happens = lambda: infactors.invoices.update_one({"_id": "qbk-a"}, touch)
    collection.deliver([order("qbk-a", 3, 80.0)])
    document = infactors.invoices.find_one({"_id": "qbk-a"}) or {}
    assert (document["state"], document[touched]) == ("invoice_rejected", "the buyer's own words")

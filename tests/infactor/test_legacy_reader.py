"""Reading rows of the old import out of Infactor's real database."""

from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from service.errors import InfactorAway
from service.infactor.mongo import InfactorDatabase
from service.infactor.old_import.reader import old_rows, rows_by_id

MAIL = "supplier@example.com"


def a_row(number: int) -> dict[str, Any]:
    return {
        "_id": ObjectId(f"5c8a{number:020x}"),
        "invoiceId": f"random{number}",
        "source": "Quickbook",
        "qbkInvoiceId": str(number),
        "supplierEmail": MAIL,
        "poDocs": "/uploads/x",
    }


def test_more_rows_than_come_at_once_are_all_read(
    opened: InfactorDatabase, infactors: Database[dict[str, Any]]
) -> None:
    infactors.invoices.insert_many([a_row(number) for number in range(1, 301)])
    rows = old_rows(opened, MAIL)
    assert {row["qbkInvoiceId"] for row in rows} == {str(number) for number in range(1, 301)}
    assert "poDocs" not in rows[0]


def test_rows_are_found_by_their_ids_whatever_became_of_them(
    opened: InfactorDatabase, infactors: Database[dict[str, Any]]
) -> None:
    infactors.invoices.insert_many([a_row(1), {**a_row(2), "qbkRevision": 3}, a_row(3)])
    ids = [str(a_row(number)["_id"]) for number in (1, 2, 9)]
    assert [row["invoiceId"] for row in rows_by_id(opened, ids)] == ["random1", "random2"]
    assert rows_by_id(opened, []) == []


@pytest.mark.parametrize("code", [91, 10107, 11600, 13435])
def test_a_server_that_is_no_primary_is_asked_once(
    opened: InfactorDatabase, infactors: Database[dict[str, Any]], code: int
) -> None:
    """The client would ask again for as long as the scan may take, and hold a worker's thread."""
    infactors.invoices.insert_one(a_row(1))
    what = {"failCommands": ["find"], "appName": "infactor-quickbooks", "errorCode": code}
    order = {"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": what}
    infactors.client.admin.command(order)
    with pytest.raises(InfactorAway):
        old_rows(opened, MAIL)


def test_a_server_that_falls_silent_during_the_scan_is_left(
    opened: InfactorDatabase, infactors: Database[dict[str, Any]]
) -> None:
    infactors.invoices.insert_one(a_row(1))
    what = {
        "failCommands": ["find"],
        "appName": "infactor-quickbooks",
        "blockConnection": True,
        "blockTimeMS": 5_000,  # the next order about this command waits for its end
    }
    order = {"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": what}
    infactors.client.admin.command(order)
    with pytest.raises(InfactorAway):
        old_rows(opened, MAIL, seconds=0.5)

"""What MongoDB's errors mean; the deliveries' tests have a real server."""

from typing import Any

import pytest

from service.infactor.collection import (
    DeliveryOrder,
    DeliveryRefusal,
    InvoiceCollection,
    _is_there_already,
)
from service.infactor.mapped_document import MappedDocument
from service.infactor.mongo import InfactorDatabase
from service.kit import exact_json

_OLD = "E11000 duplicate key error collection: infactor.invoices index: "


@pytest.mark.parametrize(
    ("error", "there"),
    [
        ({"errmsg": _OLD + '_id_ dup key: { _id: "a" }', "keyPattern": {"_id": 1}}, True),
        ({"errmsg": _OLD + "_id_ dup key: { _id: 1 }"}, True),
        ({"errmsg": _OLD + "_id_"}, True),
        ({"errmsg": "E11000 duplicate key error index: infactor.invoices.$_id_ dup key: {}"}, True),
        ({"errmsg": "duplicate key"}, True),
        ({}, True),
        ({"errmsg": "duplicate key", "keyPattern": {"invoiceNo": 1}}, False),
        ({"keyPattern": {"_id": 1, "source": 1}}, False),
        ({"errmsg": _OLD + 'one_number dup key: { index: "_id_ " }'}, False),
        ({"errmsg": "E11000 duplicate key error index: infactor.invoices.$my_id_ dup key"}, False),
        ({"errmsg": _OLD + "_id_", "code": 121}, False),
    ],
)
def test_whether_a_document_of_this_id_was_there_first(error: dict[str, Any], there: bool) -> None:
    assert _is_there_already({"code": 11000, **error}) is there


def test_names_that_mongodb_does_not_allow_are_stored_with_others(opened: InfactorDatabase) -> None:
    mapped = MappedDocument(
        exact_json.encode({"state": "invoice_created", "items": [{"$ref": {"a.b": 1}}]})
    )
    order = DeliveryOrder(key="qbk-1", revision=1, mapped=mapped, hold=None, unseen=True)
    collection = InvoiceCollection(opened, withdraw=True)
    collection.deliver([order])
    assert collection.read(["qbk-1"], ("items",))["qbk-1"]["items"] == [
        {"\N{FULLWIDTH DOLLAR SIGN}ref": {"a\N{FULLWIDTH FULL STOP}b": 1.0}}
    ]


def test_a_document_that_is_too_large_is_refused_and_keeps_no_other_back(
    opened: InfactorDatabase,
) -> None:
    orders = [
        DeliveryOrder(
            key=f"qbk-{number}",
            revision=1,
            mapped=MappedDocument(
                exact_json.encode({"state": "invoice_created", "note": "x" * length})
            ),
            hold=None,
            unseen=True,
        )
        for number, length in enumerate((1, 17 * 1024 * 1024, 2))
    ]
    collection = InvoiceCollection(opened, withdraw=True)
    results = collection.deliver(orders)
    assert results["qbk-1"] == DeliveryRefusal("the document cannot be stored (DocumentTooLarge)")
    assert collection.read([order.key for order in orders], ("note",)).keys() == {"qbk-0", "qbk-2"}


def test_documents_of_a_supplier_are_looked_for_without_the_index_of_ids(
    opened: InfactorDatabase,
) -> None:
    """Our ids are random: along them, a million documents are read one by one, in no order."""
    opened.invoices.insert_many(
        {"_id": f"qbk-{n}", "supplierEmail": f"s{n % 2}@example.com", "state": "invoice_created"}
        for n in range(6)
    )

    def uses() -> int:
        (index,) = opened.invoices.aggregate([{"$indexStats": {}}])
        return int(index["accesses"]["ops"])

    before = uses()
    found = list(InvoiceCollection(opened, withdraw=True).in_name_of("s1@example.com"))
    assert sorted(one["_id"] for some in found for one in some) == ["qbk-1", "qbk-3", "qbk-5"]
    assert uses() == before

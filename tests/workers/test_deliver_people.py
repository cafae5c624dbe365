"""Deliveries to registered buyers, and rows of Infactor's old import that become documents."""

from typing import Any

from bson import ObjectId

from tests.workers.delivering import Delivering
from tests.workers.world import an_invoice
from workers.delivery.legacy_rows import adopt_old_rows
from workers.delivery.poll import poll_buyers

OLD_ID = "5c0000000000000000000001"


def an_old_row(**fields: Any) -> dict[str, Any]:
    """Return what Infactor's own old import wrote of invoice 1."""
    return {
        "_id": ObjectId(OLD_ID),
        "invoiceId": "3b2ozliy4mwrhptbx",
        "source": "Quickbook",
        "qbkInvoiceId": "1",
        "invoiceNo": "101",
        "invoiceAmount": 100.0,
        "purchaseAmount": 100.0,
        "buyerEmail": "buyer@example.com",
        "companyName": "Buyer Seven",
        "supplierEmail": "supplier@example.com",
        "state": "invoice_created",
        "created": 1.0,
        **fields,
    }


def test_the_address_of_a_registered_buyer_is_written_in_their_own_spelling(
    delivering: Delivering,
) -> None:
    delivering.register("Buyer@Example.com")
    delivering.arrive(an_invoice(BillEmail={"Address": "other@example.com, BUYER@example.com"}))
    assert delivering.addressed() == ("Buyer@Example.com", "Buyer@Example.com", [])


def test_a_supplier_of_that_address_is_no_buyer(small_delivering: Delivering) -> None:
    small_delivering.register("buyer@example.com", "Supplier")
    small_delivering.arrive(an_invoice())
    assert small_delivering.addressed() == (
        "buyer@example.com",
        "buyer@example.com",
        ["buyer_not_registered"],
    )


def test_a_buyer_who_registers_later_sees_the_invoice_then(delivering: Delivering) -> None:
    delivering.arrive(an_invoice())
    assert delivering.addressed()[2] == ["buyer_not_registered"]
    poll_buyers(delivering.world.services)
    delivering.deliver()
    assert delivering.addressed()[2] == ["buyer_not_registered"]
    delivering.register("BUYER@example.com")
    poll_buyers(delivering.world.services)
    delivering.deliver()
    assert delivering.addressed() == ("BUYER@example.com", "BUYER@example.com", [])


def test_a_new_document_has_the_suppliers_name_and_address_in_infactor(
    delivering: Delivering,
) -> None:
    """They may have connected before Infactor's own database was configured."""
    account = {"firstName": "Ann", "lastName": "Baker", "address": "0x7f"}
    delivering.infactors.users.insert_one(
        {
            "email": "supplier@example.com",
            "type": "Supplier",
            "accountStatus": "verified",
            **account,
        }
    )
    delivering.arrive(an_invoice())
    document = delivering.document() or {}
    assert (document["supplierName"], document["supplierAddress"]) == ("Ann Baker", "0x7f")
    delivering.infactors.users.update_one({}, {"$set": {"lastName": "Cook"}})
    delivering.arrive(an_invoice(DocNumber="8"))
    assert (delivering.document() or {})["supplierName"] == "Ann Baker"  # as it was created


def test_what_was_approved_keeps_its_address_whoever_registers(
    small_delivering: Delivering,
) -> None:
    small_delivering.arrive(an_invoice())
    small_delivering.decide(state="invoice_accepted")
    small_delivering.arrive(an_invoice(DocNumber="5"))
    assert small_delivering.addressed()[2] == []
    small_delivering.register("BUYER@example.com")
    poll_buyers(small_delivering.world.services)
    small_delivering.deliver()
    assert (small_delivering.document() or {})["buyerEmail"] == "buyer@example.com"


def test_a_row_of_the_old_import_becomes_the_invoices_document(delivering: Delivering) -> None:
    delivering.infactors.invoices.insert_one(an_old_row())
    delivering.arrive(an_invoice(DueDate="2027-01-31"))
    documents = list(delivering.infactors.invoices.find())
    assert [d["_id"] for d in documents] == [ObjectId(OLD_ID)]
    assert (documents[0]["invoiceId"], documents[0]["source"]) == ("3b2ozliy4mwrhptbx", "Quickbook")
    assert (documents[0]["payableDate"], documents[0]["qbkRevision"]) == ("2027-01-31", 1)
    assert delivering.receipts() == [(1, "refreshed", "invoice_created")]


def test_a_row_that_is_being_financed_is_adopted_as_it_stands(
    small_delivering: Delivering,
) -> None:
    row = an_old_row(state="ifactor_prepaid")
    small_delivering.infactors.invoices.insert_one(row)
    small_delivering.arrive(an_invoice())
    assert list(small_delivering.infactors.invoices.find()) == [row]
    assert small_delivering.receipts() == [(1, "frozen", "ifactor_prepaid")]
    small_delivering.arrive(an_invoice(TotalAmt=60.0, Balance=60.0))
    found = small_delivering.findings()
    assert ("invoiceAmount", "critical", "100", "60") in found


def test_while_a_row_is_unexplained_its_invoice_waits(delivering: Delivering) -> None:
    stranger = an_old_row(invoiceNo="999", buyerEmail="x@example.com", invoiceAmount=1.0)
    delivering.infactors.invoices.insert_one(stranger)
    delivering.arrive(an_invoice())
    assert delivering.infactors.invoices.count_documents({}) == 1
    assert delivering.record().old_rows_held
    assert delivering.receipts() == []
    delivering.infactors.invoices.delete_one({"_id": ObjectId(OLD_ID)})
    adopt_old_rows(delivering.world.services, delivering.world.connection_id)
    delivering.deliver()
    assert delivering.state() == ("invoice_created", None)


def test_an_adopted_row_that_is_gone_is_not_made_again(small_delivering: Delivering) -> None:
    small_delivering.infactors.invoices.insert_one(an_old_row())
    small_delivering.arrive(an_invoice())
    small_delivering.infactors.invoices.delete_many({})
    small_delivering.arrive(an_invoice(DocNumber="5"))
    assert small_delivering.infactors.invoices.count_documents({}) == 0
    assert ("document", "critical", "there", "gone") in small_delivering.findings()

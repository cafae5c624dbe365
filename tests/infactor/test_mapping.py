"""What the mapping does beyond the table of variants."""

import copy
import re
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from service.infactor.mapping import Mapped, SupplierDetails, invoice_id, map_invoice
from service.infactor.warnings import WarningCode, warning
from service.kit import exact_json

SUPPLIER = SupplierDetails("supplier@example.com", "Example Supplies", "local")


def an_invoice(**fields: Any) -> dict[str, Any]:
    return {
        "Id": "1",
        "MetaData": {"CreateTime": "2026-09-29T05:58:07-07:00"},
        "DocNumber": "1001",
        "DueDate": "2026-10-29",
        "TotalAmt": Decimal("10.00"),
        "Balance": Decimal("10.00"),
        "CustomerRef": {"value": "24", "name": "Sonnenschein"},
        "BillEmail": {"Address": "buyer@example.com"},
        **fields,
    }


def mapped(invoice: dict[str, Any], *customers: dict[str, Any], **more: Any) -> Mapped:
    return map_invoice(invoice, customers, SUPPLIER, "qbk-1", **more)


def codes(result: Mapped) -> list[str]:
    return [w.code.value for w in result.warnings]


@pytest.mark.parametrize(
    ("realm_id", "quickbooks_id", "expected"),
    [
        ("9341455000000001", "145", "qbk-l7awprz2obkhblxvliqdhrqoqm"),
        ("9341455000000002", "145", "qbk-p4x2w2fpugioasa7a446lt734l"),
        ("1", "11", "qbk-h5h72jw7e5pg7dc3nvjucuo4hs"),
        ("1", "1", "qbk-222zcxcgav54wac7i33egppwky"),
    ],
)
def test_an_invoice_id_is_the_same_for_ever(
    realm_id: str, quickbooks_id: str, expected: str
) -> None:
    """Infactor's documents are found by it: these values may never change."""
    assert invoice_id(realm_id, quickbooks_id) == expected


def test_the_input_is_not_changed() -> None:
    line = {"DetailType": "SalesItemLineDetail", "Amount": 5, "SalesItemLineDetail": {"Qty": 2}}
    raw = an_invoice(Line=[line], TxnTaxDetail={"TotalTax": 1, "TaxLine": [{"Amount": 1}]})
    before = copy.deepcopy(raw)

    document = mapped(raw).document

    assert document["items"][0]["SalesItemLineDetail"] == {"Qty": 2, "UnitPrice": Decimal("2.5")}
    assert raw == before


def test_nul_characters_are_left_out_everywhere() -> None:
    """PostgreSQL refuses them in text and in JSON."""
    raw = an_invoice(
        DocNumber="10\x0001",
        CustomerRef={"value": "2\x004", "name": "Sonnen\x00schein"},
        CurrencyRef={"value": "U\x00SD"},
        BillEmail={"Address": "buyer\x00@example.com"},
        Line=[{"Description": "a\x00b", "ke\x00y": ["\x00"]}],
        TxnTaxDetail={"TotalTax": 0, "Note": "\x00"},
    )
    supplier = SupplierDetails("s\x00@example.com", "\x00Example", "lo\x00cal")

    result = map_invoice(raw, [], supplier, "qbk-1")

    assert b"\\u0000" not in exact_json.encode(result.document)
    assert result.document["items"] == [{"Description": "ab", "key": [""]}]
    assert result.document["buyerEmail"] == "buyer@example.com"
    assert result.document["supplierEmail"] == "s@example.com"
    assert (result.doc_number, result.customer_id, result.currency) == ("1001", "24", "USD")
    assert mapped(an_invoice(), buyer_name="A\x00B").document["companyName"] == "AB"


def test_a_new_name_of_the_customer_stands_in_for_the_one_on_the_invoice() -> None:
    document = mapped(an_invoice(), {"DisplayName": "Other"}, buyer_name="Sunshine Ltd").document

    assert (document["companyName"], document["contactName"]) == ("Sunshine Ltd", "Sunshine Ltd")


@pytest.mark.parametrize("blank", ["", " ", "\t"])
def test_a_blank_text_counts_as_absent(blank: str) -> None:
    result = mapped(
        an_invoice(DocNumber=blank, CustomerRef={"value": blank, "name": blank}),
        {"DisplayName": blank},
        buyer_name=blank,
    )

    assert (result.doc_number, result.customer_id) == (None, None)
    assert result.document["purchaseTitle"] == "Quickbook #1"
    assert result.document["companyName"] == ""
    assert codes(result) == ["no_invoice_number", "no_buyer_name"]


def test_only_the_invoices_own_customer_lends_its_name() -> None:
    raw = an_invoice(CustomerRef={"value": "24"})

    assert mapped(raw, {}, {"DisplayName": "Parent"}).document["companyName"] == ""
    assert mapped(raw, {"DisplayName": "Child"}, {"DisplayName": "P"}).document["contactName"] == (
        "Child"
    )


def test_the_address_on_the_invoice_comes_before_the_customers_and_its_parents() -> None:
    child = {"PrimaryEmailAddr": {"Address": "child@example.com"}}
    parent = {"PrimaryEmailAddr": {"Address": "parent@example.com, BUYER@example.com"}}
    with_bill_email = mapped(an_invoice(), child, parent)
    without = mapped(an_invoice(BillEmail=None), child, parent)
    only_parent = mapped(an_invoice(BillEmail={}), {"PrimaryEmailAddr": {}}, parent)

    assert with_bill_email.document["buyerEmail"] == "buyer@example.com"
    assert with_bill_email.buyer_emails == (
        "buyer@example.com",
        "child@example.com",
        "parent@example.com",
    )
    assert without.document["companyEmail"] == "child@example.com"
    assert only_parent.document["buyerEmail"] == "parent@example.com"
    assert codes(with_bill_email) == codes(without) == codes(only_parent) == []


def test_rubbish_on_the_invoice_without_anything_better_is_one_warning() -> None:
    assert codes(mapped(an_invoice(BillEmail={"Address": "n/a"}))) == ["no_buyer_email"]


@pytest.mark.parametrize(
    "written",
    [
        "20261029",
        "2026-W44-4",
        "2026-02-30",
        "29.10.2026",
        "2026-10-29T",
        "2026-10-29 soon",
        "2026-10-29-8",
        " ",
    ],
)
def test_a_due_date_that_is_no_date_is_treated_as_absent(written: str) -> None:
    result = mapped(an_invoice(DueDate=written, TxnDate=written))

    assert (result.document["payableDate"], result.due_date, result.txn_date) == ("", None, None)
    assert codes(result) == ["no_due_date"]


@pytest.mark.parametrize(
    "behind",
    [
        *("-08:00", "+05:30", "-0800", "Z", "+13", " "),
        *("T00:00:00", "T23:59:59-08:00", "T00:00:00.000Z", "T00:00", " 00:00:00"),
        *("T08:00:00.123456789+0530", "T00:00:00 -08:00"),
    ],
)
def test_a_time_or_an_offset_behind_a_date_leaves_the_date(behind: str) -> None:
    result = mapped(an_invoice(DueDate=f"2027-03-15{behind}", TxnDate=f"2027-03-14{behind}"))

    assert result.document["payableDate"] == "2027-03-15"
    assert (result.txn_date, result.due_date) == (date(2027, 3, 14), date(2027, 3, 15))
    assert codes(result) == []


def test_dates_are_kept_as_dates_beside_the_document() -> None:
    result = mapped(an_invoice(TxnDate="2026-09-01"))

    assert (result.txn_date, result.due_date) == (date(2026, 9, 1), date(2026, 10, 29))


@pytest.mark.parametrize(
    ("note", "total", "voided"),
    [
        ("Voided", "0", True),
        ("Voided - was internal", "0.00", True),
        ("Voided", "10.00", False),
        ("Was Voided", "0", False),
        (None, "0", False),
    ],
)
def test_a_void_is_a_note_that_says_so_and_a_total_of_zero(
    note: str | None, total: str, voided: bool
) -> None:
    assert mapped(an_invoice(PrivateNote=note, TotalAmt=Decimal(total))).voided is voided


def test_an_absent_balance_is_the_whole_total() -> None:
    raw = an_invoice()
    del raw["Balance"]

    assert mapped(raw).balance == Decimal("10.00")
    assert mapped(an_invoice(Balance=0)).balance == 0


def test_a_numeric_text_is_taken_for_the_number() -> None:
    result = mapped(an_invoice(TotalAmt="10.50", Balance="3", TxnTaxDetail={"TotalTax": "1.5"}))

    assert (result.total, result.balance) == (Decimal("10.50"), Decimal(3))
    assert result.document["taxAmount"] == Decimal("1.5")


def test_every_warning_names_its_field_and_says_how_to_fix_it() -> None:
    for code in WarningCode:
        fields = {"DocNumber", "DueDate", "CustomerRef", "BillEmail", "Line", "CurrencyRef"}
        assert warning(code).field in fields
        assert re.search("open the (invoice|customer)", warning(code).text)

"""Books: what is refused, what is filled in, and the generated one."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from service.simulator.app import running
from service.simulator.books.book import Book, BookError
from service.simulator.books.company import Company
from service.simulator.clock import to_seconds
from service.simulator.generate.companies import generated_book
from tests.simulator.wire import REALM, Wire, a_config

NOW = datetime(2026, 11, 22, 18, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ([], "must be an object of realm ids, not a list"),
        ({"abc": {}}, "'abc' is not a realm id (digits only)"),
        ({"1": []}, "company 1: must be an object, not a list"),
        (
            {"1": {"Invoices": []}},
            "company 1: 'Invoices' is not one of "
            "CompanyInfo, Generated, Customer, Invoice, Payment, CreditMemo, "
            "Estimate, SalesReceipt, Vendor, JournalEntry, Account",
        ),
        ({"1": {"CompanyInfo": "x"}}, "company 1: CompanyInfo: must be an object, not a text"),
        ({"1": {"Invoice": {}}}, "company 1: Invoice: must be a list, not an object"),
        ({"1": {"Invoice": [None]}}, "company 1: Invoice[0]: must be an object, not null"),
        ({"1": {"Invoice": [{"Id": "1"}, {}]}}, "company 1: Invoice[1]: Id is missing"),
        (
            {"1": {"Customer": [{"Id": 7}]}},
            "company 1: Customer[0]: Id must be a text of digits, not 7",
        ),
        (
            {"1": {"Customer": [{"Id": "7"}, {"Id": "7"}]}},
            "company 1: Customer[1]: Id 7 is already used at [0]",
        ),
        (
            {"1": {"Invoice": [{"Id": "1", "MetaData": {"CreateTime": "x"}}]}},
            "company 1: Invoice[0]: MetaData.CreateTime is not a time: 'x'",
        ),
        (
            {"1": {"Invoice": [{"Id": "1", "Line": [7]}]}},
            "company 1: Invoice[0]: Line[0] must be an object, not a number",
        ),
        (
            {"1": {"Invoice": [{"Id": "1", "CustomerRef": "2"}]}},
            "company 1: Invoice[0]: CustomerRef must be an object, not a text",
        ),
    ],
)
def test_a_bad_book_is_refused_in_one_line_that_says_where(
    tmp_path: Path, value: Any, error: str
) -> None:
    file = tmp_path / "book.json"
    file.write_text(json.dumps(value))
    with pytest.raises(BookError) as caught:
        Book.read(file)
    assert str(caught.value) == f"{file}: {error}"


def test_a_file_that_is_missing_or_not_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(BookError, match=r"none\.json: cannot be read: No such file"):
        Book.read(tmp_path / "none.json")
    (tmp_path / "bad.json").write_bytes(b"{\xff")
    with pytest.raises(BookError, match=r"bad\.json: not JSON"):
        Book.read(tmp_path / "bad.json")


def test_records_of_a_book_are_kept_as_given_and_completed(tmp_path: Path) -> None:
    file = tmp_path / "book.json"
    file.write_text('{"77":{"Invoice":[{"Id":"1","TotalAmt":10.50,"Unheard":{"of":null}}]}}')
    with running(a_config(), Book.read(file)) as simulator:
        wire = Wire(simulator)
        with wire.http:
            wire.connect("77")
            answer = wire.get("invoice/1", "77")
    assert b'"TotalAmt":10.50,"Unheard":{"of":null},"SyncToken":"0"' in answer.content
    meta = answer.json()["Invoice"]["MetaData"]
    assert meta["CreateTime"] == meta["LastUpdatedTime"]
    assert answer.json()["Invoice"]["SyncToken"] == "0"


def test_the_generated_book_is_the_same_for_the_same_seed_and_moment() -> None:
    assert generated_book(NOW).companies == generated_book(NOW).companies
    assert generated_book(NOW).companies != generated_book(NOW, seed=2).companies


def test_the_generated_book_has_two_companies_with_every_variant() -> None:
    first, second = generated_book(NOW).companies.values()
    assert len(first["Invoice"]) == 320
    assert len(second["Invoice"]) == 90
    for company in (first, second):
        invoices = company["Invoice"]
        lines = [line for invoice in invoices for line in invoice["Line"]]
        kinds = {line["DetailType"] for line in lines}
        assert kinds == {
            "SalesItemLineDetail",
            "SubTotalLineDetail",
            "DiscountLineDetail",
            "GroupLineDetail",
            "DescriptionOnly",
        }
        for name in ("BillEmail", "DueDate", "DocNumber", "TxnTaxDetail", "CurrencyRef"):
            assert any(name not in invoice for invoice in invoices)
        sales = [line["SalesItemLineDetail"] for line in lines if "SalesItemLineDetail" in line]
        assert any("Qty" not in detail for detail in sales)
        assert any("UnitPrice" not in detail for detail in sales)
        assert any(0 < invoice["Balance"] < invoice["TotalAmt"] for invoice in invoices)
        assert any(invoice["Balance"] == 0 < invoice["TotalAmt"] for invoice in invoices)
        assert any(invoice.get("PrivateNote") == "Voided" for invoice in invoices)
        assert any(i["TotalAmt"] == 0 and "PrivateNote" not in i for i in invoices)
        assert any("HomeTotalAmt" in invoice for invoice in invoices)
        assert any("," in invoice.get("BillEmail", {}).get("Address", "") for invoice in invoices)
        assert {"EUR", "CAD", "USD"} == {
            invoice["CurrencyRef"]["value"] for invoice in invoices if "CurrencyRef" in invoice
        }


def test_generated_invoices_add_up() -> None:
    company = next(iter(generated_book(NOW).companies.values()))
    paid = {
        link["TxnId"]: payment["TotalAmt"]
        for payment in company["Payment"]
        for link in payment["Line"][0]["LinkedTxn"]
    }
    for invoice in company["Invoice"]:
        total = sum((_worth(line) for line in invoice["Line"]), Decimal(0))
        if invoice.get("GlobalTaxCalculation") != "TaxInclusive":
            total += Decimal(invoice.get("TxnTaxDetail", {}).get("TotalTax", 0))
        assert invoice["TotalAmt"] == total
        assert invoice["Balance"] == total - paid.get(invoice["Id"], 0)


def test_generated_due_dates_lie_on_both_sides_of_the_present() -> None:
    company = next(iter(generated_book(NOW).companies.values()))
    days = {invoice["DueDate"] for invoice in company["Invoice"] if "DueDate" in invoice}
    today = to_seconds(NOW)[:10]
    assert min(days) < today < max(days)
    latest = max(invoice["MetaData"]["LastUpdatedTime"] for invoice in company["Invoice"])
    assert datetime.fromisoformat(latest) <= NOW
    assert datetime.fromisoformat(latest) > NOW - timedelta(days=3)


def test_a_generated_sub_customer_has_a_parent_and_no_address() -> None:
    customers = next(iter(generated_book(NOW).companies.values()))["Customer"]
    subs = [customer for customer in customers if customer["Job"]]
    assert len(subs) == 4
    by_id = {customer["Id"]: customer for customer in customers}
    for sub in subs:
        parent = by_id[sub["ParentRef"]["value"]]
        assert "PrimaryEmailAddr" not in sub
        assert sub["FullyQualifiedName"] == f"{parent['DisplayName']}:{sub['DisplayName']}"


def test_without_a_book_the_consent_page_offers_the_generated_companies() -> None:
    with running(a_config()) as simulator:
        wire = Wire(simulator)
        with wire.http:
            wire.connect(REALM)
            assert wire.rows("select count(*) from Invoice") == {"totalCount": 320}
            assert "Juniper &amp; Vale Catering" in wire.http.get("/").text


def _worth(line: dict[str, Any]) -> Decimal:
    if line["DetailType"] == "GroupLineDetail":
        return sum((part["Amount"] for part in line["GroupLineDetail"]["Line"]), Decimal(0))
    if line["DetailType"] == "SubTotalLineDetail":
        return Decimal(0)
    sign = -1 if line["DetailType"] == "DiscountLineDetail" else 1
    return sign * Decimal(line.get("Amount", 0))


def test_a_company_learns_nothing_from_records_that_are_odd() -> None:
    odd = {
        "Id": "1",
        "domain": "QBO",
        "CustomField": ["x", None],
        "BillAddr": {"Id": "9" * 5000},
        "ShipAddr": "somewhere",
        "Line": [{"SalesItemLineDetail": {"ItemRef": "x"}}, {"SalesItemLineDetail": []}],
    }
    company = Company("1", now=NOW)
    company.load("Invoice", [odd], NOW)
    assert company.profile.with_definitions([]) == []
    assert company.profile.item_name("1") == "Services"
    assert company.profile.with_id({"Line1": "1 Quay"}) == {"Id": "1", "Line1": "1 Quay"}

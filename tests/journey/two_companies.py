"""The book of two companies with which most journeys begin."""

from typing import Any

from tests import builders

REALM = "9341455000000077"
OTHER_REALM = "9341455000000088"
BUYER = "buyer.of.the.journey@example.com"


def an_invoice(quickbooks_id: str, **fields: Any) -> dict[str, Any]:
    given = {"DocNumber": f"J-{quickbooks_id}", "TotalAmt": 100.25, "Balance": 100.25}
    return builders.an_invoice(quickbooks_id, **{**given, **fields})


def a_book() -> dict[str, Any]:
    customer = builders.a_customer(DisplayName="Journey Buyer", PrimaryEmailAddr={"Address": BUYER})
    return {
        REALM: {
            "CompanyInfo": {"CompanyName": "Journey Company"},
            "Customer": [customer],
            "Invoice": [an_invoice(str(n)) for n in range(1, 31)],
        },
        OTHER_REALM: {
            "CompanyInfo": {"CompanyName": "Other Company"},
            "Customer": [customer],
            "Invoice": [an_invoice(str(n)) for n in range(1, 11)],
        },
    }

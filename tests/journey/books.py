"""The books that a storm rages over: companies whose ids and numbers are all the same."""

from typing import Any

from service.simulator.records import Json
from tests import builders

BUYERS = 3


def realm(number: int) -> str:
    """Return the realm id of a company."""
    return str(9341455000001000 + number)


def a_book(companies: int, invoices: int) -> dict[str, Any]:
    """Return companies whose customers and invoices all have the same ids and numbers."""
    return {
        realm(number): {
            "CompanyInfo": {"CompanyName": f"Storm Company {number}"},
            "Customer": [a_customer(number, str(buyer)) for buyer in range(1, BUYERS + 1)],
            "Invoice": [an_invoice(str(n), 100 + n) for n in range(1, invoices + 1)],
        }
        for number in range(companies)
    }


def a_customer(company: int, id_: str, version: int = 0) -> Json:
    """Return a customer whose address says whose it is, and which version of it."""
    address = f"buyer{id_}.v{version}@company{company}.example.com"
    return {
        "Id": id_,
        "DisplayName": f"Buyer {id_} of {company}, version {version}",
        "Active": True,
        "PrimaryEmailAddr": {"Address": address},
    }


def an_invoice(id_: str, amount: float) -> Json:
    """Return an unpaid invoice; its buyer follows from its id."""
    return builders.an_invoice(
        id_,
        DocNumber=f"S-{id_}",
        TotalAmt=amount,
        Balance=amount,
        CustomerRef={"value": str(int(id_) % BUYERS + 1), "name": "Buyer"},
    )

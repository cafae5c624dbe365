"""The books of a supplier to whom no careful lender would lend on every invoice."""

from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]
NOW = datetime.now(UTC)
SUPPLIER = "owner@harborline.example"

HELD = {
    "overdue": "21",
    "future_dated": "22",
    "terms_too_long": "23",
    "no_due_date": "24",
    "backdated": "25",
    "own_buyer": "26",
    "exact twin": "27",
    "near twin": "28",
    "lines_differ": "29",
    "not_sent": "30",
    "set_off": "32",
}
"""What is wrong with each invoice that a lender holds: its Id."""
PAYABLE_ONLINE = "31"
CLEAN = [str(number) for number in range(1, 13) if number not in (1, 10)]
"""What is in order; the buyers of the others are late, or have credits."""
_BUYERS = (
    *("Amber Mills", "Birch Foods", "Cobalt Tools", "Dahlia Paper", "Ember Glass", "Fjord Fish"),
    *("Granite Works", "Hazel Farms", "Indigo Prints", "Juniper Inn", "Kelp Labs", "Lotus Spa"),
)


def day(days: int) -> str:
    """Return the day so many days from today."""
    return (NOW + timedelta(days=days)).date().isoformat()


def an_invoice(quickbooks_id: str, buyer: int, **fields: Any) -> Json:
    """Return an invoice of last week for this buyer, in order, unless the fields say otherwise."""
    amount = fields.pop("amount", 1_000 + 37 * int(quickbooks_id))
    created = (NOW - timedelta(days=7, minutes=100 - int(quickbooks_id))).isoformat(
        timespec="seconds"
    )
    return {
        "Id": quickbooks_id,
        "DocNumber": f"HL-{1000 + int(quickbooks_id)}",
        "TxnDate": day(-7),
        "DueDate": day(30),
        "TotalAmt": float(amount),
        "Balance": float(amount),
        "CustomerRef": {"value": str(100 + buyer), "name": _BUYERS[buyer % len(_BUYERS)]},
        "CurrencyRef": {"value": "USD"},
        "MetaData": {"CreateTime": created, "LastUpdatedTime": created},
        "EmailStatus": "EmailSent",
        "PrintStatus": "NotSet",
        "Line": [
            {
                "Amount": float(amount),
                "DetailType": "SalesItemLineDetail",
                "SalesItemLineDetail": {"ItemRef": {"value": "1", "name": "Goods"}},
            }
        ],
        **fields,
    }


def suspicious() -> list[Json]:
    """Return one invoice for each thing that an auditor tries, and the one that has twins."""
    line = {"DetailType": "SalesItemLineDetail", "Amount": 100.0}
    own = {"Address": "accounts@harborline.example"}
    twin = {"amount": 1_074.0}  # as of invoice 2
    return [
        an_invoice(HELD["overdue"], 0, TxnDate=day(-230), DueDate=day(-200)),
        an_invoice(HELD["future_dated"], 1, TxnDate=day(40), DueDate=day(70)),
        an_invoice(HELD["terms_too_long"], 2, DueDate=day(400)),
        an_invoice(HELD["no_due_date"], 3, DueDate=None),
        an_invoice(HELD["backdated"], 4, TxnDate=day(-307)),
        an_invoice(HELD["own_buyer"], 5, BillEmail=own),
        an_invoice(HELD["exact twin"], 1, DocNumber="HL-1002", **twin),
        an_invoice(HELD["near twin"], 1, DocNumber="hl 01002", **twin),
        an_invoice(HELD["lines_differ"], 6, amount=5_000, Line=[line]),
        an_invoice(HELD["not_sent"], 7, EmailStatus="NotSet", PrintStatus="NeedToPrint"),
        an_invoice(PAYABLE_ONLINE, 8, AllowOnlineCreditCardPayment=True),
        an_invoice(HELD["set_off"], 9, amount=2_300),
    ]


def a_book() -> Json:
    """Return the company: invoices in order, each of another buyer, and the suspicious ones."""
    invoices = [an_invoice(id_, int(id_) - 1) for id_ in CLEAN] + suspicious()
    changed = (NOW + timedelta(seconds=1)).isoformat(timespec="seconds")
    return {
        "CompanyInfo": {
            "CompanyName": "Harborline Supply Company of the Northern Counties and Islands",
            "Email": {"Address": "office@harborline.example"},
        },
        "Customer": [a_customer(buyer, invoices, changed) for buyer in range(len(_BUYERS))],
        "Invoice": [{k: v for k, v in one.items() if v is not None} for one in invoices],
    }


def a_customer(buyer: int, invoices: list[Json], changed: str) -> Json:
    """Return a customer that owes its invoices; one of them has 1,500 of credit besides."""
    name = _BUYERS[buyer]
    mine = [one["Balance"] for one in invoices if one["CustomerRef"]["value"] == str(100 + buyer)]
    credit = 1_500.0 if buyer == 9 else 0.0
    domain = name.lower().replace(" ", "-")
    return {
        "Id": str(100 + buyer),
        "DisplayName": name,
        "FullyQualifiedName": name,
        "Active": True,
        "Balance": sum(mine) - credit,
        "PrimaryEmailAddr": {"Address": f"payables@{domain}.example"},
        "MetaData": {"CreateTime": changed, "LastUpdatedTime": changed},
    }

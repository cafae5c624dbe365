"""Completes the objects that a client sends, as QuickBooks does."""

from datetime import date, datetime, timedelta
from decimal import Decimal

from service.simulator.books.company import Company
from service.simulator.books.ledger import DELETED
from service.simulator.books.schema import READ_ONLY, writable
from service.simulator.books.totals import SALES, SUBTOTAL, cents, money, settle, unapplied
from service.simulator.clock import pacific
from service.simulator.generate.variants import USD
from service.simulator.records import Json
from service.simulator.switches import Switches

_SALE: Json = {
    "domain": "QBO",
    "sparse": False,
    "LinkedTxn": [],
    "ApplyTaxAfterDiscount": False,
    "PrintStatus": "NeedToPrint",
    "EmailStatus": "NotSet",
}
_INVOICE: Json = {
    "AllowIPNPayment": False,
    "AllowOnlinePayment": False,
    "AllowOnlineCreditCardPayment": False,
    "AllowOnlineACHPayment": False,
    **_SALE,
}
_CUSTOMER: Json = {
    "Taxable": True,
    "Job": False,
    "BillWithParent": False,
    "Balance": 0,
    "BalanceWithJobs": 0,
    "CurrencyRef": USD,
    "PreferredDeliveryMethod": "Print",
    "domain": "QBO",
    "sparse": False,
    "Active": True,
}


def merged(entity: str, given: Json, old: Json) -> Json:
    """Return the object after the write: replaced, or with `sparse` only the given properties."""
    changed = writable(entity, given)
    kept = {k: v for k, v in old.items() if given.get("sparse") is True or k in READ_ONLY[entity]}
    return {k: v for k, v in {**kept, **changed}.items() if v is not None}


def sale(
    company: Company, entity: str, data: Json, old: Json, now: datetime, switches: Switches
) -> Json:
    """Return the invoice or credit memo with dates, number, addresses, totals and balance."""
    data = {**(_INVOICE if entity == "Invoice" else _SALE), "CurrencyRef": USD, **data}
    data.setdefault("TxnDate", pacific(now).date().isoformat())
    if entity == "Invoice":
        data.setdefault("DueDate", _in_thirty_days(data["TxnDate"]))
    if "DocNumber" not in data and not old and not switches.custom_numbers:
        data["DocNumber"] = next_number(company, entity)
    buyer = _named(company, data)
    if not old and "BillAddr" in buyer:
        data.setdefault("BillAddr", buyer["BillAddr"])
        data.setdefault("ShipAddr", buyer["BillAddr"])
    data["Line"] = _numbered(data["Line"])
    _local(company, data)
    paid = money(old, "TotalAmt") - money(old, "Balance")
    settle(data)
    _owe(entity, data, paid)
    return data


def payment(company: Company, data: Json, now: datetime) -> Json:
    """Return the payment with its unapplied amount."""
    data = {"domain": "QBO", "sparse": False, "CurrencyRef": USD, **data}
    _named(company, data)
    data.setdefault("TxnDate", pacific(now).date().isoformat())
    data.setdefault("Line", [])
    data["UnappliedAmt"] = unapplied(data)
    return {k: v for k, v in data.items() if k != "ExchangeRate"}


def customer(company: Company, data: Json, old: Json) -> Json:
    """Return the customer with its derived names and its place in the tree."""
    data = {**_CUSTOMER, **data}
    parts = [data[name] for name in ("GivenName", "MiddleName", "FamilyName") if name in data]
    name = data.get("DisplayName") or " ".join(parts) or data.get("CompanyName") or ""
    if data["Active"] is False and old.get("Active", True) and not name.endswith(DELETED):
        name += DELETED
    elif data["Active"] is True and old.get("Active") is False:
        name = name.removesuffix(DELETED)
    data["DisplayName"] = data["FullyQualifiedName"] = name
    data.setdefault("PrintOnCheckName", name)
    parent = company.shelves["Customer"].get(str(data.get("ParentRef", {}).get("value", "")))
    if data["Job"] and parent is not None:
        above = parent.data
        data["Level"] = int(above.get("Level", 0)) + 1
        data["FullyQualifiedName"] = f"{above.get('FullyQualifiedName', '')}:{name}"
    return data


def next_number(company: Company, entity: str) -> str:
    """Return the number after the highest of the newest 50."""
    newest = company.shelves[entity].by_id()[-50:]
    numbers = [record.data.get("DocNumber", "") for record in newest]
    return str(max((int(n) for n in numbers if n.isdecimal() and n.isascii()), default=1000) + 1)


def _named(company: Company, data: Json) -> Json:
    """Set the customer's name in the reference; return the customer."""
    found = company.shelves["Customer"].get(str(data["CustomerRef"]["value"]))
    if found is None:
        return {}
    data["CustomerRef"] = {"value": found.id, "name": found.data.get("DisplayName", "")}
    return found.data


def _local(company: Company, data: Json) -> None:
    """Remove the tax mode of an American company, and the exchange rate of the home currency."""
    if company.info.data.get("Country", "US") == "US":
        data.pop("GlobalTaxCalculation", None)
        data.setdefault("TxnTaxDetail", {"TotalTax": 0})
        data["Line"] = [_with_tax_code(line) for line in data["Line"]]
    if data["CurrencyRef"].get("value") == USD["value"]:
        for name in ("ExchangeRate", "HomeTotalAmt", "HomeBalance"):
            data.pop(name, None)


def _with_tax_code(line: Json) -> Json:
    if line.get("DetailType") != SALES:
        return line
    detail = {"TaxCodeRef": {"value": "NON"}, **line.get(SALES, {})}
    return {**line, SALES: detail}


def _numbered(lines: list[Json]) -> list[Json]:
    sales = [line for line in lines if line.get("DetailType") != SUBTOTAL]
    taken = {str(line["Id"]) for line in sales if line.get("Id")}
    free = (str(n) for n in range(1, len(sales) + len(taken) + 1) if str(n) not in taken)
    return [
        {**line, "Id": str(line.get("Id") or next(free)), "LineNum": number}
        for number, line in enumerate(sales, 1)
    ]


def _owe(entity: str, data: Json, paid: Decimal) -> None:
    data["Balance"] = max(data["TotalAmt"] - paid, Decimal(0))
    if "HomeBalance" in data:
        data["HomeBalance"] = cents(data["Balance"] * money(data, "ExchangeRate", 1))
    if entity == "CreditMemo":
        data["RemainingCredit"] = data["Balance"]


def _in_thirty_days(day: str) -> str:
    try:
        return (date.fromisoformat(day) + timedelta(days=30)).isoformat()
    except ValueError:
        return day

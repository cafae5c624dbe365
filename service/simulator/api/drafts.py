"""Completes the objects that a client sends, as QuickBooks does."""

from datetime import date, datetime, timedelta
from decimal import Decimal

from service.simulator.books.company import Company
from service.simulator.books.ledger import DELETED
from service.simulator.books.schema import KEPT, READ_ONLY, writable
from service.simulator.books.totals import (
    DISCOUNT,
    SALES,
    SUBTOTAL,
    cents,
    money,
    settle,
    unapplied,
)
from service.simulator.clock import pacific
from service.simulator.generate.variants import USD
from service.simulator.records import Json
from service.simulator.switches import Switches

_SALE: Json = {
    "domain": "QBO",
    "sparse": False,
    "ApplyTaxAfterDiscount": False,
    "PrintStatus": "NeedToPrint",
    "EmailStatus": "NotSet",
}
_SALES: dict[str, Json] = {
    "Invoice": {
        "AllowIPNPayment": False,
        "AllowOnlinePayment": False,
        "AllowOnlineCreditCardPayment": False,
        "AllowOnlineACHPayment": False,
        "LinkedTxn": [],
        **_SALE,
    },
    "CreditMemo": _SALE,
    "Estimate": {**_SALE, "TxnStatus": "Pending"},
    "SalesReceipt": {**_SALE, "DepositToAccountRef": {"value": "4", "name": "Undeposited Funds"}},
}
_PAYMENT: Json = {
    "DepositToAccountRef": {"value": "4"},
    "ProcessPayment": False,
    "domain": "QBO",
    "sparse": False,
    "CurrencyRef": USD,
}
_VENDOR: Json = {
    "Balance": 0,
    "Vendor1099": False,
    "CurrencyRef": USD,
    "domain": "QBO",
    "sparse": False,
    "Active": True,
}
_DISCOUNTS: Json = {"value": "86", "name": "Discounts given"}
_NAME_VALUE: Json = {
    "name": "{http://schema.intuit.com/finance/v3}NameValue",
    "declaredType": "com.intuit.schema.finance.v3.NameValue",
    "scope": "javax.xml.bind.JAXBElement$GlobalScope",
    "nil": False,
    "globalScope": True,
    "typeSubstituted": False,
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
    stays = (*READ_ONLY[entity], *KEPT)
    kept = {k: v for k, v in old.items() if given.get("sparse") is True or k in stays}
    return {k: v for k, v in {**kept, **changed}.items() if v is not None}


def sale(
    company: Company,
    entity: str,
    data: Json,
    old: Json,
    now: datetime,
    switches: Switches,
    *,
    sparse: bool = False,
) -> Json:
    """Return the invoice or other sale with dates, number, addresses, totals and balance.

    Without TxnDate it is of today, which is also what a full update that omits it leads to.
    """
    given = data
    data = {**_SALES[entity], "CurrencyRef": USD, **data}
    data["TxnDate"] = str(data.get("TxnDate") or pacific(now).date().isoformat())[:10]
    if entity == "Invoice":
        data.setdefault("DueDate", _in_thirty_days(data["TxnDate"]))
    if "DocNumber" not in data and not old and not switches.custom_numbers:
        data["DocNumber"] = next_number(company, entity)
    data["CustomField"] = company.profile.with_definitions(data.get("CustomField", []))
    if data["EmailStatus"] == "NeedToSend":
        data.setdefault("DeliveryInfo", {"DeliveryType": "Email"})
    buyer = _named(company, data)
    _address(company, data, old, {} if sparse else buyer or old)
    data["Line"] = [_with_item(company, line) for line in _numbered(data["Line"])]
    _local(company, data)
    paid = money(old, "TotalAmt") - money(old, "Balance")
    settle(data)
    _owe(entity, data, paid)
    data = company.profile.like_the_others(entity, data, given)
    return _with_all_fields(company, entity, data, old) if _has_all(company, switches) else data


def payment(company: Company, data: Json, now: datetime) -> Json:
    """Return the payment with its unapplied amount; the caller has taken its effect back."""
    data = company.profile.like_the_others("Payment", {**_PAYMENT, **data}, data)
    _named(company, data)
    data["TxnDate"] = str(data.get("TxnDate") or pacific(now).date().isoformat())[:10]
    data["Line"] = [_explained(company, line) for line in data.get("Line", [])]
    data["UnappliedAmt"] = unapplied(data)
    return {k: v for k, v in data.items() if k != "ExchangeRate"}


def vendor(company: Company, data: Json, old: Json) -> Json:
    """Return the vendor with its derived names."""
    data = {**_VENDOR, **data}
    return _named_person(company, data, old)


def customer(company: Company, data: Json, old: Json, switches: Switches) -> Json:
    """Return the customer with its derived names and its place in the tree."""
    recent = {"IsProject": False} if _has_all(company, switches) else {}
    data = _named_person(company, {**_CUSTOMER, **recent, **data}, old)
    name = data["FullyQualifiedName"] = data["DisplayName"]
    if data["Taxable"] is True:
        data.setdefault("DefaultTaxCodeRef", {"value": "2"})
    parent = company.shelves["Customer"].get(str(data.get("ParentRef", {}).get("value", "")))
    if data["Job"] and parent is not None:
        above = parent.data
        data["Level"] = int(above.get("Level", 0)) + 1
        data["FullyQualifiedName"] = f"{above.get('FullyQualifiedName', '')}:{name}"
    return data


def _named_person(company: Company, data: Json, old: Json) -> Json:
    parts = [data[name] for name in ("GivenName", "MiddleName", "FamilyName") if name in data]
    name = data.get("DisplayName") or " ".join(parts) or data.get("CompanyName") or ""
    if data["Active"] is False and old.get("Active", True) and not name.endswith(DELETED):
        name += DELETED
    elif data["Active"] is True and old.get("Active") is False:
        name = name.removesuffix(DELETED)
    data["DisplayName"] = name
    data.setdefault("PrintOnCheckName", data.get("CompanyName") or " ".join(parts) or name)
    for place in ("BillAddr", "ShipAddr"):
        if isinstance(data.get(place), dict):
            data[place] = company.profile.with_id(data[place], old.get(place))
    return data


def _has_all(company: Company, switches: Switches) -> bool:
    return company.profile.has_all_fields(switches)


def _address(company: Company, data: Json, old: Json, own: Json) -> None:
    """Fill in these addresses of the customer where none are given, and number the new ones."""
    billed = own.get("BillAddr")
    for place, address in (("BillAddr", billed), ("ShipAddr", own.get("ShipAddr", billed))):
        if address:
            data.setdefault(place, address)
        if isinstance(data.get(place), dict):
            data[place] = company.profile.with_id(data[place], old.get(place))


def _with_item(company: Company, line: Json) -> Json:
    """Return a line whose item has its name."""
    ref = line.get(SALES, {}).get("ItemRef")
    if not isinstance(ref, dict) or "value" not in ref:
        return line
    named = {"value": ref["value"], "name": company.profile.item_name(str(ref["value"]))}
    detail = {k: v for k, v in line[SALES].items() if k != "RatePercent"}  # never answered
    return {**line, SALES: {**detail, "ItemRef": {**named, **ref}}}


def _with_all_fields(company: Company, entity: str, data: Json, old: Json) -> Json:
    """Return the sale with what QuickBooks of 2026 adds to its lines and to the whole."""
    data = {"FreeFormAddress": True, **data}
    data["Line"] = [_with_account(company, line) for line in data["Line"]]
    if not old or "ShipFromAddr" in old:
        sent_from = old.get("ShipFromAddr") or company.profile.with_id(_own_address(company))
        data.setdefault("ShipFromAddr", sent_from)
    if entity == "Invoice":
        author = {"value": company.user}
        data["MetaData"] = {**data.get("MetaData", {}), "LastModifiedByRef": author}
        if data.get("AllowOnlineCreditCardPayment") is True and "BillEmail" in data:
            data.setdefault("InvoiceLink", f"{_PAY_PAGE}{company.realm}-{data.get('DocNumber')}")
    return data


_PAY_PAGE = "https://developer.intuit.com/comingSoonview/scs-v1-"


def _with_account(company: Company, line: Json) -> Json:
    if line.get("DetailType") != SALES:
        return line
    detail = line.get(SALES, {})
    item = str(detail.get("ItemRef", {}).get("value", "1"))
    detail = {"ItemAccountRef": company.profile.item_account(item), **detail}
    return {"CustomExtensions": [], **line, SALES: detail}


def _own_address(company: Company) -> Json:
    """Return where the company is, in the two lines of a free form address."""
    own = company.info.data.get("CompanyAddr")
    own = own if isinstance(own, dict) else {}
    place = f"{own.get('City', 'San Pablo')}, {own.get('CountrySubDivisionCode', 'CA')}"
    post_code = own.get("PostalCode", "87999")
    return {"Line1": own.get("Line1", "123 Sierra Way"), "Line2": f"{place}  {post_code}"}


def _explained(company: Company, line: Json) -> Json:
    """Return a payment's line with what QuickBooks says about the invoice that it pays."""
    link: Json = next(iter(line.get("LinkedTxn", [])), {})
    invoice = company.shelves["Invoice"].get(str(link.get("TxnId", "")))
    if link.get("TxnType") != "Invoice" or invoice is None or "LineEx" in line:
        return line
    facts = {
        "txnId": invoice.id,
        "txnOpenBalance": f"{cents(money(invoice.data, 'Balance'))}",
        "txnReferenceNumber": invoice.data.get("DocNumber"),
    }
    known = [{"Name": name, "Value": value} for name, value in facts.items() if value]
    return {**line, "LineEx": {"any": [{**_NAME_VALUE, "value": fact} for fact in known]}}


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
    """Return the lines with Id and LineNum, which subtotals and discounts do not have."""
    sales = [line for line in lines if line.get("DetailType") not in (SUBTOTAL, DISCOUNT)]
    taken = {str(line["Id"]) for line in sales if line.get("Id")}
    free = (str(n) for n in range(1, len(sales) + len(taken) + 1) if str(n) not in taken)
    return [
        {**line, "Id": str(line.get("Id") or next(free)), "LineNum": number}
        for number, line in enumerate(sales, 1)
    ] + [_discount(line) for line in lines if line.get("DetailType") == DISCOUNT]


def _discount(line: Json) -> Json:
    detail = {"DiscountAccountRef": _DISCOUNTS, **line.get(DISCOUNT, {})}
    plain = {k: v for k, v in line.items() if k not in ("Id", "LineNum")}
    return {**plain, DISCOUNT: detail}


def _owe(entity: str, data: Json, paid: Decimal) -> None:
    if entity == "Estimate":
        data.pop("Balance")
        data.pop("HomeBalance", None)
        return
    if entity == "SalesReceipt":
        paid = data["TotalAmt"]
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

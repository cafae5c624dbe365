"""The names and variants of generated invoices, one function for each variant (reference 4.2)."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from service.simulator.books.ledger import voided
from service.simulator.books.totals import DISCOUNT, GROUP, cents, gross
from service.simulator.records import Json

USD: Json = {"value": "USD", "name": "United States Dollar"}
EUR: Json = {"value": "EUR", "name": "Euro"}
CAD: Json = {"value": "CAD", "name": "Canadian Dollar"}

COMPANIES = (
    {
        "CompanyName": "Harborline Supply Co.",
        "LegalName": "Harborline Supply Company LLC",
        "Email": {"Address": "books@harborline.example.com"},
        "Country": "US",
        "CompanyAddr": {
            "Id": "1",
            "Line1": "1820 Dock Street",
            "City": "Oakland",
            "CountrySubDivisionCode": "CA",
            "PostalCode": "94607",
        },
    },
    {
        "CompanyName": "Juniper & Vale Catering",
        "LegalName": "Juniper and Vale Catering Inc.",
        "Email": {"Address": "office@junipervale.example.org"},
        "Country": "US",
        "CompanyAddr": {
            "Id": "1",
            "Line1": "77 Orchard Lane",
            "City": "Portland",
            "CountrySubDivisionCode": "OR",
            "PostalCode": "97205",
        },
    },
)

BUYERS = (
    "Alder Street Market", "Bayview Auto Parts", "Blue Heron Café", "Brightwater Marine",
    "Cedar & Pine Furniture", "Copperfield Brewing", "Crescent City Tools", "Dunmore Dental Group",
    "Eastgate Hardware", "Evergreen Landscaping", "Fairmont Property Services", "Foxglove Florists",
    "Granite Ridge Builders", "Greenfield Grocers", "Hollis & Daughters", "Ironwood Fabrication",
    "Jade Garden Restaurants", "Kestrel Logistics", "Lakeshore Veterinary", "Larkspur Hotels",
    "Maple Leaf Imports", "Meridian Printing", "Morrow Electrical", "North Fork Outfitters",
    "O'Brien's Bakery", "Olive Branch Deli", "Pacific Crest Cycles", "Pinecrest School District",
    "Quarry Lane Pools", "Redwood Roofing", "Rosetti Fine Foods", "Saltbox Interiors",
    "Sonnenschein Family Store", "Summit Physical Therapy", "Thistle & Thorn", "Tidewater Boats",
    "Union Square Hobbies", "Vermilion Paints", "Wexford Janitorial", "Zephyr Coffee Roasters",
)  # fmt: skip

PROJECTS = ("Warehouse fit-out", "55 Twin Lane", "Spring opening", "Store no. 2")

PEOPLE = (
    ("Amelia", "Okafor"), ("Ben", "Larsen"), ("Carmen", "Ruiz"), ("Dev", "Patel"),
    ("Elena", "Marino"), ("Farid", "Haddad"), ("Grace", "Kim"), ("Henry", "Walsh"),
)  # fmt: skip

GOODS = (
    ("Steel shelving unit", "84.50"), ("Pallet wrap, case", "46.20"), ("Hand truck", "119.00"),
    ("Safety gloves, box", "18.75"), ("Delivery, zone 2", "35.00"), ("LED work light", "64.00"),
    ("Forklift hire, day", "210.00"), ("Loading straps, set", "27.99"), ("Cable ducts", "7.15"),
    ("Packing tape, carton", "31.40"), ("Site survey, hour", "75.00"), ("Floor paint", "41.90"),
    ("Heavy duty casters", "12.35"), ("Rubber matting, metre", "9.80"), ("Bin, set", "55.60"),
    ("Installation, hour", "62.50"),
)  # fmt: skip

CITIES = (
    ("Oakland", "CA", "94601"), ("Portland", "OR", "97201"), ("Reno", "NV", "89501"),
    ("Tacoma", "WA", "98402"), ("Sacramento", "CA", "95814"),
)  # fmt: skip


Change = Callable[[Json, Random], None]
SALES = "SalesItemLineDetail"


def nothing(_: Json, __: Random) -> None:
    """Leave the invoice as it is."""


@dataclass(frozen=True)
class Variant:
    """Changes before and after the totals, and the paid share."""

    shape: Change = nothing
    finish: Change = nothing
    paid: str | None = None


def _without(*names: str) -> Change:
    def change(data: Json, _: Random) -> None:
        for name in names:
            data.pop(name, None)

    return change


def _base(data: Json) -> Decimal:
    return sum((gross(line) for line in data["Line"]), Decimal(0))


def _taxed(*rates: str) -> Change:
    """Tax by one rate with its code, or by several without one."""

    def change(data: Json, _: Random) -> None:
        base = _base(data)
        lines = [_tax_line(str(n), Decimal(rate), base) for n, rate in enumerate(rates, 3)]
        detail: Json = {"TxnTaxCodeRef": {"value": "2"}} if len(rates) == 1 else {}
        data["TxnTaxDetail"] = {
            **detail,
            "TotalTax": sum((line["Amount"] for line in lines), Decimal(0)),
            "TaxLine": lines,
        }

    return change


def _tax_line(ref: str, rate: Decimal, base: Decimal) -> Json:
    detail = {
        "TaxRateRef": {"value": ref},
        "PercentBased": True,
        "TaxPercent": rate,
        "NetAmountTaxable": base,
    }
    amount = cents(base * rate / 100)
    return {"Amount": amount, "DetailType": "TaxLineDetail", "TaxLineDetail": detail}


def _tax_of_zero(data: Json, _: Random) -> None:
    data["TxnTaxDetail"] = {"TotalTax": 0}


def _discount(percent: int | None) -> Change:
    def change(data: Json, random: Random) -> None:
        account = {"value": "86", "name": "Discounts given"}
        detail: Json = {"PercentBased": percent is not None, "DiscountAccountRef": account}
        if percent is not None:
            detail["DiscountPercent"] = percent
        amount = min(Decimal(random.randrange(5, 25)), _base(data))
        data["Line"].append({"Amount": amount, "DetailType": DISCOUNT, DISCOUNT: detail})

    return change


def _bundle(data: Json, _: Random) -> None:
    inner = {**data["Line"][0], "Amount": Decimal("6.37")}
    inner[SALES] = {**inner[SALES], "UnitPrice": Decimal("0.5306667"), "Qty": 12}
    item = {"value": "31", "name": "Starter kit"}
    group = {"GroupItemRef": item, "Quantity": 3, "Line": [inner, data["Line"][0]]}
    bundle = {"Id": "90", "LineNum": 90, "Description": "Starter kit", "Amount": 0}
    data["Line"].append({**bundle, "DetailType": GROUP, GROUP: group})


def _extra_line(item: str, name: str, amount: str) -> Change:
    def change(data: Json, _: Random) -> None:
        detail = {"ItemRef": {"value": item}, "TaxCodeRef": {"value": "NON"}}
        line = {"Id": "91", "LineNum": 91, "Amount": Decimal(amount)}
        data["Line"].append({**line, "Description": name, "DetailType": SALES, SALES: detail})

    return change


def _described(data: Json, _: Random) -> None:
    shown = f"Subtotal: {_base(data)}"
    for number, text in ((92, "Deliver before noon, gate 3"), (93, shown)):
        line = {"Id": str(number), "LineNum": number, "Description": text}
        data["Line"].append({**line, "DetailType": "DescriptionOnly", "DescriptionLineDetail": {}})


def _sales_without(*names: str) -> Change:
    def change(data: Json, _: Random) -> None:
        for line in data["Line"]:
            detail = {k: v for k, v in line[SALES].items() if k not in names}
            line[SALES] = detail

    return change


def _rounded(data: Json, _: Random) -> None:
    line = data["Line"][0]
    line["Amount"] = Decimal("33.33")
    line[SALES] |= {"UnitPrice": Decimal("11.1111"), "Qty": 3}
    line["LinkedTxn"] = [{"TxnId": "77", "TxnType": "Estimate"}]


def _foreign(currency: Json, rate: str) -> Change:
    def change(data: Json, _: Random) -> None:
        data |= {"CurrencyRef": currency, "ExchangeRate": Decimal(rate)}

    return change


def _inclusive(data: Json, random: Random) -> None:
    data |= {"GlobalTaxCalculation": "TaxInclusive", "ExchangeRate": 1}
    _taxed("5")(data, random)
    for line in data["Line"]:
        line[SALES]["TaxCodeRef"] = {"value": "5"}


def _addressed(address: str) -> Change:
    def change(data: Json, _: Random) -> None:
        data["BillEmail"] = {"Address": address}

    return change


def _void(data: Json, _: Random) -> None:
    data.update(voided(data))


def _zero(data: Json, _: Random) -> None:
    for line in data["Line"]:
        line["Amount"] = 0
        line[SALES]["UnitPrice"] = 0


def _noted(data: Json, _: Random) -> None:
    data |= {"PrivateNote": "Asked for an itemised copy", "Deposit": 0, "FreeFormAddress": True}
    data["CustomField"] = [
        {"DefinitionId": "1", "Name": "Crew #", "Type": "StringType", "StringValue": "102"},
        {"DefinitionId": "2", "Name": "PO", "Type": "StringType", "StringValue": "4500-118"},
    ]
    data["DeliveryInfo"] = {"DeliveryType": "Email", "DeliveryTime": data["MetaData"]["CreateTime"]}


def _same_number(data: Json, _: Random) -> None:
    data["DocNumber"] = "PO-2026/17"


PLAIN = Variant()
TAXED = Variant(_taxed("8.25"))

VARIANTS: tuple[Variant, ...] = (
    PLAIN, TAXED, Variant(_noted), Variant(_without("BillEmail")), Variant(_discount(10)),
    PLAIN, Variant(_described), Variant(paid="0.4"), Variant(_without("DueDate", "SalesTermRef")),
    TAXED, Variant(_bundle), Variant(_without("DocNumber")), Variant(_taxed("7.25", "1.5")),
    PLAIN, Variant(paid="1"), Variant(_sales_without("Qty", "UnitPrice")),
    Variant(_foreign(EUR, "1.0842")), TAXED, Variant(finish=_void, paid="0"),
    Variant(_discount(None)),
    PLAIN, Variant(_extra_line("SHIPPING_ITEM_ID", "Shipping", "18.00")), Variant(_rounded),
    Variant(_addressed("orders@example.com, ap@example.com")), Variant(paid="0.25"),
    TAXED, Variant(_zero), Variant(_sales_without("UnitPrice")), Variant(_tax_of_zero),
    Variant(_extra_line("GRATUITY_ITEM_ID", "Gratuity", "25.00")), PLAIN, Variant(_inclusive),
    Variant(_same_number), Variant(_sales_without("ItemRef", "Qty")), TAXED,
    Variant(_foreign(CAD, "0.7311")), Variant(_addressed("not an address")),
    Variant(_without("CurrencyRef", "LinkedTxn")),
    PLAIN, Variant(_without("BillEmail", "DueDate", "DocNumber", "ShipAddr", "CustomerMemo")),
)  # fmt: skip

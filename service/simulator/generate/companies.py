"""Generates realistic companies, the same for the same seed, with dates around the present."""

import itertools
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from service.simulator.books.book import Book
from service.simulator.books.receivables import customer_of, owed, with_balances
from service.simulator.books.totals import CENT, settle
from service.simulator.clock import to_seconds
from service.simulator.generate.variants import (
    BUYERS,
    CITIES,
    COMPANIES,
    GOODS,
    PEOPLE,
    PROJECTS,
    USD,
    VARIANTS,
    Variant,
)
from service.simulator.generate.vast import FIRST_ID, SPAN, Series, template
from service.simulator.records import Json

STREETS = ("Main St.", "Cypress Ave.", "Mill Rd.")

VAST_REALM = "9341455000000003"
REALMS = ("9341455000000001", "9341455000000002")
INVOICES = (320, 90)
OLDEST = timedelta(days=190)
TERMS = ((15, "Net 15"), (30, "Net 30"), (60, "Net 60"))


def generated_book(now: datetime, seed: int = 1) -> Book:
    """Return two companies with invoices in every variant; the same after a restart that day."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    companies = {
        realm: _Maker(Random(f"{seed}-{realm}"), today).company(info, count)  # noqa: S311
        for realm, info, count in zip(REALMS, COMPANIES, INVOICES, strict=True)
    }
    return Book.of(companies, source="generated book")


def with_vast_company(book: Book, count: int) -> Book:
    """Return the book with one more company, which has `count` invoices.

    Its realm id is VAST_REALM, or the next one that no company of the book has.
    """
    free = (str(n) for n in itertools.count(int(VAST_REALM)) if str(n) not in book.companies)
    info = {"CompanyName": "Longshore Wholesale", "Country": "US"}
    company = {"CompanyInfo": info, "Generated": {"Invoice": count}}
    return Book({**book.companies, next(free): company})


def vast_company(now: datetime, count: int, seed: int = 1) -> tuple[Series, list[Json]]:
    """Return a series of `count` unpaid invoices, and their customers.

    Those of another seed have other numbers, amounts and buyers, so that hardly any is the same
    sale.
    """
    now = now.replace(microsecond=0)
    maker = _Maker(Random(f"{seed}-vast"), now, paying=False)  # noqa: S311
    buyers = customers(maker.random, to_seconds(now - SPAN))
    shapes = [maker.invoice(buyers, variant, now) for variant in VARIANTS * 10]
    amounts = [
        (customer_of(shape), owed("Invoice", shape) * len(range(place, count, len(shapes))))
        for place, shape in enumerate(shapes)
    ]
    first_number = FIRST_ID + 900 if seed == 1 else maker.random.randrange(10**6, 10**9)
    series = Series(count, now, tuple(template(shape) for shape in shapes), first_number)
    return series, with_balances(buyers, amounts)


@dataclass
class _Maker:
    """Makes one company; ids of transactions rise with time."""

    random: Random
    now: datetime
    last_id: int = 100
    paying: bool = True
    payments: list[Json] = field(default_factory=list)

    def company(self, info: Json, count: int) -> Json:
        first = to_seconds(self.now - OLDEST - timedelta(days=400))
        meta = {"CreateTime": first, "LastUpdatedTime": first}
        buyers = customers(self.random, first)
        step = OLDEST / count
        invoices = [
            self.invoice(buyers, VARIANTS[n % len(VARIANTS)], self._office_hours(n * step))
            for n in range(count)
        ]
        credits = [self._credit_memo(buyers, n) for n in range(3)]
        made = {"Invoice": invoices, "Payment": self.payments, "CreditMemo": credits}
        amounts = [
            (customer_of(data), owed(entity, data))
            for entity, records in made.items()
            for data in records
        ]
        return {
            "CompanyInfo": {"Id": "1", "MetaData": meta, "domain": "QBO", **info},
            "Customer": with_balances(buyers, amounts),
            **made,
        }

    def invoice(self, buyers: list[Json], variant: Variant, created: datetime) -> Json:
        buyer = self.random.choice([b for b in buyers if b["Active"]])
        id_ = self._next_id()
        data = self._plain(id_, buyer, created)
        variant.shape(data, self.random)
        settle(data)
        updated = min(created + timedelta(minutes=self.random.randrange(1, 4000)), self.now)
        data["MetaData"]["LastUpdatedTime"] = to_seconds(updated)
        if self.paying and data["TotalAmt"] > 0:
            self._pay(data, self._share(variant, self.now - created), updated)
        variant.finish(data, self.random)
        return data

    def _office_hours(self, since_oldest: timedelta) -> datetime:
        """Return a moment of that day between eight and four o'clock in California."""
        moment = self.now - OLDEST + since_oldest
        midnight = moment.replace(hour=0, minute=0, second=0)
        return min(midnight + timedelta(hours=16) + (moment - midnight) / 3, self.now)

    def _plain(self, id_: str, buyer: Json, created: datetime) -> Json:
        days, term = self.random.choice(TERMS)
        stamp = to_seconds(created)
        data: Json = {
            "AllowIPNPayment": False,
            "AllowOnlinePayment": False,
            "AllowOnlineCreditCardPayment": False,
            "AllowOnlineACHPayment": False,
            "domain": "QBO",
            "sparse": False,
            "Id": id_,
            "SyncToken": str(self.random.randrange(4)),
            "MetaData": {"CreateTime": stamp, "LastUpdatedTime": stamp},
            "CustomField": [{"DefinitionId": "1", "Name": "Crew #", "Type": "StringType"}],
            "DocNumber": str(900 + int(id_)),
            "TxnDate": stamp[:10],
            "CurrencyRef": USD,
            "LinkedTxn": [],
            "Line": [self._line(n) for n in range(1, self.random.randrange(2, 6))],
            "CustomerRef": {"value": buyer["Id"], "name": buyer["DisplayName"]},
            "CustomerMemo": {"value": "Thank you for your business."},
            "SalesTermRef": {"value": str(days // 15), "name": term},
            "DueDate": to_seconds(created + timedelta(days=days))[:10],
            "ApplyTaxAfterDiscount": False,
            "PrintStatus": "NeedToPrint",
            "EmailStatus": "NotSet",
        }
        if "BillAddr" in buyer:
            data["BillAddr"] = data["ShipAddr"] = buyer["BillAddr"]
        if "PrimaryEmailAddr" in buyer:
            data["BillEmail"] = {"Address": buyer["PrimaryEmailAddr"]["Address"]}
            data["EmailStatus"] = self.random.choice(("NeedToSend", "EmailSent"))
        return data

    def _line(self, number: int) -> Json:
        name, price = self.random.choice(GOODS)
        qty = self.random.choice((1, 1, 2, 3, 4, 6, 8, 10, 12, 20, 25, 40))
        item = str(GOODS.index((name, price)) + 1)
        return {
            "Id": str(number),
            "LineNum": number,
            "Description": name,
            "Amount": (Decimal(price) * qty).quantize(CENT),
            "DetailType": "SalesItemLineDetail",
            "SalesItemLineDetail": {
                "ItemRef": {"value": item, "name": name},
                "UnitPrice": Decimal(price),
                "Qty": qty,
                "TaxCodeRef": {"value": "TAX"},
            },
        }

    def _share(self, variant: Variant, age: timedelta) -> Decimal:
        """Return the paid share of an invoice: the older, the more likely all of it."""
        if variant.paid is not None:
            return Decimal(variant.paid)
        if age > timedelta(days=75):
            return Decimal(self.random.choice(("1", "1", "1", "0")))
        return Decimal(0)

    def _pay(self, invoice: Json, share: Decimal, at: datetime) -> None:
        amount = (invoice["TotalAmt"] * share).quantize(CENT)
        if not amount:
            return
        payment_id, stamp = self._next_id(), to_seconds(at)
        linked = [{"TxnId": invoice["Id"], "TxnType": "Invoice"}]
        invoice["Balance"] = invoice["TotalAmt"] - amount
        invoice["LinkedTxn"] = [{"TxnId": payment_id, "TxnType": "Payment"}]
        self.payments.append(
            {
                "CustomerRef": invoice["CustomerRef"],
                "TotalAmt": amount,
                "UnappliedAmt": 0,
                "domain": "QBO",
                "sparse": False,
                "Id": payment_id,
                "SyncToken": "0",
                "MetaData": {"CreateTime": stamp, "LastUpdatedTime": stamp},
                "TxnDate": stamp[:10],
                "Line": [{"Amount": amount, "LinkedTxn": linked}],
                "CurrencyRef": invoice.get("CurrencyRef", USD),
            }
        )

    def _credit_memo(self, buyers: list[Json], n: int) -> Json:
        created = self.now - timedelta(days=20 * (n + 1))
        data = self._plain(self._next_id(), buyers[n], created)
        del data["DueDate"], data["SalesTermRef"]
        settle(data)
        first, last = PEOPLE[n]
        return {
            **data,
            "RemainingCredit": data["TotalAmt"],
            "PrivateNote": f"Agreed with {first} {last}",
        }

    def _next_id(self) -> str:
        self.last_id += 1
        return str(self.last_id)


def customers(random: Random, created: str) -> list[Json]:
    """Return about forty customers, the last ones being sub-customers and one inactive one."""
    tops = [_top(random, number, name, created) for number, name in enumerate(BUYERS, 1)]
    first = len(tops) + 1
    subs = [_sub(first + n, tops[n], name, created) for n, name in enumerate(PROJECTS)]
    gone = _minimal(first + len(subs), "Old Mill Antiques (deleted)", created)
    return [*tops, *subs, {**gone, "Active": False}]


def _minimal(number: int, name: str, created: str) -> Json:
    """Return the least that a real customer has: no e-mail, no address."""
    return {
        "Taxable": True,
        "Job": False,
        "BillWithParent": False,
        "Balance": 0,
        "BalanceWithJobs": 0,
        "CurrencyRef": USD,
        "PreferredDeliveryMethod": "Print",
        "domain": "QBO",
        "sparse": False,
        "Id": str(number),
        "SyncToken": "0",
        "MetaData": {"CreateTime": created, "LastUpdatedTime": created},
        "FullyQualifiedName": name,
        "DisplayName": name,
        "PrintOnCheckName": name,
        "Active": True,
    }


def _top(random: Random, number: int, name: str, created: str) -> Json:
    data = _minimal(number, name, created)
    if number % 9 == 0:
        return data
    given, family = PEOPLE[number % len(PEOPLE)]
    city, state, code = CITIES[number % len(CITIES)]
    data |= {
        "GivenName": given,
        "FamilyName": family,
        "CompanyName": name,
        "PrimaryPhone": {"FreeFormNumber": f"(555) 555-{1000 + number}"},
        "PrimaryEmailAddr": {"Address": _email(number, name, given)},
        "BillAddr": {
            "Id": str(number + 1),
            "Line1": f"{random.randrange(10, 9900)} {random.choice(STREETS)}",
            "City": city,
            "CountrySubDivisionCode": state,
            "PostalCode": code,
        },
    }
    if number % 7 == 0:
        # After edits QuickBooks stores lines instead of parts.
        line3 = f"{city}, {state}  {code}"
        data["BillAddr"] = {
            "Id": str(number + 1),
            "Line1": f"{given} {family}",
            "Line2": data["BillAddr"]["Line1"],
            "Line3": line3,
            "Lat": "INVALID",
            "Long": "INVALID",
        }
    return data


def _sub(number: int, parent: Json, name: str, created: str) -> Json:
    return _minimal(number, name, created) | {
        "Job": True,
        "BillWithParent": number % 2 == 0,
        "ParentRef": {"value": parent["Id"]},
        "Level": 1,
        "FullyQualifiedName": f"{parent['DisplayName']}:{name}",
        "CompanyName": parent["DisplayName"],
    }


def _email(number: int, name: str, given: str) -> str:
    letters = "".join(c for c in name.lower() if c.isascii() and c.isalnum())
    domain = f"{letters}.example.{('com', 'org', 'net')[number % 3]}"
    address = f"{given.lower()}@{domain}"
    return f"{address}, accounts@{domain}" if number % 8 == 0 else address

"""Customers of a generated company: with and without addresses, parents and inactive ones."""

from random import Random

from service.simulator.records import Json
from service.simulator.samples import BUYERS, CITIES, PEOPLE, PROJECTS, USD

STREETS = ("Main St.", "Cypress Ave.", "Mill Rd.")


def customers(random: Random, created: str) -> list[Json]:
    """Return about forty customers; the last ones are sub-customers and one inactive one."""
    tops = [_top(random, number, name, created) for number, name in enumerate(BUYERS, 1)]
    first = len(tops) + 1
    subs = [_sub(first + n, tops[n], name, created) for n, name in enumerate(PROJECTS)]
    gone = _minimal(first + len(subs), "Old Mill Antiques (deleted)", created)
    return [*tops, *subs, {**gone, "Active": False}]


def _minimal(number: int, name: str, created: str) -> Json:
    """The least that a real customer has: no e-mail, no address."""
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
        # After edits QuickBooks keeps lines instead of parts.
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

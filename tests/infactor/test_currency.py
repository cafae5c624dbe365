"""What we never touch said to be in Infactor's currency is not silently taken for it."""

from decimal import Decimal
from typing import Any

import pytest

from service.infactor.mapping import Mapped, SupplierDetails, map_invoice
from tests.builders import hold_of

SUPPLIER = SupplierDetails("s@example.com", "S", "local")


def mapped(
    fields: dict[str, Any], country: str = "US", customer: Any = None, infactors: str = "USD"
) -> Mapped:
    raw = {
        "Id": "1",
        "MetaData": {"CreateTime": "2026-09-29T05:58:07-07:00"},
        "DocNumber": "1",
        "DueDate": "2026-10-29",
        "TotalAmt": Decimal("10.00"),
        "Balance": Decimal("10.00"),
        "CustomerRef": {"value": "24", "name": "Sonnenschein"},
        "BillEmail": {"Address": "buyer@example.com"},
        **fields,
    }
    return map_invoice(
        raw, [customer or {}], SUPPLIER, "qbk-1", currency=infactors, country=country
    )


def verdict(found: Mapped, infactors: str = "USD") -> tuple[str | None, str | None, list[str]]:
    """Return the currency, the hold, and the warnings."""
    hold = hold_of(found, infactors)
    return found.currency, hold, [warning.code.value for warning in found.warnings]


def billed_to(country: Any) -> dict[str, Any]:
    return {"BillAddr": {"Line1": "1 Main", "Country": country}}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"CurrencyRef": None},
        {"CurrencyRef": {}},
        {"CurrencyRef": {"value": "", "name": " "}},
        {"BillAddr": {"Line1": "1 Main", "CountrySubDivisionCode": "CA"}},
        *(
            billed_to(text)
            for text in ("US", "USA", "U.S.A.", "united states", "United States of America")
        ),
        *(billed_to(text) for text in ("Puerto Rico", "", "-", None, 7)),
        {"BillAddr": "1 Main, Germany"},
        {"ExchangeRate": 1},
        {"ExchangeRate": Decimal("1.0000"), "HomeTotalAmt": Decimal("10.0")},
        {"ExchangeRate": "1", "HomeTotalAmt": "10"},
        {"ExchangeRate": None, "HomeTotalAmt": None},
        {"HomeTotalAmt": Decimal("10.000000001")},
    ],
)
@pytest.mark.parametrize("country", ["US", "USA", ""])
def test_a_company_without_multicurrency_is_in_its_home_currency(
    fields: dict[str, Any], country: str
) -> None:
    assert verdict(mapped(fields, country)) == (None, None, [])


@pytest.mark.parametrize(
    "fields",
    [
        *(
            billed_to(text)
            for text in ("Germany", "DE", "DEU", "U.K.", "Canada", "Atlantis", "日本")
        ),
        {"CurrencyRef": {"name": "Euro"}},
        {"CurrencyRef": {"value": "", "name": "United States Dollar"}},
        {"CurrencyRef": {"value": None, "name": "Euro"}},
        {"ExchangeRate": Decimal("1.09")},
        {"ExchangeRate": 0},
        {"ExchangeRate": "0.0091"},
        {"ExchangeRate": "rubbish"},
        {"ExchangeRate": 1, "HomeTotalAmt": Decimal("10.90")},
        {"HomeTotalAmt": Decimal("10.90")},
        {**billed_to("Germany"), "ExchangeRate": 1},
    ],
)
def test_what_speaks_against_it_is_told_and_held(fields: dict[str, Any]) -> None:
    assert verdict(mapped(fields)) == ("XXX", "currency", ["unnamed_currency"])


@pytest.mark.parametrize(
    ("country", "currency"),
    [
        *(("GB", "GBP"), ("United Kingdom", "GBP"), ("GBR", "GBP"), ("CA", "CAD"), ("IND", "INR")),
        *(("Australia", "AUD"), ("México", "MXN"), ("JP", "JPY"), ("fr", "EUR")),
    ],
)
@pytest.mark.parametrize("billed", [{}, billed_to("US"), {"ExchangeRate": 1}])
def test_a_foreign_companys_home_currency_is_its_own(
    country: str, currency: str, billed: dict[str, Any]
) -> None:
    found = verdict(mapped(billed, country))
    assert found == (currency, "currency", ["unnamed_currency"])


def test_the_customers_currency_is_its_invoices() -> None:
    customer = {"CurrencyRef": {"value": "EUR"}}
    assert verdict(mapped({}, customer=customer))[:2] == ("EUR", "currency")
    assert verdict(mapped({}, customer={"CurrencyRef": {"value": "USD"}})) == (None, None, [])


@pytest.mark.parametrize("country", ["US", "GB", "Atlantis", ""])
@pytest.mark.parametrize("rate", [1, Decimal("1.25")])
def test_a_currency_that_is_named_counts_whatever_else_is_there(
    country: str, rate: int | Decimal
) -> None:
    named = {"CurrencyRef": {"value": "USD"}, "ExchangeRate": rate, **billed_to("Germany")}
    if (country, rate) != ("US", Decimal("1.25")):
        assert verdict(mapped(named, country)) == ("USD", None, [])
    other = {**named, "CurrencyRef": {"value": "EUR", "name": "Euro"}}
    assert verdict(mapped(other, country)) == ("EUR", "currency", [])


@pytest.mark.parametrize(
    ("infactors", "country", "billed"),
    [
        ("EUR", "DE", "France"),
        ("EUR", "Germany", "DE"),
        ("GBP", "GB", "England"),
        ("INR", "India", "IND"),
        ("USD", "Liberia", "liberia"),
    ],
)
def test_the_companys_own_country_is_normal(infactors: str, country: str, billed: str) -> None:
    found = mapped(billed_to(billed), country, infactors=infactors)
    assert verdict(found, infactors) == (None, None, [])


@pytest.mark.parametrize(
    "amounts", [{"ExchangeRate": Decimal("1.25")}, {"HomeTotalAmt": Decimal("12.50")}]
)
def test_what_is_converted_from_the_home_currency_into_itself_is_not_in_it(
    amounts: dict[str, Any],
) -> None:
    named = {"CurrencyRef": {"value": "USD"}, **amounts}
    assert verdict(mapped(named, "US")) == ("XXX", "currency", ["unnamed_currency"])
    assert verdict(mapped(named, "CA")) == ("USD", None, [])


def test_another_infactors_dollars_are_foreign() -> None:
    found = mapped({}, "US", infactors="EUR")
    assert verdict(found, "EUR") == ("USD", "currency", ["unnamed_currency"])

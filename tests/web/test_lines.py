"""The lines of an invoice, as its page tells them."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from service.kit import exact_json
from service.web.supplier.invoice_view import Line, Sums, lines_of, sums_of, taxes_of
from service.web.templating import STATIC, time_tag
from service.wording import day, money

PAYLOADS = Path(__file__).parents[1] / "payloads"


def payload(name: str) -> dict[str, Any]:
    return exact_json.decode((PAYLOADS / f"{name}.json").read_bytes())["Invoice"]


def test_a_discount_is_taken_off() -> None:
    kinds = {line.kind: line for line in lines_of(payload("typical")["Line"])}
    assert kinds["sale"].text == "Rock Fountain"
    assert kinds["subtotal"] == Line("subtotal", "Subtotal", amount=Decimal("275.00"))
    assert kinds["discount"] == Line("discount", "Discount of 10 %", amount=Decimal("-27.50"))


def test_a_bundle_is_its_parts() -> None:
    lines = lines_of(payload("bundle")["Line"])
    bundle = next(line for line in lines if line.kind == "bundle")
    parts = [line for line in lines if line.inside]
    assert parts
    assert bundle.amount == sum(part.amount for part in parts)


def a_bundle(amount: Any, *parts: Any) -> dict[str, Any]:
    inner = [{"DetailType": "SalesItemLineDetail", "Amount": part} for part in parts]
    detail = {"Quantity": 3, "Line": inner} if parts else {"Quantity": 3}
    return {"DetailType": "GroupLineDetail", "Amount": amount, "GroupLineDetail": detail}


@pytest.mark.parametrize(
    ("bundle", "amount"),
    [
        (a_bundle(Decimal("75.50")), "75.50"),
        (a_bundle(Decimal("75.50"), None, None), "75.50"),
        (a_bundle("75.50", "rubbish"), "75.50"),
        (a_bundle(0, 25, Decimal("50.50")), "75.50"),
        (a_bundle(Decimal("80"), 25, Decimal("50.50")), "75.50"),
        (a_bundle(None), "0"),
        ({"DetailType": "GroupLineDetail", "Amount": 75, "GroupLineDetail": {"Line": []}}, "75"),
    ],
)
def test_a_bundle_without_amounts_inside_has_its_own(bundle: dict[str, Any], amount: str) -> None:
    assert lines_of([bundle])[0].amount == Decimal(amount)


@pytest.mark.parametrize("amount", [Decimal("10.00"), Decimal("-10.00")])
def test_tax_deducted_at_source_is_taken_off(amount: Decimal) -> None:
    sale = {"DetailType": "SalesItemLineDetail", "Amount": 100, "SalesItemLineDetail": {}}
    tds = {"DetailType": "TDSLineDetail", "Amount": amount, "TDSLineDetail": {}}
    lines = lines_of([sale, tds])
    assert lines[1] == Line("discount", "Tax deducted at source", amount=Decimal(-10))
    assert sums_of(lines, 0, 90) == Sums(Decimal(90), Decimal(0), tax_inside=False, rest=Decimal(0))


@pytest.mark.parametrize(
    ("amounts", "currency", "rest"),
    [
        (("300.03999999999996", "62.03"), "USD", "0"),
        (("300.03999999999996", "62.02"), "USD", "0.01"),
        (("361.6", "0"), "JPY", "0.07"),
    ],
)
def test_a_residue_in_a_line_is_no_rest(amounts: tuple[str, str], currency: str, rest: str) -> None:
    lines = [Line("sale", "x", amount=Decimal(amount)) for amount in amounts]
    found = sums_of(lines, 0, Decimal("362.07"), currency)
    assert found is not None
    assert found.rest == Decimal(rest)


@pytest.mark.parametrize("path", sorted(PAYLOADS.glob("*.json")), ids=lambda path: path.stem)
def test_every_payload_can_be_shown(path: Path) -> None:
    content = exact_json.decode(path.read_bytes())
    invoice = content.get("Invoice", content)
    assert all(line.text for line in lines_of(invoice.get("Line") or invoice.get("items") or []))
    taxes_of(invoice.get("TxnTaxDetail") or invoice.get("taxDetails") or {})


def test_lines_that_make_no_sense_are_shown_as_far_as_they_do() -> None:
    odd = [
        None,
        "text",
        {},
        {"DetailType": 5, "Amount": "x"},
        {"DetailType": "SalesItemLineDetail", "SalesItemLineDetail": [], "Amount": True},
        {"DetailType": "GroupLineDetail", "GroupLineDetail": {"Line": {"a": 1}}},
        {"DetailType": "DiscountLineDetail", "Amount": "12.5"},
    ]
    assert lines_of(odd) == [
        Line("other", "Other line"),
        Line("other", "Other line"),
        Line("sale", "Not described"),
        Line("bundle", "Bundle", amount=Decimal(0)),
        Line("discount", "Discount", amount=Decimal("-12.5")),
    ]
    assert taxes_of({"TaxLine": "x"}) == []


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (Decimal("1234567.5"), "1,234,567.50 USD"),
        (Decimal("-0.1"), "\u22120.10 USD"),
        (Decimal("0.5306667"), "0.5306667 USD"),
        (Decimal("5.68E-14"), "0.00 USD"),
        (0, "0.00 USD"),
        (None, "-"),
    ],
)
def test_money_has_two_decimals_or_as_many_as_it_needs(amount: Any, text: str) -> None:
    assert money(amount, "USD") == text


def test_a_day_is_written_for_people() -> None:
    assert [day("2026-02-03"), day(""), day("soon")] == ["3 Feb 2026", "-", "soon"]
    assert day("2026-02-03-08:00") == day("2026-02-03T00:00:00") == "3 Feb 2026"


@pytest.mark.parametrize(
    "when",
    [
        datetime(2026, 11, 20, 16, 19, 17, tzinfo=UTC),
        datetime(2026, 11, 20, 21, 49, 17, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    ],
)
def test_a_moment_is_in_utc_until_a_script_knows_the_readers_zone(when: datetime) -> None:
    assert time_tag(when) == (
        '<time datetime="2026-11-20T16:19:17+00:00" title="20 Nov 2026, 16:19:17 UTC">'
        "20 Nov 2026, 16:19 UTC</time>"
    )


def test_the_script_of_moments_looks_again_after_every_swap() -> None:
    script = (STATIC / "times.js").read_text()
    assert "Intl.DateTimeFormat" in script
    assert '"htmx:afterSettle"' in script
    assert '"htmx:oobAfterSwap"' in script

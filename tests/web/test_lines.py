"""The lines of an invoice, as its page tells them."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from service.kit import exact_json
from service.web.supplier.invoice_lines import Line, lines_of, taxes_of
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

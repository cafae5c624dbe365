"""What an invoice itself says, and how it came to be, as it is recorded and judged."""

from typing import Any

import pytest
from sqlalchemy import select, update

from service.database.tables import Invoice
from service.infactor.rules.facts import decoded, encoded
from tests.workers.delivering import Delivering
from tests.workers.world import World, an_invoice
from workers.rejudging import judge_company

PAPER = {"lines_differ", "not_sent", "pay_link", "round_amount"}


def signals(world: World) -> dict[str, dict[str, dict[str, str]]]:
    """Return the signals of each invoice, {code: figures}, by QuickBooks id."""
    with world.services.database.read() as session:
        rows = session.execute(select(Invoice.quickbooks_id, Invoice.signals)).all()
    return {i: {one["code"]: one["figures"] for one in reasons} for i, reasons in rows}


def a_line(amount: float) -> dict[str, Any]:
    detail = {"ItemRef": {"value": "1"}}
    return {"Amount": amount, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": detail}


def test_what_quickbooks_says_of_the_invoice_is_judged_when_it_is_recorded(world: World) -> None:
    fields = {"EmailStatus": "NeedToSend", "AllowOnlineACHPayment": True, "Line": [a_line(100.0)]}
    world.arrive(an_invoice("1", TotalAmt=5000.0, Balance=5000.0, **fields))

    found = signals(world)["1"]
    assert {code: found[code] for code in PAPER & found.keys()} == {
        "lines_differ": {"lines": "100.0", "total": "5000.0"},
        "not_sent": {},
        "pay_link": {},
        "round_amount": {"total": "5000.0"},
    }

    put_right = {"EmailStatus": "EmailSent", "Line": [a_line(4999.5)]}
    world.arrive(an_invoice("1", TotalAmt=4999.5, Balance=4999.5, **put_right))
    assert not PAPER & signals(world)["1"].keys()


def test_an_approved_invoice_that_can_be_paid_online_is_critical(delivering: Delivering) -> None:
    delivering.arrive(an_invoice("1", AllowOnlineCreditCardPayment=True))
    delivering.decide("1", state="invoice_accepted")
    delivering.arrive(an_invoice("1", AllowOnlineCreditCardPayment=True, PrivateNote="approved"))
    assert [(row[0], row[1], row[4]) for row in delivering.found("rule")] == [
        ("pay_link", "critical", "Online payment is on, and pays the supplier.")
    ]


def test_an_invoice_that_is_changed_often(world: World) -> None:
    for amount in (100.0, 110.0, 120.0, 130.0):
        world.arrive(an_invoice("1", TotalAmt=amount, Balance=amount))
    assert "edited_often" not in signals(world)["1"]

    # Neither a payment nor a note is a change of what was agreed.
    world.arrive(an_invoice("1", TotalAmt=130.0, Balance=30.0))
    world.arrive(an_invoice("1", TotalAmt=130.0, Balance=30.0, PrivateNote="called them"))
    assert "edited_often" not in signals(world)["1"]

    world.arrive(an_invoice("1", TotalAmt=130.0, Balance=130.0, DueDate="2099-12-31"))
    today = world.services.settings.today(world.connection().connected_at).isoformat()
    assert signals(world)["1"]["edited_often"] == {"last": today}


def test_changes_of_long_ago_do_not_count(world: World) -> None:
    for amount in (100.0, 110.0, 120.0, 130.0, 140.0):
        world.arrive(an_invoice("1", TotalAmt=amount, Balance=amount))
    assert "edited_often" in signals(world)["1"]
    with world.services.database.write() as session:
        invoice = session.scalars(select(Invoice)).one()
        days = decoded(invoice.facts).edited
        months_ago = encoded(decoded(invoice.facts)).replace(days[0].isoformat(), "2026-01-31")
        session.execute(update(Invoice).values(facts=months_ago))
    judge_company(world.services, world.connection_id)
    assert "edited_often" not in signals(world)["1"]


@pytest.mark.both_databases("the number before each is found in SQL, by its sorted form")
def test_numbers_that_are_missing(world: World) -> None:
    numbers = ["1001", "1002", "1013", "1025", "INV-0007", "INV-0040", "A1", "", "07", "1002-B"]
    invoices = [an_invoice(str(n), DocNumber=number) for n, number in enumerate(numbers, 1)]
    world.put("Invoice", *invoices)
    world.backfill()
    judge_company(world.services, world.connection_id)

    def gaps() -> dict[str, dict[str, str]]:
        return {
            i: found["number_gap"] for i, found in signals(world).items() if "number_gap" in found
        }

    assert gaps() == {
        "1": {"number": "1001", "before": "0007", "missing": "993"},
        "4": {"number": "1025", "before": "1013", "missing": "11"},
        "6": {"number": "INV-0040", "before": "INV-0007", "missing": "32"},
    }

    # Of one batch, each is the next one's number before.
    world.put("Invoice", *(an_invoice(str(n), DocNumber=str(1000 + n)) for n in range(26, 60)))
    world.backfill()
    world.arrive(an_invoice("60", DocNumber="1060"))
    world.arrive(an_invoice("71", DocNumber="1072"))
    judge_company(world.services, world.connection_id)
    assert gaps().keys() == {"1", "4", "6", "71"}


def test_no_gap_is_told_while_an_import_may_still_fill_it(world: World) -> None:
    world.put("Invoice", an_invoice("1", DocNumber="1001"), an_invoice("9", DocNumber="1099"))
    run_id = world.begin_backfill()
    world.advance(run_id)
    assert "number_gap" not in signals(world)["9"]
    while world.advance(run_id):
        pass
    judge_company(world.services, world.connection_id)
    assert signals(world)["9"]["number_gap"] == {
        "number": "1099",
        "before": "1001",
        "missing": "97",
    }


@pytest.mark.parametrize(
    "odd",
    [
        {"Line": [a_line(0.01)] * 10_000},
        {"TotalAmt": 999999999999.99, "Balance": 999999999999.99},
        {"DocNumber": "9" * 40},
        {"DocNumber": "١٢٣"},
        {"TxnDate": None, "DueDate": None, "CustomerRef": {}},
        {"DeliveryInfo": "soon", "TxnTaxDetail": {}, "InvoiceLink": 7},
    ],
)
def test_an_odd_invoice_is_judged_all_the_same(world: World, odd: dict[str, Any]) -> None:
    world.arrive(an_invoice("1", **odd))
    assert "1" in signals(world)

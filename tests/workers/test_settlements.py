"""Payments of approved invoices are read, not inferred from a lower balance."""

from typing import Any

from sqlalchemy import select

from service.database.tables import SettlementRow
from tests.workers.delivering import Delivering
from tests.workers.world import an_invoice, asked_for
from workers.settlements import ask_for_settlements, explain_payments


def approved(delivering: Delivering, *numbers: str) -> None:
    for number in numbers:
        delivering.arrive(an_invoice(number))
        delivering.decide(number, state="invoice_accepted")
    delivering.poll()


def asked(delivering: Delivering) -> list[str]:
    """Return for which companies the periodic job asks for payments."""
    broker = delivering.world.services.jobs.broker
    broker.flush_all()
    ask_for_settlements(delivering.world.services)
    return [row_id for name, row_id in asked_for(broker) if name == "explain_payments"]


def explain(delivering: Delivering) -> int:
    """Work as the job does; return how many reads of QuickBooks it took."""
    world = delivering.world
    before = world.calls()
    explain_payments(world.services, world.connection_id)
    return world.calls() - before


def settled(delivering: Delivering) -> list[tuple[Any, ...]]:
    return [(row[0], row[1], row[4]) for row in delivering.found("settled")]


def test_who_paid_when_and_how_much_is_read_once(delivering: Delivering) -> None:
    world = delivering.world
    approved(delivering, "1", "2")
    assert asked(delivering) == []
    world.pay("1", 40.0)
    world.hear("Invoice", "1", "updated")
    assert asked(delivering) == [world.connection_id]
    assert explain(delivering) == 1
    with world.services.database.read() as session:
        (row,) = session.scalars(select(SettlementRow)).all()
    assert (row.kind, f"{row.amount:.2f}", row.payer) == ("cash", "40.00", "Buyer Seven")
    assert settled(delivering) == [("cash", "critical", f"40 paid on {row.paid_on} by Buyer Seven")]
    assert asked(delivering) == []
    assert explain(delivering) == 0


def test_many_payments_are_read_at_once(delivering: Delivering) -> None:
    world = delivering.world
    approved(delivering, "1", "2", "3")
    for number in ("1", "2", "3"):
        world.pay(number)
        world.hear("Invoice", number, "updated")
    assert explain(delivering) == 1
    assert [kind for kind, *_ in settled(delivering)] == ["cash"] * 3


def test_a_write_off_and_cash_are_two_findings(delivering: Delivering) -> None:
    world = delivering.world
    approved(delivering, "1")
    links = {name: [{"TxnId": id_, "TxnType": name}] for name, id_ in (("Invoice", "1"),)}
    journal = [{"TxnId": "60", "TxnType": "JournalEntry"}]
    world.put(
        "Payment",
        {
            "Id": "90",
            "TotalAmt": 70.0,
            "TxnDate": "2026-11-30",
            "CustomerRef": {"value": "7", "name": "Buyer Seven"},
            "DepositToAccountRef": {"value": "35", "name": "Checking"},
            "Line": [
                {"Amount": 100.0, "LinkedTxn": links["Invoice"]},
                {"Amount": 30.0, "LinkedTxn": journal},
            ],
        },
    )
    world.hear("Invoice", "1", "updated")
    assert explain(delivering) == 1
    assert sorted(settled(delivering)) == [
        ("cash", "critical", "70 paid on 2026-11-30 by Buyer Seven into Checking"),
        (
            "write_off",
            "critical",
            "30 written off by a journal entry on 2026-11-30 by Buyer Seven",
        ),
    ]


def test_what_nobody_approved_is_not_read_for(delivering: Delivering) -> None:
    world = delivering.world
    delivering.arrive(an_invoice("1"))
    world.pay("1")
    world.hear("Invoice", "1", "updated")
    assert asked(delivering) == []
    assert explain(delivering) == 0


def test_payments_that_cannot_be_read_now_are_read_later(delivering: Delivering) -> None:
    world = delivering.world
    approved(delivering, "1")
    world.pay("1")
    world.hear("Invoice", "1", "updated")
    world.faults({"kind": "query", "status": 503})
    explain(delivering)
    assert settled(delivering) == []
    world.no_faults()
    world.let_time_pass()
    assert asked(delivering) == [world.connection_id]
    explain(delivering)
    assert [kind for kind, *_ in settled(delivering)] == ["cash"]

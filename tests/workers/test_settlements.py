"""Payments of approved invoices are read, not inferred from a lower balance."""

from typing import Any

from sqlalchemy import select

from service.database.tables import SettlementRow
from tests.workers.delivering import Delivering
from tests.workers.world import World, an_invoice, asked_for
from workers.settlements import ask_for_settlements, explain_payments


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
    delivering.approved("1", "2")
    assert asked(delivering) == []
    world.pay("1", 40.0)
    world.hear("Invoice", "1", "updated")
    assert asked(delivering) == [world.connection_id]
    assert explain(delivering) == 1
    with world.services.database.read() as session:
        (row,) = session.scalars(select(SettlementRow)).all()
    assert (row.kind, f"{row.amount:.2f}", row.payer) == ("cash", "40.00", "Buyer Seven")
    assert settled(delivering) == [
        ("cash", "critical", f"40.00 USD paid on {row.paid_on} by Buyer Seven")
    ]
    assert asked(delivering) == []
    assert explain(delivering) == 0


def test_many_payments_are_read_at_once(delivering: Delivering) -> None:
    world = delivering.world
    delivering.approved("1", "2", "3")
    for number in ("1", "2", "3"):
        world.pay(number)
        world.hear("Invoice", number, "updated")
    assert explain(delivering) == 1
    assert [kind for kind, *_ in settled(delivering)] == ["cash"] * 3


def link(entity: str, quickbooks_id: str, amount: float) -> dict[str, Any]:
    return {"Amount": amount, "LinkedTxn": [{"TxnId": quickbooks_id, "TxnType": entity}]}


def again(note: str) -> dict[str, Any]:
    """Return the first invoice, paid and with another note."""
    links = [{"TxnId": "91", "TxnType": "Payment"}]
    return an_invoice("1", Balance=0, PrivateNote=note, LinkedTxn=links)


def applied(delivering: Delivering, number: str, *lines: dict[str, Any]) -> None:
    """Let QuickBooks apply credits to an approved invoice of 100, and the rest be paid in cash."""
    world, credits = delivering.world, sum(one["Amount"] for one in lines)
    world.put(
        "Payment",
        {
            "Id": f"9{number}",
            "TotalAmt": 100.0 - credits,
            "TxnDate": "2026-11-30",
            "CustomerRef": {"value": "7", "name": "Buyer Seven"},
            "DepositToAccountRef": {"value": "35"},
            "Line": [link("Invoice", number, 100.0), *lines],
        },
    )
    world.hear("Invoice", number, "updated")


def credits(world: World) -> None:
    """Let QuickBooks have a credit memo, a journal entry, and the account that cash goes to."""
    buyer = {"value": "7", "name": "Buyer Seven"}
    item = {"ItemRef": {"value": "3", "name": "Pens"}, "ItemAccountRef": {"name": "Sales"}}
    world.put("Account", {"Id": "35", "Name": "Checking", "Active": False})
    world.put(
        "CreditMemo",
        {
            "Id": "50",
            "DocNumber": "CN-5",
            "TxnDate": "2026-11-15",
            "TotalAmt": 60.0,
            "CustomerRef": buyer,
            "Line": [{"Amount": 60.0, "SalesItemLineDetail": item}],
        },
    )
    entity = {"Type": "Customer", "EntityRef": buyer}
    lost = {"PostingType": "Debit", "AccountRef": {"value": "90", "name": "Bad Debts"}}
    owed = {"PostingType": "Credit", "AccountRef": {"value": "84"}, "Entity": entity}
    world.put(
        "JournalEntry",
        {
            "Id": "60",
            "TxnDate": "2026-11-20",
            "Line": [
                {"Amount": 20.0, "JournalEntryLineDetail": lost},
                {"Amount": 20.0, "JournalEntryLineDetail": owed},
            ],
        },
    )


def test_cash_credit_note_and_write_off_are_three_findings_of_what_was_read_once(
    delivering: Delivering,
) -> None:
    world = delivering.world
    delivering.approved("1", "2", "3")
    credits(world)
    applied(delivering, "1", link("CreditMemo", "50", 30.0), link("JournalEntry", "60", 20.0))
    applied(delivering, "2", link("CreditMemo", "50", 30.0))
    applied(delivering, "3")
    # All payments, all credit memos, all journal entries, all accounts.
    assert explain(delivering) == 4
    assert world.reads()["query"] >= 4  # they are metered
    on = "on 2026-11-30"
    cash = f"{on} by Buyer Seven, account Checking"
    credit = f"30.00 USD credited by note CN-5 of 2026-11-15 {on} for Buyer Seven, account Sales"
    lost = f"20.00 USD written off by entry of 2026-11-20 {on} for Buyer Seven, account Bad Debts"
    assert sorted(settled(delivering)) == [
        ("cash", "critical", f"100.00 USD paid {cash}"),
        ("cash", "critical", f"50.00 USD paid {cash}"),
        ("cash", "critical", f"70.00 USD paid {cash}"),
        ("credit_note", "critical", credit),
        ("credit_note", "critical", credit),
        ("write_off", "critical", lost),
    ]
    assert len({f.id for f in delivering.finding_rows() if f.kind == "settled"}) == 6
    assert explain(delivering) == 0


def test_one_that_quickbooks_cannot_show_keeps_back_no_other(delivering: Delivering) -> None:
    world = delivering.world
    delivering.approved("1", "2")
    credits(world)
    applied(delivering, "1", link("CreditMemo", "50", 30.0))
    applied(delivering, "2")
    world.poison("CreditMemo", "50")
    explain(delivering)
    kinds = sorted((kind, text.split(" on ")[0]) for kind, _, text in settled(delivering))
    assert kinds == [
        ("cash", "100.00 USD paid"),
        ("cash", "70.00 USD paid"),
        ("credit_note", "30.00 USD credited by note"),
    ]
    assert asked(delivering) == []


def test_what_is_known_of_one_that_cannot_be_shown_any_more_stays(delivering: Delivering) -> None:
    world = delivering.world
    delivering.approved("1")
    credits(world)
    applied(delivering, "1", link("CreditMemo", "50", 30.0))
    explain(delivering)
    known = sorted(settled(delivering))
    world.poison("CreditMemo", "50")
    delivering.arrive(again("a"))
    explain(delivering)
    assert sorted(settled(delivering)) == known
    world.poison("Payment", "91")
    delivering.arrive(again("b"))
    explain(delivering)
    assert sorted(settled(delivering)) == known
    assert [is_open for *_, is_open in delivering.found("settled")] == [True, True]
    assert asked(delivering) == []


def test_an_answer_that_broke_off_closes_nothing(delivering: Delivering) -> None:
    world = delivering.world
    delivering.approved("1")
    applied(delivering, "1")
    explain(delivering)
    delivering.arrive(again("a"))
    world.faults({"preset": "truncated", "count": 20})
    explain(delivering)
    assert [is_open for *_, is_open in delivering.found("settled")] == [True]
    world.no_faults()
    world.let_time_pass()
    assert asked(delivering) == [world.connection_id]


def test_an_invoice_that_is_unpaid_again_has_no_payment_any_more(delivering: Delivering) -> None:
    world = delivering.world
    delivering.approved("1")
    credits(world)
    applied(delivering, "1")
    explain(delivering)
    world.delete("Payment", "91")
    world.hear("Invoice", "1", "updated")
    assert asked(delivering) == [world.connection_id]
    assert explain(delivering) == 0  # nothing is linked to it
    assert [is_open for *_, is_open in delivering.found("settled")] == [False]
    with world.services.database.read() as session:
        assert session.scalars(select(SettlementRow)).all() == []
    assert asked(delivering) == []


def test_what_nobody_approved_is_not_read_for(delivering: Delivering) -> None:
    world = delivering.world
    delivering.arrive(an_invoice("1"))
    world.pay("1")
    world.hear("Invoice", "1", "updated")
    assert asked(delivering) == []
    assert explain(delivering) == 0


def test_payments_that_cannot_be_read_now_are_read_later(delivering: Delivering) -> None:
    world = delivering.world
    delivering.approved("1")
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

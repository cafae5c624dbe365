"""How much of a company may be withdrawn: a run or notices stop before it is a good part of it."""

from collections import Counter

import pytest
from sqlalchemy import update

from service.database.tables import Invoice, Run
from service.kit.clock import now
from service.store import approvals
from tests.workers.delivering import Delivering
from tests.workers.reconciling import finish, reconcile, reconciled_long_ago, watermark
from tests.workers.withdrawing import (
    ANOTHER,
    LET,
    TAKEN,
    approve,
    begin,
    begin_reconcile,
    books,
    change_settings,
    offered,
    paid_now,
    reject,
    states,
    stops,
)
from tests.workers.world import World, a_customer, an_event, an_invoice
from workers.company import CompanyContext
from workers.runs.backfill import rehearse_backfill


def test_a_backfill_that_would_withdraw_everything_withdraws_nothing(world: World) -> None:
    offered(world, 30)
    paid_now(world, 30)
    before = world.revisions()
    run_id = world.begin_backfill()
    began = now()
    assert world.advance(run_id) is False
    run = world.run(run_id)
    assert (run.state, run.confirmed, run.losses, run.cursor) == ("active", False, 0, None)
    assert run.halted_at is not None
    assert began <= run.halted_at <= now()
    assert run.error == (
        "it would withdraw 30 of the company's 30 undecided invoices (30 paid in QuickBooks; more"
        " than 4 need an operator's confirmation):"
        " 101, 102, 103, 104, 105, 106, 107, 108, 109, 1010, …"
    )
    assert states(world) == {LET: 30}
    assert set(world.holds().values()) == {None}
    assert world.revisions() == before
    assert run.tally["withdrawn"] == 0


@pytest.mark.parametrize(
    ("count", "paid", "allowed"),
    [
        (3, 3, None),
        (10, 4, None),
        (10, 5, 4),
        (100, 5, None),
        (100, 6, 5),
        (119, 6, 5),
        (120, 6, None),
        (400, 20, None),
        (400, 21, 20),
        (500, 21, 20),
    ],
)
def test_twenty_or_five_percent_but_always_four(
    world: World, count: int, paid: int, allowed: int | None
) -> None:
    offered(world, count)
    paid_now(world, paid)
    ended = finish(world, world.begin_backfill())
    if allowed is None:
        assert (ended["state"], ended["withdrawn"]) == ("done", paid)
        assert states(world).get(TAKEN) == paid
    else:
        assert ended["state"] == "active"
        assert ended["error"].startswith(
            f"it would withdraw {paid} of the company's {count} undecided invoices"
            f" ({paid} paid in QuickBooks; more than {allowed} need"
        )
        assert states(world) == {LET: count}


def test_what_earlier_pages_withdrew_counts(world: World) -> None:
    """Of 1,010 invoices 12 on the first page are paid and 9 on the second."""
    offered(world, 1010)
    books(world, 1010, *range(1, 13), *range(1002, 1011))
    run_id = world.begin_backfill()
    assert world.advance(run_id) is True
    assert world.run(run_id).tally["withdrawn"] == 12
    assert world.advance(run_id) is False
    run = world.run(run_id)
    assert run.halted_at is not None
    assert run.error == (
        "it would withdraw 21 of the company's 1010 undecided invoices, 12 of which are"
        " withdrawn already (9 paid in QuickBooks; more than 20 need an operator's"
        " confirmation): 101002, 101003, 101004, 101005, 101006, 101007, 101008, 101009, 101010"
    )
    assert states(world) == {LET: 998, TAKEN: 12}


def test_as_many_as_are_allowed_over_all_pages_are_withdrawn(world: World) -> None:
    offered(world, 1010)
    books(world, 1010, *range(1, 13), *range(1003, 1011))
    ended = world.backfill()
    assert (ended["withdrawn"], ended["error"]) == (20, None)


def test_only_undecided_invoices_count(world: World) -> None:
    """Of 120 invoices 21 are accepted: four of the other 99 may be withdrawn, and no fifth."""
    offered(world, 120)
    for n in range(1, 22):
        world.decide(str(n), state="invoice_accepted")
    books(world, 120, *range(22, 27))
    ended = finish(world, world.begin_backfill())
    assert ended["error"].startswith("it would withdraw 5 of the company's 99 undecided invoices")
    assert states(world) == {LET: 99, "invoice_accepted": 21}


def test_what_is_decided_is_not_withdrawn_and_does_not_count(world: World) -> None:
    offered(world, 30)
    for n in range(1, 27):
        world.decide(str(n), state="invoice_accepted")
    paid_now(world, 30)
    assert world.backfill()["withdrawn"] == 4
    assert states(world) == {TAKEN: 4, "invoice_accepted": 26}


def test_a_change_list_with_nothing_but_balances_of_zero_stops_the_reconcile(world: World) -> None:
    offered(world, 10)
    before = watermark(world)
    paid_now(world, 10)
    run_id = begin_reconcile(world)
    ended = finish(world, run_id)
    assert ended["state"] == "active"
    assert ended["error"].startswith("it would withdraw 10 of the company's 10 undecided invoices")
    assert (states(world), watermark(world)) == ({LET: 10}, before)
    approve(world, run_id)
    assert finish(world, run_id)["state"] == "done"
    assert states(world) == {TAKEN: 10}
    assert watermark(world) > before


def test_a_listing_with_nothing_but_balances_of_zero_stops_the_reconcile(world: World) -> None:
    """After a gap of fifty days all is read, page by page."""
    offered(world, 10)
    books(world, 10, *range(1, 11))
    reconciled_long_ago(world, days=50)
    run_id = begin_reconcile(world)
    ended = finish(world, run_id)
    assert ended["error"].startswith("it would withdraw 10 of the company's 10 undecided invoices")
    assert states(world) == {LET: 10}
    approve(world, run_id)
    ended = finish(world, run_id)
    assert (ended["state"], ended["error"], ended["withdrawn"]) == ("done", None, 10)
    assert states(world) == {TAKEN: 10}


@pytest.mark.parametrize("kind", ["backfill", "changes", "listing"])
def test_deletions_count(world: World, kind: str) -> None:
    """QuickBooks answers 610 for each: the whole company has gone, or it looks so."""
    offered(world, 6)
    for n in range(1, 7):
        world.delete("Invoice", str(n))
    run_id = begin(world, kind)
    ended = finish(world, run_id)
    assert ended["state"] == "active"
    assert ended["error"] == (
        "it would withdraw 6 of the company's 6 undecided invoices (6 deleted in QuickBooks; more"
        " than 4 need an operator's confirmation): 101, 102, 103, 104, 105, 106"
    )
    assert states(world) == {LET: 6}
    approve(world, run_id)
    ended = finish(world, run_id)
    assert (ended["state"], ended["error"], ended["withdrawn"]) == ("done", None, 6)
    assert states(world) == {TAKEN: 6}


@pytest.mark.both_databases("the statements are its own")
def test_different_reasons_are_told_apart(world: World) -> None:
    offered(world, 6)
    for n in (1, 2):
        world.delete("Invoice", str(n))
    world.put("Invoice", *(an_invoice(str(n), Balance=0) for n in (3, 4, 5)))
    world.put("Invoice", an_invoice("6", CurrencyRef={"value": "EUR"}))
    run_id = begin_reconcile(world)
    assert finish(world, run_id)["error"] == (
        "it would withdraw 6 of the company's 6 undecided invoices (3 paid, 2 deleted, 1 another"
        " currency in QuickBooks; more than 4 need an operator's confirmation): 101 (deleted),"
        " 102 (deleted), 103 (paid), 104 (paid), 105 (paid), 106 (another currency)"
    )
    assert Counter((world.run(run_id).would_withdraw or {}).values()) == {
        "paid": 3,
        "deleted": 2,
        "currency": 1,
    }
    approve(world, run_id)
    assert world.run(run_id).would_withdraw is None


def test_deletions_count_though_their_step_was_interrupted(world: World) -> None:
    """The four deletions are recorded, but the count that ends the run is not answered."""
    offered(world, 10)
    for n in range(1, 5):
        world.delete("Invoice", str(n))
    run_id = world.begin_backfill()
    assert world.advance(run_id) is True
    ordinary = {"kind": "query", "delay": 0.001, "count": 1}
    world.faults(ordinary, {"kind": "query", "status": 503, "count": 1})
    assert world.advance(run_id) is False
    assert world.run(run_id).tally["withdrawn"] == 4
    world.let_time_pass()
    ended = finish(world, run_id)
    assert (ended["state"], ended["withdrawn"]) == ("done", 4)


@pytest.mark.parametrize("days", [1, 50])
def test_what_is_withdrawn_by_mapping_it_anew_counts(world: World, days: int) -> None:
    """The currency in the settings was changed, and then a customer in QuickBooks."""
    dollars = {"CurrencyRef": {"value": "USD"}}
    world.put("Invoice", *(an_invoice(str(n), **dollars) for n in range(1, 7)))
    world.backfill()
    world.pass_time_in_quickbooks(minutes=10)
    reconcile(world)
    world.pass_time_in_quickbooks(minutes=10)
    world.put("Customer", a_customer(PrimaryEmailAddr={"Address": "new@example.com"}))
    change_settings(world, infactor_currency="EUR")
    if days > 1:
        reconciled_long_ago(world, days=days)
    run_id = begin_reconcile(world)
    ended = finish(world, run_id)
    assert ended["error"].startswith("it would withdraw 6 of the company's 6 undecided invoices")
    assert states(world) == {LET: 6}
    approve(world, run_id)
    ended = finish(world, run_id)
    assert (ended["state"], ended["withdrawn"]) == ("done", 6)


@pytest.mark.both_databases("the statements are its own")
def test_another_company_is_counted_by_itself(world: World) -> None:
    offered(world, 10)
    first = world.connection_id
    world.connect(ANOTHER, "another@example.com")
    world.put("Customer", a_customer(), realm=ANOTHER)
    offered(world, 400, realm=ANOTHER)
    another, world.connection_id = world.connection_id, first
    paid_now(world, 5)
    run_id = world.begin_backfill()
    assert finish(world, run_id)["error"].startswith("it would withdraw 5 of the company's 10 ")
    world.connection_id = another
    books(world, 400, *range(1, 21), realm=ANOTHER)
    assert world.backfill()["withdrawn"] == 20
    assert stops(world) == [(first, f"infactor-quickbooks confirm --run {run_id} --dry-run")]


def told(world: World, *ids: str) -> None:
    """Let a notice of each of these invoices come, or of a payment that names none."""
    events = [an_event("Invoice", i, "updated") for i in ids]
    world.webhook(*(events or [an_event("Payment", "900", "created")]))
    world.let_time_pass()
    world.sync()


def waiting(world: World) -> Run:
    """Return the run that waits with what notices would withdraw."""
    with world.services.database.read() as session:
        run = approvals.waiting_withdrawal(session, world.connection_id)
    assert run is not None
    return run


@pytest.mark.parametrize("by", ["payment", "names"])
def test_one_wrong_answer_to_notices_rejects_no_portfolio(world: World, by: str) -> None:
    """Of a hundred offered invoices each looks paid; the hundred and first is new."""
    offered(world, 100)
    paid_now(world, 100)
    world.put("Invoice", an_invoice("101"))
    told(world, *(str(n) for n in range(1, 102) if by == "names"))
    assert states(world) == {LET: 101}
    assert {status for status, _ in world.notices()} == {"done"}
    run = waiting(world)
    assert (run.kind, run.state, run.confirmed) == ("withdrawal", "active", False)
    assert len(run.would_withdraw or {}) == 100
    assert run.halt_reason == (
        "it would withdraw 100 of the company's 101 undecided invoices (100 paid in QuickBooks;"
        " more than 5 need an operator's confirmation)"
    )
    command = f"infactor-quickbooks confirm --run {run.id} --dry-run"
    assert stops(world) == [(world.connection_id, command)]
    assert world.sweep() == []  # nobody works on it


def test_what_notices_would_withdraw_is_read_again_once_it_is_approved(world: World) -> None:
    """Four of the ten were paid indeed; of the others QuickBooks says otherwise by now."""
    offered(world, 10)
    paid_now(world, 10)
    told(world)
    world.put("Invoice", *(an_invoice(str(n)) for n in range(5, 11)))
    run_id = waiting(world).id
    approve(world, run_id)
    ended = finish(world, run_id)
    assert (ended["state"], ended["withdrawn"], ended["read"]) == ("done", 4, 10)
    assert states(world) == {TAKEN: 4, LET: 6}
    assert stops(world) == []


def test_what_an_operator_has_approved_does_not_count(world: World) -> None:
    """Or the next invoice that is paid within the hour would have to be approved, too."""
    offered(world, 100)
    paid_now(world, 20)
    told(world)
    run_id = waiting(world).id
    approve(world, run_id)
    assert finish(world, run_id)["withdrawn"] == 20
    world.put("Invoice", *(an_invoice(str(n), Balance=0) for n in range(21, 25)))
    told(world)
    assert states(world) == {TAKEN: 24, LET: 76}


def test_notices_are_stopped_where_infactor_has_a_database_of_its_own(
    delivering: Delivering,
) -> None:
    world = delivering.world
    offered(world, 10)
    delivering.deliver()
    paid_now(world, 10)
    told(world)
    delivering.deliver()
    assert {delivering.state(str(n))[0] for n in range(1, 11)} == {LET}
    run_id = waiting(world).id
    approve(world, run_id)
    finish(world, run_id)
    delivering.deliver()
    assert {delivering.state(str(n))[0] for n in range(1, 11)} == {TAKEN}


def test_while_withdrawals_wait_notices_add_to_them_and_withdraw_nothing(
    world: World,
) -> None:
    offered(world, 100)
    paid_now(world, 10)
    told(world)
    before = waiting(world)
    world.put("Invoice", an_invoice("50", Balance=0), an_invoice("51", Balance=90))
    told(world, "50")
    after = waiting(world)
    assert after.id == before.id
    assert (after.halted_at, after.generation) == (before.halted_at, before.generation + 1)
    assert after.halt_reason == (
        "it would withdraw 11 of the company's 100 undecided invoices (11 paid in QuickBooks;"
        " more than 5 need an operator's confirmation)"
    )
    told(world, "50")
    assert waiting(world).generation == after.generation
    assert states(world) == {LET: 100}
    reject(world, after.id)
    told(world, "50", "51")
    assert states(world) == {TAKEN: 2, LET: 98}


def test_what_waited_and_is_well_again_is_recorded_beside_what_joins(world: World) -> None:
    offered(world, 100)
    paid_now(world, 10)
    told(world)
    well_again = an_invoice("5", TotalAmt=90, Balance=90)
    world.put("Invoice", well_again, an_invoice("50", Balance=0))
    told(world, "5", "50")
    assert world.documents()["5"]["invoiceAmount"] == 90
    assert len(waiting(world).would_withdraw or {}) == 11
    assert states(world) == {LET: 100}


@pytest.mark.parametrize("kind", ["notices", "backfill", "changes", "listing"])
def test_all_paths_together_have_one_limit_within_an_hour(world: World, kind: str) -> None:
    """Four of a hundred are withdrawn by a notice, and two more would be."""
    offered(world, 100)
    paid_now(world, 4)
    told(world)
    assert states(world) == {LET: 96, TAKEN: 4}
    paid_now(world, 6)
    if kind == "notices":
        told(world)
        run = waiting(world)
    else:
        run_id = begin(world, kind)
        finish(world, run_id)
        run = world.run(run_id)
    assert run.halt_reason == (
        "it would withdraw 6 of the company's 100 undecided invoices, 4 of which are withdrawn"
        " already (2 paid in QuickBooks; more than 5 need an operator's confirmation)"
    )
    assert states(world) == {LET: 96, TAKEN: 4}


@pytest.mark.parametrize("hours", [-1.1, 1.1])
def test_after_an_hour_as_many_more_are_allowed(world: World, hours: float) -> None:
    """Or where the clock has been set back by more than that."""
    offered(world, 100)
    paid_now(world, 4)
    told(world)
    with world.services.database.write() as session:
        earlier = Invoice.withdrawn_at - hours * 3600
        session.execute(update(Invoice).values(withdrawn_at=earlier))
    paid_now(world, 8)
    told(world)
    assert states(world) == {LET: 92, TAKEN: 8}


def test_what_a_customer_changes_counts_for_notices_too(world: World) -> None:
    """The currency in the settings was changed, and then a customer in QuickBooks."""
    dollars = {"CurrencyRef": {"value": "USD"}}
    world.put("Invoice", *(an_invoice(str(n), **dollars) for n in range(1, 7)))
    world.backfill()
    world.put("Customer", a_customer(PrimaryEmailAddr={"Address": "new@example.com"}))
    change_settings(world, infactor_currency="EUR")
    world.webhook(an_event("Customer", "7", "updated"))
    world.sync()
    assert states(world) == {LET: 6}
    assert sorted((waiting(world).would_withdraw or {}).values()) == ["currency"] * 6


def test_deletions_that_notices_tell_count_too(world: World) -> None:
    offered(world, 6)
    for n in range(1, 7):
        world.delete("Invoice", str(n))
    told(world, *(str(n) for n in range(1, 7)))
    assert states(world) == {LET: 6}
    assert sorted((waiting(world).would_withdraw or {}).values()) == ["deleted"] * 6


def test_where_nothing_is_withdrawn_nothing_stops(world: World) -> None:
    offered(world, 10)
    paid_now(world, 10)
    change_settings(world, infactor_withdraw=False)
    ended = world.backfill()
    assert (ended["withdrawn"], ended["error"]) == (0, None)
    assert states(world) == {LET: 10}


def test_a_rehearsal_tells_how_many_it_would_withdraw(world: World) -> None:
    offered(world, 10)
    paid_now(world, 10)
    company = CompanyContext.of(world.services, world.connection_id)
    assert rehearse_backfill(company, None, lambda *_: None)["withdrawn"] == 10
    assert states(world) == {LET: 10}


def test_what_infactors_own_database_has_counts(delivering: Delivering) -> None:
    world = delivering.world
    offered(world, 10)
    delivering.deliver()
    paid_now(world, 5)
    run_id = world.begin_backfill()
    ended = finish(world, run_id)
    assert ended["error"].startswith("it would withdraw 5 of the company's 10 undecided invoices")
    delivering.deliver()
    assert {delivering.state(str(n))[0] for n in range(1, 11)} == {LET}
    approve(world, run_id)
    assert finish(world, run_id)["withdrawn"] == 5
    delivering.deliver()
    taken = [delivering.state(str(n))[0] for n in range(1, 11)]
    assert taken == [TAKEN] * 5 + [LET] * 5


@pytest.mark.parametrize(("empty", "reads"), [({"count": 2}, 0), ({}, 60)])
@pytest.mark.parametrize("kind", ["backfill", "listing"])
def test_an_empty_listing_deletes_nothing(
    world: World, kind: str, empty: dict[str, int], reads: int
) -> None:
    """The count and the page are empty, or every query: only a 610 of its own is believed."""
    offered(world, 60)
    before = world.revisions()
    run_id = begin(world, kind)
    world.forget_calls()
    world.faults({"preset": "empty", "kind": "query", "entity": "Invoice", **empty})
    ended = finish(world, run_id)
    assert (ended["state"], ended["withdrawn"], ended["unchanged"]) == ("done", 0, 60)
    assert ended.get("fixed", []) == []
    assert world.calls("read") == reads
    assert states(world) == {LET: 60}
    assert set(world.holds().values()) == {None}
    assert world.revisions() == before

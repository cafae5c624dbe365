"""What nothing proves is withdrawn, and given back by the look that proves it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from service.database.tables import Connection, Run
from service.errors import Disconnected
from service.infactor.rules.book import parse_changes
from service.kit.clock import now
from service.operations import actions
from service.operations.disconnect import disconnect
from service.store import judging_queue, proof
from tests.workers.delivering import Delivering
from tests.workers.reconciling import catch_up, due, finish, reconcile, set_connection
from tests.workers.world import REALM, World, an_invoice, asked_for
from workers.rejudging import ask_for_judging
from workers.runs.run import advance

CREATED, REJECTED = "invoice_created", "invoice_rejected"
NOT_CONFIRMED = "Automatic, from QuickBooks: not confirmed, not a decision of your buyer"


def refuse_token(world: World) -> None:
    """Let QuickBooks end the connection, and a read meet that."""
    world.faults({"preset": "401", "count": 1}, {"preset": "invalid_grant", "count": 1})
    world.hear("Invoice", "1", "updated")


def refuse_renewal(world: World) -> None:
    """Let QuickBooks refuse the refresh token, as whoever keeps it alive would meet."""
    set_connection(world, access_expires_at=now() - timedelta(hours=1))
    world.faults({"preset": "invalid_grant", "count": 1})
    with pytest.raises(Disconnected):
        world.services.access.access_token(world.connection_id)


def leave(world: World) -> None:
    disconnect(world.services, world.connection_id, "cli:me", force=False)


def pause(world: World) -> None:
    assert actions.pause(world.services.database, world.connection_id, "cli:me")
    # Whoever pauses sends the message.
    world.services.jobs.judge(world.connection_id)


def states(world: World) -> dict[str, str]:
    return {i: document["state"] for i, document in world.documents().items()}


def is_due(world: World) -> bool:
    """Return whether the clock would ask for the company to be judged."""
    world.services.jobs.broker.flush_all()
    ask_for_judging(world.services)
    return ("judge_company", world.connection_id) in asked_for(world.services.jobs.broker)


@pytest.mark.parametrize("end", [refuse_token, refuse_renewal, leave, pause])
def test_the_end_of_a_connection_asks_for_judging_at_once(
    world: World, end: Callable[[World], None]
) -> None:
    """In the process that learns of it, and again from the row alone if the message is lost."""
    for number in range(1, 7):
        world.arrive(an_invoice(str(number)))
    world.judge()
    assert not is_due(world)
    world.services.jobs.broker.flush_all()
    end(world)
    assert ("judge_company", world.connection_id) in asked_for(world.services.jobs.broker)
    assert is_due(world)
    world.judge()
    # All six, though an operator has to confirm more than four at once.
    assert set(states(world).values()) == {REJECTED}
    assert world.documents()["1"]["buyerInvoiceRemark"] == NOT_CONFIRMED
    assert set(world.holds().values()) == {"unproven"}
    assert not is_due(world)


@pytest.mark.both_databases("the statements are its own")
def test_the_true_ones_come_back_and_what_was_voided_meanwhile_does_not(world: World) -> None:
    for number in ("1", "2", "3"):
        world.arrive(an_invoice(number))
    refuse_token(world)
    world.judge()
    world.no_faults()
    world.void("2")
    world.delete("Invoice", "3")
    world.reconnect()
    world.judge()
    assert set(states(world).values()) == {REJECTED}  # nothing has proved them yet
    run_id = world.begin_backfill()
    while world.run(run_id).state == "active":
        assert set(states(world).values()) == {REJECTED}
        advance(world.services, run_id)
        world.judge()
    assert states(world) == {"1": CREATED, "2": REJECTED, "3": REJECTED}
    assert world.holds() == {"1": None, "2": "void", "3": "deleted"}
    assert "buyerInvoiceRemark" not in world.documents()["1"]


def test_a_run_that_began_before_the_end_proves_nothing_after_it(world: World) -> None:
    """It may have read everything before, and not what was voided while nobody was let in."""
    world.arrive(an_invoice("1"))
    run_id = world.begin_backfill()
    assert advance(world.services, run_id)  # the only page
    pause(world)
    world.judge()
    world.void("1")
    assert actions.resume(world.services.database, world.connection_id, "cli:me")
    set_connection(world, reconcile_due_at=now() + timedelta(hours=20))
    while advance(world.services, run_id):
        pass
    assert world.run(run_id).state == "done"
    world.judge()
    assert world.connection().proved_at is None
    assert states(world) == {"1": REJECTED}
    catch_up(world)
    assert world.connection().proved_at is not None
    assert world.holds() == {"1": "void"}


def test_a_read_by_notice_proves_nothing(world: World) -> None:
    world.arrive(an_invoice("1"))
    pause(world)
    assert actions.resume(world.services.database, world.connection_id, "cli:me")
    world.hear("Invoice", "1", "updated")
    world.judge()
    assert world.holds() == {"1": "unproven"}
    catch_up(world)
    assert states(world) == {"1": CREATED}


@pytest.mark.parametrize(("hours", "state"), [(35, CREATED), (37, REJECTED)])
def test_a_company_that_nobody_could_look_at_is_proved_for_36_hours(
    world: World, hours: int, state: str
) -> None:
    world.arrive(an_invoice("1"))
    world.judge()
    set_connection(world, proved_at=now() - timedelta(hours=hours))
    assert is_due(world) == (state == REJECTED)
    world.judge()
    assert states(world) == {"1": state}
    reconcile(world)
    world.judge()
    assert states(world) == {"1": CREATED}


@pytest.mark.parametrize(("hours", "proved"), [(35, True), (37, False)])
def test_a_proof_of_a_clock_that_was_set_back_holds_no_longer(
    world: World, hours: int, *, proved: bool
) -> None:
    ahead = now() + timedelta(hours=hours)
    set_connection(world, proved_at=ahead, reconcile_due_at=ahead + timedelta(days=1))
    with world.services.database.read() as session:
        assert proof.is_company_proved(session, world.connection_id, 36, now()) is proved
    (run,) = due(world)  # and a look is due at once
    finish(world, run.id)
    assert abs(world.connection().proved_at - now()) < timedelta(minutes=1)


def test_a_full_comparison_proves_only_if_it_mends(world: World) -> None:
    set_connection(world, proved_at=None)
    reconcile(world, full=True, fix=False)
    assert world.connection().proved_at is None
    reconcile(world, full=True, fix=True)
    assert world.connection().proved_at is not None


def test_of_a_whole_portfolio_that_was_deleted_meanwhile_an_operator_hears(world: World) -> None:
    """Though all of it is withdrawn already: an empty answer must not reject a portfolio."""
    for number in range(1, 7):
        world.arrive(an_invoice(str(number)))
    pause(world)
    world.judge()
    for number in range(1, 7):
        world.delete("Invoice", str(number))
    assert actions.resume(world.services.database, world.connection_id, "cli:me")
    (run,) = due(world)
    finish(world, run.id)
    stopped = world.run(run.id)
    assert (stopped.state, stopped.halted_at is not None) == ("active", True)
    assert stopped.halt_reason == (
        "it would withdraw 6 of the company's 6 undecided invoices (6 deleted in QuickBooks;"
        " more than 4 need an operator's confirmation)"
    )
    assert set(world.holds().values()) == {"unproven"}
    assert world.connection().proved_at is None


def test_what_somebody_rejected_meanwhile_stays_theirs(world: World) -> None:
    world.arrive(an_invoice("1"))
    pause(world)
    world.judge()
    world.decide("1", buyerInvoiceRemark="Goods came broken")
    assert actions.resume(world.services.database, world.connection_id, "cli:me")
    catch_up(world)
    assert (world.holds(), states(world)) == ({"1": None}, {"1": REJECTED})


def test_in_infactors_own_database_they_go_and_come_back_too(delivering: Delivering) -> None:
    delivering.arrive(an_invoice("1"))
    delivering.arrive(an_invoice("2"))
    delivering.decide("2", state="ifactor_request")
    delivering.poll()
    pause(delivering.world)
    delivering.world.judge()
    delivering.deliver()
    assert delivering.state("1") == (REJECTED, NOT_CONFIRMED)
    assert delivering.state("2") == ("ifactor_request", None)
    # One condition tells of all of them.
    assert "unproven" not in {field for field, *_ in delivering.found("rule")}
    assert actions.resume(delivering.world.services.database, delivering.world.connection_id, "me")
    catch_up(delivering.world)
    delivering.deliver()
    assert delivering.state("1") == (CREATED, None)


def test_a_company_in_which_nothing_waits_has_still_been_judged(world: World) -> None:
    pause(world)
    world.judge()
    assert world.connection().judged_by.endswith(" unproven")
    with world.services.database.read() as session:
        assert session.scalars(select(Connection.judged_by)).one().endswith(" unproven")


def test_the_address_of_a_disconnection_has_the_company_looked_at(world: World) -> None:
    """Nobody is believed: a company that still lets us in stays as it is."""
    world.arrive(an_invoice("1"))
    url = f"/quickbook/disconnected?realmId={REALM}"
    assert world.web.get(url, follow_redirects=False).status_code == 303
    assert world.notices()[-1] == ("pending", None)
    assert world.web.get(url).status_code == 200
    assert len(world.notices()) == 2  # once a minute, whoever says so, and how often
    world.sync()
    assert world.notices()[-1][0] == "done"
    assert world.connection().state == "connected"


def test_the_address_of_a_disconnection_ends_what_quickbooks_has_ended(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.order("POST", f"companies/{REALM}/disconnect")
    world.web.get(f"/quickbook/disconnected?realmId={REALM}")
    world.sync()
    assert world.connection().state == "disconnected"
    assert is_due(world)


@pytest.mark.parametrize("query", ["", "?realmId=9341455000000009", "?realmId=x", "?realmId="])
def test_a_stranger_at_that_address_costs_nothing(world: World, query: str) -> None:
    world.forget_calls()
    assert world.web.get(f"/quickbook/disconnected{query}").status_code == 200
    assert (world.notices(), world.calls()) == ([], 0)


def test_what_was_withdrawn_before_counts_no_second_time_when_the_company_is_back(
    world: World,
) -> None:
    """As many as may be withdrawn within an hour were overdue before the connection ended."""
    yesterday = (now() - timedelta(days=1)).date().isoformat()
    for number in range(1, 5):
        world.arrive(an_invoice(str(number), DueDate=yesterday))
    rules = {"infactor_rules": parse_changes("overdue=hold")}
    settings = world.services.settings.model_copy(update=rules)
    world.services = replace(world.services, settings=settings)
    world.judge()
    assert set(world.holds().values()) == {"overdue"}
    leave(world)
    world.judge()
    world.reconnect()
    catch_up(world)
    world.judge()
    assert set(world.holds().values()) == {"overdue"}
    with world.services.database.read() as session:
        assert session.scalars(select(Run.id).where(Run.halted_at.is_not(None))).all() == []


def test_what_is_asked_for_while_the_company_is_judged_is_judged_again(world: World) -> None:
    """As the first import ends, or the proof is lost and found, during a long judging."""
    world.arrive(an_invoice("1"))
    with world.services.database.write() as session:
        judging_queue.begin(session, world.connection_id, "a key")
        judging_queue.ask_for_all(session, world.connection_id)
        judging_queue.end(session, world.connection_id, "a key")
    assert world.connection().judged_by == ""
    with world.services.database.write() as session:
        judging_queue.begin(session, world.connection_id, "a key")
        judging_queue.end(session, world.connection_id, "a key")
    assert world.connection().judged_by == "a key"


def test_a_proof_lost_and_found_before_anybody_has_judged_is_judged(world: World) -> None:
    """What was recorded in between is held, and nothing else would ever give it back."""
    world.arrive(an_invoice("1"))
    world.judge()
    pause(world)
    assert actions.resume(world.services.database, world.connection_id, "cli:me")
    world.put("Invoice", an_invoice("1", DocNumber="77"))
    world.hear("Invoice", "1", "updated")
    assert world.holds() == {"1": "unproven"}
    with world.services.database.write() as session:
        connection = session.get_one(Connection, world.connection_id)
        assert proof.prove(session, world.connection_id, connection.fetch_number, now())
    assert is_due(world)
    world.judge()
    assert states(world) == {"1": CREATED}

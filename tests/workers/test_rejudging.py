"""Recorded invoices are judged again without a read: at midnight, and when the rules change."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import select

from service.database.tables import Invoice, Revision, Run
from service.infactor.rules.book import parse_changes
from service.kit.clock import now
from service.store import infactor_outbox, judging_queue
from tests.databases import is_waited_for
from tests.servers import wait_until
from tests.workers.delivering import Delivering
from tests.workers.world import World, an_invoice, asked_for, with_settings
from workers.company import RecordedCompany
from workers.recording.record import record_judgements
from workers.rejudging import ask_for_judging, judge_company, judged_by


def in_days(days: int) -> str:
    """Return the day so many days from now, in UTC."""
    return (now() + timedelta(days=days)).date().isoformat()


def reasons(world: World, number: str) -> tuple[list[str], list[str]]:
    """Return the codes of the invoice's holds and signals."""
    with world.services.database.read() as session:
        invoice = session.scalars(select(Invoice).where(Invoice.quickbooks_id == number)).one()
    return [one["code"] for one in invoice.holds], [one["code"] for one in invoice.signals]


def test_an_invoice_is_judged_when_it_is_recorded(world: World) -> None:
    world.arrive(an_invoice("1", DueDate=in_days(-3), TxnDate=in_days(-40), Balance=40.0))
    assert reasons(world, "1") == (["partly_paid"], ["overdue", "backdated"])
    with world.services.database.read() as session:
        revision = session.scalars(select(Revision)).one()
    assert revision.holds == [
        {"code": "partly_paid", "figures": {"balance": "40.0", "total": "100.0"}}
    ]
    assert [one["code"] for one in revision.signals] == ["overdue", "backdated"]


def test_other_rules_judge_what_is_recorded_without_a_read(delivering: Delivering) -> None:
    world = delivering.world
    delivering.arrive(an_invoice("1", DueDate=in_days(-3)))
    delivering.arrive(an_invoice("2", DueDate=in_days(30)))
    judge_company(world.services, world.connection_id)
    assert delivering.state("1") == ("invoice_created", None)
    reads = world.calls()
    with_settings(world, infactor_rules=parse_changes("overdue=hold"))
    judge_company(world.services, world.connection_id)
    delivering.deliver()
    assert world.calls() == reads
    assert delivering.state("1")[0] == "invoice_rejected"
    assert delivering.state("2") == ("invoice_created", None)
    with_settings(world, infactor_rules=())
    judge_company(world.services, world.connection_id)
    delivering.deliver()
    assert delivering.state("1") == ("invoice_created", None)


def test_judging_again_changes_nothing_where_nothing_has_changed(world: World) -> None:
    world.arrive(an_invoice("1", DueDate=in_days(-3)))
    before = world.revisions()
    judge_company(world.services, world.connection_id)
    judge_company(world.services, world.connection_id)
    assert world.revisions() == before


def test_more_than_the_limit_waits_for_an_operator(world: World) -> None:
    for i in range(1, 8):
        world.arrive(an_invoice(str(i), DueDate=in_days(-3)))
    with_settings(world, infactor_rules=parse_changes("overdue=hold"))
    judge_company(world.services, world.connection_id)
    assert {reasons(world, str(i))[0] == [] for i in range(1, 8)} == {True}
    with world.services.database.read() as session:
        run = session.scalars(select(Run).where(Run.kind == "withdrawal")).one()
    assert run.halt_reason is not None
    assert "it would withdraw 7 of the company's 7 undecided invoices (7 overdue" in run.halt_reason


def test_who_delivers_an_invoice_may_ask_for_it_while_it_is_judged(postgres_world: World) -> None:
    """Both lock the company first: in two orders each would wait for the other."""
    world = postgres_world
    world.arrive(an_invoice("1"))
    company = RecordedCompany.recorded(world.services, world.connection_id)
    assert company is not None
    database = world.services.database
    with database.write() as session:
        ids = session.scalars(select(Invoice.id)).all()
        judging_queue.ask(session, world.connection_id, ids)
    with ThreadPoolExecutor(1) as pool, database.write() as session:
        infactor_outbox.lock_invoices(session, world.connection_id, ids)
        judged = pool.submit(record_judgements, company, ids)
        wait_until(lambda: is_waited_for(database), what="a lock to wait for")
        judging_queue.ask(session, world.connection_id, ids)
        session.commit()
        judged.result(60)
    with database.read() as session:
        assert judging_queue.asked(session, world.connection_id, 10) == []


def test_an_approved_invoice_that_breaks_a_rule_is_a_finding(delivering: Delivering) -> None:
    world = delivering.world
    delivering.arrive(an_invoice("1", DueDate=in_days(30)))
    delivering.decide("1", state="invoice_accepted")
    delivering.arrive(an_invoice("1", DueDate=in_days(-3)))
    assert [(row[0], row[1], row[4]) for row in delivering.found("rule")] == [
        ("overdue", "warning", f"It was due on {in_days(-3)}.")
    ]
    assert reasons(world, "1") == ([], ["overdue"])


def test_a_company_is_judged_once_for_each_day_and_each_set_of_rules(world: World) -> None:
    asked = []
    for _ in range(2):
        ask_for_judging(world.services)
        asked += [
            row_id
            for name, row_id in asked_for(world.services.jobs.broker)
            if name == "judge_company"
        ]
        world.services.jobs.broker.flush_all()
        judge_company(world.services, world.connection_id)
    assert asked == [world.connection_id]
    key = judged_by(world.services.settings)
    assert key.endswith(now().date().isoformat())
    with_settings(world, infactor_timezone="Pacific/Kiritimati")
    ahead = (now() + timedelta(hours=14)).date().isoformat()
    assert judged_by(world.services.settings) == f"{key.split()[0]} {ahead}"


def test_another_currency_judges_what_is_recorded_without_a_read(delivering: Delivering) -> None:
    world = delivering.world
    delivering.arrive(an_invoice("1", CurrencyRef={"value": "USD"}))
    judge_company(world.services, world.connection_id)
    reads = world.calls()
    with_settings(world, infactor_currency="EUR")
    ask_for_judging(world.services)
    assert ("judge_company", world.connection_id) in asked_for(world.services.jobs.broker)
    judge_company(world.services, world.connection_id)
    delivering.deliver()
    assert world.calls() == reads
    assert delivering.record().hold == "currency"
    assert delivering.state()[0] == "invoice_rejected"
